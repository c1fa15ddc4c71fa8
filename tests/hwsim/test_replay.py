"""A flight through the recorder's port; the port itself fails on any use of a cycle outside its bounds."""

from __future__ import annotations

import pytest

from hwsim.flight import SHIPPED_FLIGHTS, Flight, load_excerpt
from hwsim.replay import run_replay, timeline
from hwsim.report import ReplayReport
from tests.hwsim.inline import InlineExecutor
from tests.hwsim.port import LateExecutor, MemoryRecorder, SimulatedClock, refused, unavailable


@pytest.fixture
def recorder() -> MemoryRecorder:
    return MemoryRecorder(SimulatedClock())


@pytest.fixture(scope="module")
def multirotor() -> Flight:
    return load_excerpt(SHIPPED_FLIGHTS[0])


@pytest.fixture(scope="module")
def armed() -> Flight:
    return load_excerpt(SHIPPED_FLIGHTS[1])


def fly(recorder: MemoryRecorder, flight: Flight, speed: float = 1.0, seconds: float | None = None) -> ReplayReport:
    return run_replay(recorder, flight, speed=speed, seconds=seconds, clock=recorder.clock, worker=InlineExecutor())


@pytest.mark.parametrize("speed", [1.0, 10.0])
@pytest.mark.parametrize("path", SHIPPED_FLIGHTS)
def test_every_row_of_the_flight_is_recorded_once(recorder: MemoryRecorder, path: object, speed: float) -> None:
    """All rows arrive, in order, with the log's own values, at any speed."""
    flight = load_excerpt(path)  # type: ignore[arg-type]
    report = fly(recorder, flight, speed)
    for track in flight.tracks:
        got = [call.arguments["values"] for call in recorder.of("row") if call.arguments["actuator"] == track.actuator]
        assert got == [track.row(index) for index in range(len(track.at_us))]
        assert report.rows_by_actuator[track.actuator] == len(got)
    assert report.rows == len(recorder.of("row"))
    assert report.unrecorded_rows == 0


def test_rows_keep_the_timing_of_the_log(recorder: MemoryRecorder, multirotor: Flight) -> None:
    """The time between rows is the log's, divided by the speed, to the microsecond."""
    fly(recorder, multirotor, 2.0, seconds=5)
    rows = recorder.of("row")
    first = rows[0]
    for row in rows:
        log_us = row.arguments["values"][0] - first.arguments["values"][0]
        assert (row.at_ns - first.at_ns) * 2 == pytest.approx(log_us * 1000, abs=1000)


def test_dropouts_become_gaps(recorder: MemoryRecorder, multirotor: Flight) -> None:
    """Each dropout of the log is declared with its duration, an unknown count, and all actuators of the flight."""
    report = fly(recorder, multirotor)
    gaps = [call.arguments for call in recorder.of("gap")]
    assert [gap["duration_ms"] for gap in gaps] == [0, 26, 31, 62]
    assert all(gap["lost_count"] is None and "dropout" in gap["reason"] for gap in gaps)
    assert all(set(gap["actuators"]) == {"fc.outputs", "fc.controls0", "fc.mode"} for gap in gaps)
    assert report.gaps == 4


def test_mode_changes_are_commits(recorder: MemoryRecorder, armed: Flight) -> None:
    """The mode at the start and the disarming are one commit each, with PX4's numbers."""
    report = fly(recorder, armed)
    commits = [call.arguments for call in recorder.of("commit")]
    assert [commit["what"]["arming_state"] for commit in commits] == [2, 1]
    assert {commit["actuator"] for commit in commits} == {"fc.mode"}
    assert report.commits == len(report.commit_latency_ms) == 2


def test_cycles_roll_over_before_they_expire(recorder: MemoryRecorder, multirotor: Flight) -> None:
    """Each cycle supersedes the one before while that is still valid, and its where is fresh."""
    report = fly(recorder, multirotor, seconds=10)
    opened = recorder.of("open_cycle")
    assert report.cycles == len(opened) >= 9
    for before, call in zip(recorder.cycles, opened[1:], strict=False):
        assert call.arguments["supersedes"] is before
        assert call.at_ns < before.not_after_ns
    wheres = [str(call.arguments["where"]["orientation_xyzw"]) for call in recorder.of("stream")[2:]]
    assert len(set(wheres)) == report.cycles - 1
    assert not any(cycle.open for cycle in recorder.cycles)


def test_rows_that_no_cycle_covers_are_declared(recorder: MemoryRecorder, multirotor: Flight) -> None:
    """While cycles are refused nothing is recorded; the next one is preceded by a gap with the exact count."""
    recorder.refuse = lambda number: refused("not now") if 3 <= number <= 8 else None
    report = fly(recorder, multirotor, seconds=10)
    lost = [call.arguments for call in recorder.of("gap") if call.arguments["lost_count"] is not None]
    total = sum(len(track.at_us) for track in multirotor.first(10).tracks)
    assert sum(gap["lost_count"] for gap in lost) == report.unrecorded_rows == total - report.rows > 0
    assert all(gap["duration_ms"] > 0 for gap in lost)
    assert report.refused == 6


def test_an_absent_recorder_loses_all_and_says_so(recorder: MemoryRecorder, armed: Flight) -> None:
    """When it never answers, every row and mode change is in one gap at the end."""
    recorder.refuse = lambda _: unavailable()
    report = fly(recorder, armed)
    total = sum(len(track.at_us) for track in armed.tracks)
    last = recorder.of("gap")[-1].arguments
    assert last["lost_count"] == total + len(armed.modes)
    assert "fc.mode" in last["actuators"]
    assert (report.rows, report.cycles) == (0, 0)


def test_a_mode_change_that_comes_too_late_is_declared(recorder: MemoryRecorder, armed: Flight) -> None:
    """When each cycle has nearly expired once it is durable, mode changes are not committed under it but declared."""

    def stall() -> None:
        recorder.clock.now_ns += 1_600_000_000

    recorder.after_open = stall
    report = fly(recorder, armed)
    lost = [call.arguments for call in recorder.of("gap") if "fc.mode" in call.arguments["actuators"]]
    assert sum(gap["lost_count"] or 0 for gap in lost) >= 2
    assert report.commits == 0


@pytest.mark.parametrize("delay_ms", [30, 700, 1200, 1600, 2500])
def test_whatever_the_delay_all_is_recorded_or_declared(recorder: MemoryRecorder, armed: Flight, delay_ms: int) -> None:
    """With a worker from quick to hopeless, every use is within its cycle, and rows and modes add up with the gaps."""
    worker = LateExecutor(recorder.clock, delay_ms)
    report = run_replay(recorder, armed, clock=recorder.clock, worker=worker)
    lost = sum(call.arguments["lost_count"] or 0 for call in recorder.of("gap"))
    total = sum(len(track.at_us) for track in armed.tracks) + len(armed.modes)
    assert report.rows + report.commits + lost == total
    assert report.gaps == len(recorder.of("gap"))


def test_the_timeline_is_in_order_and_complete(multirotor: Flight) -> None:
    """Nothing is left out and time never runs backwards."""
    items = list(timeline(multirotor))
    times = [at_us for at_us, _, _ in items]
    assert times == sorted(times)
    rows = sum(len(track.at_us) for track in multirotor.tracks)
    assert len(items) == rows + len(multirotor.modes) + len(multirotor.dropouts)


def test_real_time_with_a_real_worker(recorder: MemoryRecorder, armed: Flight) -> None:
    """On the machine's clocks and a worker thread all rows of a second arrive, no earlier than flown."""
    report = run_replay(recorder, armed, seconds=1.0)
    assert report.rows == sum(len(track.at_us) for track in armed.first(1.0).tracks)
    assert report.wall_s >= 0.9


@pytest.mark.parametrize(("speed", "seconds"), [(0.0, None), (-1.0, None), (float("nan"), None), (1.0, 0.0)])
def test_speeds_and_durations_must_be_positive(
    recorder: MemoryRecorder, armed: Flight, speed: float, seconds: float | None
) -> None:
    """Anything else is misuse, and nothing is recorded."""
    with pytest.raises(ValueError, match="positive"):
        fly(recorder, armed, speed, seconds)
    assert not recorder.calls
