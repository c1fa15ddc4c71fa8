"""The arm through the recorder's port; the port itself fails on any use of a cycle outside its bounds."""

from __future__ import annotations

import pytest

from hwsim.report import ArmReport
from hwsim.scenario import run_arm
from tests.hwsim.inline import InlineExecutor
from tests.hwsim.port import LateExecutor, MemoryRecorder, SimulatedClock, refused, unavailable


def drive(recorder: MemoryRecorder, seconds: float, seed: int = 1, rate_hz: int = 100) -> ArmReport:
    return run_arm(recorder, seconds=seconds, seed=seed, rate_hz=rate_hz, clock=recorder.clock, worker=InlineExecutor())


def moves_braked(recorder: MemoryRecorder) -> bool:
    """Whether a row follows an event before a commit that releases the brake."""
    braked = True
    for call in recorder.calls:
        braked |= call.verb == "event"
        if call.verb == "commit" and call.arguments["actuator"] == "arm.brake":
            braked = False
        if call.verb == "row" and braked:
            return True
    return False


@pytest.fixture
def recorder() -> MemoryRecorder:
    return MemoryRecorder(SimulatedClock())


@pytest.mark.parametrize("rate_hz", [50, 333, 1000])
def test_the_report_counts_what_the_recorder_got(recorder: MemoryRecorder, rate_hz: int) -> None:
    """Every count of the report is the number of calls, at the slowest and the fastest rate."""
    report = drive(recorder, 12, rate_hz=rate_hz)
    assert report.cycles == len(recorder.of("open_cycle")) > 3
    assert report.commits == len(recorder.of("commit")) == len(report.commit_latency_ms) > 10
    assert report.outcomes == {"admitted": report.commits}
    assert report.rows == len(recorder.of("row")) > 4 * rate_hz
    assert report.events == len(recorder.of("event"))
    assert (report.refused, report.unavailable, report.gaps, report.overruns) == (0, 0, 0, 0)
    assert recorder.calls[-1].verb == "flush"
    assert not any(cycle.open for cycle in recorder.cycles)


def test_the_same_seed_gives_the_same_calls() -> None:
    """Two runs on simulated time make the same calls with the same claims and rows; another seed makes others."""
    runs = [MemoryRecorder(SimulatedClock()) for _ in range(3)]
    for run, seed in zip(runs, (5, 5, 6), strict=True):
        drive(run, 6, seed=seed)
    first, second, other = (
        [(c.verb, c.at_ns, {k: v for k, v in c.arguments.items() if k != "supersedes"}) for c in run.calls]
        for run in runs
    )
    assert first == second
    assert first != other


def test_a_minute_shows_all_that_the_arm_can_do(recorder: MemoryRecorder) -> None:
    """In a minute it picks and places, is slowed, put off and stopped, and uses every actuator."""
    report = drive(recorder, 60)
    assert min(report.moves, report.slowed, report.rejected, report.stops) > 0
    used = {call.arguments["actuator"] for call in recorder.calls if call.verb in {"commit", "row"}}
    assert used == {*(f"arm.joint{n}" for n in range(1, 7)), "arm", "arm.gripper", "arm.brake"}
    modes = [c.arguments["what"]["mode"] for c in recorder.of("commit") if c.arguments["actuator"] == "arm.gripper"]
    assert modes == ["grip_close", "grip_open"] * (len(modes) // 2) + ["grip_close"] * (len(modes) % 2)


def test_no_setpoint_follows_a_stop_before_the_brake_is_released_again(recorder: MemoryRecorder) -> None:
    """After an emergency stop the next row comes only after a commit that releases the brake."""
    report = drive(recorder, 60)
    assert report.stops > 0
    assert not moves_braked(recorder)


def test_cycles_hand_over(recorder: MemoryRecorder) -> None:
    """The second move's cycle supersedes the first one's, which is still valid then."""
    drive(recorder, 4)
    assert recorder.of("open_cycle")[1].arguments["supersedes"] is recorder.cycles[0]


def test_time_at_risk_is_counted(recorder: MemoryRecorder) -> None:
    """Each half second after which the client says that it lags counts once."""
    recorder.lagging = "more than promised"
    assert drive(recorder, 2.2).lagging == 4


def test_rows_that_the_client_drops_are_counted(recorder: MemoryRecorder) -> None:
    """With a full ring every row counts as dropped; with room none does."""
    assert drive(recorder, 2).dropped_rows == 0
    recorder.full = True
    report = drive(recorder, 2)
    assert report.dropped_rows == report.rows > 0


def test_without_a_next_cycle_the_arm_brakes(recorder: MemoryRecorder) -> None:
    """When only the first cycle is granted, the arm holds under it until it ends, then brakes as an event, and rests."""
    recorder.refuse = lambda number: None if number == 1 else refused("no")
    report = drive(recorder, 10)
    assert [call.arguments["reason"] for call in recorder.of("event")] == ["no_cycle_in_force"]
    assert report.cycles == 1
    assert report.refused > 5
    assert recorder.of("row")[-1].at_ns < recorder.cycles[0].not_after_ns
    assert recorder.of("row")[-1].at_ns < recorder.of("event")[0].at_ns


def test_refusals_and_absence_are_counted_and_retried(recorder: MemoryRecorder) -> None:
    """A refusal and an absent recorder delay the work; each is counted, and the work goes on."""
    recorder.refuse = {1: refused("bounds"), 2: unavailable()}.get
    report = drive(recorder, 6)
    assert (report.refused, report.unavailable) == (1, 1)
    assert "bounds" in report.reasons[0]
    assert report.moves > 0


def test_a_slow_recorder_is_never_used_beyond_its_bounds(recorder: MemoryRecorder) -> None:
    """When opening a cycle takes longer than it is valid, nothing is recorded under it and the arm stays braked."""

    def stall() -> None:
        recorder.clock.now_ns += 5_000_000_000

    recorder.after_open = stall
    report = drive(recorder, 30)
    assert report.expired == report.cycles - report.rejected > 1
    assert report.rows == 0


@pytest.mark.parametrize("delay_ms", [30, 700, 1200, 2500])
def test_whatever_the_delay_nothing_moves_without_cover(recorder: MemoryRecorder, delay_ms: int) -> None:
    """With a worker from quick to hopeless, every use is within its cycle and no row follows a brake but a release."""
    worker = LateExecutor(recorder.clock, delay_ms)
    report = run_arm(recorder, seconds=60, seed=1, rate_hz=100, clock=recorder.clock, worker=worker)
    expired_holds = [call for call in recorder.of("event") if call.arguments["reason"] == "no_cycle_in_force"]
    assert bool(expired_holds) == (delay_ms > 500)
    assert report.moves > 5
    assert not moves_braked(recorder)


def test_real_time_with_a_real_worker(recorder: MemoryRecorder) -> None:
    """On the machine's clocks and a worker thread half a second takes half a second, and rows are recorded."""
    reports: list[ArmReport] = []
    report = run_arm(recorder, seconds=1.1, seed=1, rate_hz=100, on_progress=reports.append)
    assert report.wall_s >= 1.09
    assert report.rows > 50
    assert reports


@pytest.mark.parametrize("rate_hz", [49, 1001])
def test_rates_outside_the_range_are_misuse(recorder: MemoryRecorder, rate_hz: int) -> None:
    """Below 50 Hz and above 1 kHz nothing is run."""
    with pytest.raises(ValueError, match="rate_hz"):
        drive(recorder, 1, rate_hz=rate_hz)
    assert not recorder.calls
