"""The bounds that a controller keeps by itself."""

from __future__ import annotations

import pytest

from hwsim.lease import Lease, open_lease, outcome
from hwsim.report import DriveReport
from tests.hwsim.inline import InlineExecutor
from tests.hwsim.port import MemoryCycle, MemoryRecorder, SimulatedClock, refused


def lease(recorder: MemoryRecorder, max_commits: int = 3) -> Lease:
    return open_lease(
        recorder,
        recorder.clock,
        DriveReport(),
        who={"operator": "o", "delegation": None},
        why={"evaluator": "e", "clauses": [], "inputs": [], "alternatives": []},
        actuators=["arm"],
        max_commits=max_commits,
        valid_ms=100,
    )


def test_a_lease_ends_no_later_than_its_cycle() -> None:
    """The time that opening took is the controller's loss: its bound counts from the call, the cycle's from later."""
    recorder = MemoryRecorder(SimulatedClock())
    asked_ns = recorder.clock.now_ns

    def late() -> None:
        recorder.clock.now_ns += 30_000_000

    recorder.after_open = late
    held = lease(recorder)
    assert held.not_after_ns == asked_ns + 100_000_000
    assert isinstance(held.cycle, MemoryCycle)
    assert held.not_after_ns <= held.cycle.not_after_ns


@pytest.mark.parametrize(
    ("after_ms", "spare_ms", "admitted"), [(99, 0, True), (100, 0, False), (60, 39, True), (60, 40, False)]
)
def test_a_lease_admits_nothing_from_its_end_on(after_ms: int, spare_ms: int, admitted: bool) -> None:
    """Now, and now with the delay to spare, must lie before the end."""
    held = lease(MemoryRecorder(SimulatedClock()))
    now_ns = held.not_after_ns - (100 - after_ms) * 1_000_000
    assert held.admits(now_ns, spare_ms=spare_ms) is admitted


def test_a_lease_admits_no_more_commits_than_it_has() -> None:
    """Three commits may be spent one by one or at once, a fourth may not."""
    held = lease(MemoryRecorder(SimulatedClock()), max_commits=3)
    now_ns = held.not_after_ns - 1
    assert held.admits(now_ns, 3)
    assert not held.admits(now_ns, 4)
    held.spend(3)
    assert not held.admits(now_ns)
    assert held.admits(now_ns, 0)


def test_errors_that_are_no_answer_go_up() -> None:
    """A refusal is counted; a bug in a job is not taken for one."""
    report = DriveReport()

    def refuse() -> None:
        raise refused("no")

    def fail() -> None:
        raise ZeroDivisionError

    assert outcome(InlineExecutor().submit(refuse), report) is None
    assert report.refused == 1
    with pytest.raises(ZeroDivisionError):
        InlineExecutor().submit(fail)
