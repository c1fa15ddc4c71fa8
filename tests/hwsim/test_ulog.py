"""Mapping of topics that the real logs here do not show."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hwsim import ulog
from hwsim.flight import UnreadableFlight
from hwsim.replay import load_flight


def topic(name: str, instance: int = 0, **columns: Any) -> Any:
    """A data set as pyulog gives it."""
    data = {"timestamp": np.array([1_000_000, 2_000_000], np.uint64), **{k: np.array(v) for k, v in columns.items()}}
    kinds = {"timestamp": "uint64_t"}
    fields = [SimpleNamespace(field_name=field, type_str=kinds.get(field, "float")) for field in data]
    return SimpleNamespace(name=name, multi_id=instance, data=data, field_data=fields)


def log(*topics: Any, dropouts: tuple[Any, ...] = ()) -> Any:
    return SimpleNamespace(data_list=list(topics), msg_info_dict={"sys_name": "PX4"}, dropouts=list(dropouts))


OUTPUTS = topic("actuator_outputs", 0, **{"output[0]": [1.0, 2.0], "output[1]": [3.0, 4.0]})


def test_array_fields_become_one_column() -> None:
    """The elements that pyulog flattens are one field with a count again, beside the scalar ones."""
    track = ulog._flight("f", log(OUTPUTS)).tracks[0]
    assert track.fields == (("timestamp", "<u8", 1, "us"), ("output", "<f4", 2, "us"))
    assert track.row(1) == (2_000_000, [2.0, 4.0])


def test_a_global_position_is_given_in_degrees() -> None:
    """Without a local position the global one is used, in frame wgs84."""
    place = topic(
        "vehicle_global_position",
        lat=[47.1, 47.2],
        lon=[8.1, 8.2],
        alt=[400.0, 401.0],
        vel_n=[1.0, 2.0],
        vel_e=[0.0, 0.0],
        vel_d=[0.0, 0.0],
    )
    where = ulog._flight("f", log(OUTPUTS, place)).pose.where(2_500_000)
    assert where == {
        "frame": "wgs84",
        "latitude_deg": 47.2,
        "longitude_deg": 8.2,
        "altitude_m": 401.0,
        "velocity_mps": [2.0, 0.0, 0.0],
    }


def test_a_gps_position_is_scaled() -> None:
    """GPS integers become degrees and metres; a velocity that is not valid is null."""
    fix = topic(
        "vehicle_gps_position",
        lat=[471_000_000] * 2,
        lon=[81_000_000] * 2,
        alt=[400_500] * 2,
        vel_n_m_s=[1.0, 1.0],
        vel_e_m_s=[2.0, 2.0],
        vel_d_m_s=[3.0, 3.0],
        vel_ned_valid=[1, 0],
    )
    pose = ulog._flight("f", log(OUTPUTS, fix)).pose
    assert pose.where(1_000_000)["velocity_mps"] == [1.0, 2.0, 3.0]
    later = pose.where(2_000_000)
    assert later["latitude_deg"] == pytest.approx(47.1)
    assert later["altitude_m"] == pytest.approx(400.5)
    assert later["velocity_mps"] == [None, None, None]


def test_a_log_without_a_pose_has_only_a_frame() -> None:
    """Nothing is claimed about attitude and position that the log does not have."""
    assert ulog._flight("f", log(OUTPUTS)).pose.where(2_000_000) == {"frame": "local_ned"}


def test_stale_and_repeated_modes_are_one() -> None:
    """A state from before the flight counts from its first row, and only changes are kept."""
    status = topic("vehicle_status", nav_state=[0, 0], arming_state=[1, 2], failsafe=[0, 0])
    stale = topic("commander_state", main_state=[4, 4])
    stale.data["timestamp"] = np.array([5, 5], np.uint64)
    modes = ulog._flight("f", log(OUTPUTS, status, stale)).modes
    assert [(mode.at_us, mode.states["arming_state"], mode.states["main_state"]) for mode in modes] == [
        (1_000_000, 1, 4),
        (2_000_000, 2, 4),
    ]


def test_actuator_topics_without_a_name_are_told() -> None:
    """An instance that has no actuator here is not dropped silently."""
    third = topic("actuator_outputs", 2, **{"output[0]": [1.0, 2.0]})
    flight = ulog._flight("f", log(OUTPUTS, third))
    assert flight.omitted == ("actuator_outputs/2",)
    assert len(flight.tracks) == 1


def test_a_log_without_actuators_is_no_flight() -> None:
    """The error names what was looked for."""
    with pytest.raises(UnreadableFlight, match=r"no actuator topic .*actuator_outputs"):
        ulog._flight("f", log(topic("vehicle_attitude")))


def test_without_pyulog_the_error_says_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without pyulog a ULog gives one line that names the package."""
    monkeypatch.delitem(sys.modules, "hwsim.ulog")
    monkeypatch.delattr("hwsim.ulog")
    monkeypatch.setitem(sys.modules, "pyulog", None)
    with pytest.raises(UnreadableFlight, match="needs the package pyulog"):
        load_flight(Path("flight.ulg"))
