"""Flights from ULogs and from shipped excerpts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwsim.flight import (
    DEFAULT_FLIGHT,
    FLIGHT_ACTUATORS,
    SHIPPED_FLIGHTS,
    Flight,
    UnreadableFlight,
    load_excerpt,
    save_excerpt,
)
from hwsim.replay import load_flight

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
AUAV, CUBE = DATA / "px4_flight_auav_x21.ulg", DATA / "px4_flight_cube_orange.ulg"
needs_logs = pytest.mark.skipif(not AUAV.exists(), reason="the real logs are not here")


def counts(flight: Flight) -> dict[str, int]:
    return {track.actuator: len(track.at_us) for track in flight.tracks}


@needs_logs
def test_counts_of_the_multirotor_are_the_stated_ones() -> None:
    """Samples and dropouts are those that the data's README states."""
    flight = load_flight(AUAV)
    assert counts(flight) == {"fc.outputs": 1311, "fc.controls0": 3269}
    assert len(flight.pose.attitude_at_us) == 6461
    assert [dropout.duration_ms for dropout in flight.dropouts] == [0, 26, 31, 62]
    assert [dropout.at_us for dropout in flight.dropouts] == [112574774, 112574774, 112614307, 153855108], (
        "by all topics"
    )
    assert flight.duration_s == pytest.approx(68.9, abs=0.1)


@needs_logs
def test_counts_of_the_other_flight_are_the_stated_ones() -> None:
    """Two actuator groups of 1,812 samples each; the arming change is a mode; the dropout lies within the flight."""
    flight = load_flight(CUBE)
    assert counts(flight) == {"fc.outputs": 65, "fc.outputs1": 65, "fc.controls0": 1812, "fc.controls1": 1812}
    assert [mode.states["arming_state"] for mode in flight.modes] == [2, 1]
    assert len(flight.dropouts) == 1
    assert flight.start_us < flight.dropouts[0].at_us <= flight.end_us


@needs_logs
@pytest.mark.parametrize(
    ("log", "excerpt", "seconds"), [(AUAV, SHIPPED_FLIGHTS[0], 60), (CUBE, SHIPPED_FLIGHTS[1], 60)]
)
def test_the_shipped_excerpts_are_what_the_logs_say(log: Path, excerpt: Path, seconds: int, tmp_path: Path) -> None:
    """Made again from the log, an excerpt has the same values, bit for bit."""
    again = tmp_path / "again.npz"
    save_excerpt(load_flight(log).first(seconds), again)
    with np.load(again) as made, np.load(excerpt) as shipped:
        assert made.files == shipped.files
        assert all(made[name].tobytes() == shipped[name].tobytes() for name in made.files)


@pytest.mark.parametrize("path", SHIPPED_FLIGHTS)
def test_a_shipped_flight_loads(path: Path) -> None:
    """Each has actuators under known names, rows in their declared shape, a pose, a mode and dropouts, and is small."""
    flight = load_excerpt(path)
    assert {track.actuator for track in flight.tracks} < set(FLIGHT_ACTUATORS)
    for track in flight.tracks:
        assert all(len(column) == len(track.at_us) for column in track.columns)
        for (_, _, count, _), value in zip(track.fields, track.row(0), strict=True):
            assert (len(value) if isinstance(value, list) else 1) == count
        assert track.row(0)[0] == track.at_us[0]
    assert flight.modes
    assert flight.dropouts
    assert flight.vehicle["sys_name"] == "PX4"
    norms = np.linalg.norm(flight.pose.orientation_xyzw, axis=1)
    assert norms == pytest.approx(np.ones(len(norms)), abs=1e-4)
    assert path.stat().st_size < 300_000


def test_the_notice_stands_beside_the_flights() -> None:
    """The licence of the logs asks for its notice, conditions and disclaimer with every copy, and each file is named."""
    notice = " ".join((DEFAULT_FLIGHT.parent / "NOTICE").read_text().split())
    assert "Copyright (c) 2016 PX4 Pro Drone Autopilot, BSD-3-Clause" in notice
    assert "Redistributions in binary form must reproduce the above copyright notice" in notice
    assert all(path.name in notice for path in SHIPPED_FLIGHTS)


def test_where_is_the_last_sample_and_claims_nothing_that_is_not_valid() -> None:
    """Before the first sample there is only the frame; later the latest one; a position not valid is null."""
    flight = load_excerpt()
    assert flight.pose.where(0) == {"frame": "local_ned"}
    where = flight.pose.where(int(flight.pose.attitude_at_us[10]))
    assert where["orientation_xyzw"] == flight.pose.orientation_xyzw[10].tolist()
    assert where["position_m"][:2] == [None, None]
    assert isinstance(where["position_m"][2], float)


def test_the_first_seconds_end_where_they_say() -> None:
    """An excerpt has no row, pose, mode or dropout from its end on."""
    part = load_excerpt().first(2.0)
    assert 1.9 < part.duration_s < 2.0
    until_us = part.start_us + 2_000_000
    times = [*part.pose.attitude_at_us, *part.pose.position_at_us, *(m.at_us for m in part.modes)]
    assert max(*times, *(dropout.at_us for dropout in part.dropouts)) < until_us
    assert len(part.dropouts) == 3


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a flight", b"ULog\x01\x12\x35\x00" + bytes(8)])
@pytest.mark.parametrize("suffix", [".npz", ".ulg"])
def test_what_is_not_a_flight_is_named(tmp_path: Path, content: bytes, suffix: str) -> None:
    """Any other file gives one line that names it, and no other error."""
    path = tmp_path / f"thing{suffix}"
    path.write_bytes(content)
    with pytest.raises(UnreadableFlight, match="thing") as caught:
        load_flight(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".npz", ".ulg"])
def test_a_missing_file_is_named(tmp_path: Path, suffix: str) -> None:
    """A file that is not there is said to be not there."""
    with pytest.raises(UnreadableFlight, match=r"(?i)no such file"):
        load_flight(tmp_path / f"absent{suffix}")


def test_an_archive_of_something_else_is_no_flight(tmp_path: Path) -> None:
    """An npz with other arrays, and one of another version, are refused."""
    np.savez(tmp_path / "other.npz", numbers=np.arange(3))
    np.savez(tmp_path / "later.npz", meta=np.array('{"version": 2}'))
    for name in ("other.npz", "later.npz"):
        with pytest.raises(UnreadableFlight, match=name):
            load_excerpt(tmp_path / name)
