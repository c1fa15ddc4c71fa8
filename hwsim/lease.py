"""A cycle as a controller holds it: with bounds of its own that are never wider than the recorder's.

The control loop asks `admits` before each row and stops acting when the answer is no, so it never relies on the
recorder to notice. All calls that wait for the recorder run on one worker thread: a loop at 1 kHz cannot wait for
an SD card.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from hwsim.pacing import NS_PER_MS, Clock
from recorder.client import Refused, Unavailable

if TYPE_CHECKING:
    from hwsim.ports import Claims, CyclePort, ReceiptPort, RecorderPort, StreamPort
    from hwsim.report import DriveReport

T = TypeVar("T")


class LeaseExpired(Exception):
    """The bounds of a cycle were reached before all of its commits were given to the recorder."""


@dataclass
class Lease:
    """An open cycle.

    Attributes:
        not_after_ns: CLOCK_BOOTTIME; counted from before the cycle was asked for, so the recorder's own bound,
            counted from when it opened it, is never earlier.
        commits_left: commits and rows that the cycle still admits.

    """

    cycle: CyclePort
    not_after_ns: int
    commits_left: int

    def admits(self, now_ns: int, count: int = 1, *, spare_ms: int = 0) -> bool:
        """Say whether `count` commits or rows at `now_ns`, and `spare_ms` of delay, are within the bounds."""
        return self.commits_left >= count and now_ns + spare_ms * NS_PER_MS < self.not_after_ns

    def spend(self, count: int = 1) -> None:
        """Count commits or rows that are being given to the recorder; one thread at a time owns the count."""
        self.commits_left -= count


def open_lease(
    recorder: RecorderPort,
    clock: Clock,
    report: DriveReport,
    *,
    who: Claims,
    why: Claims,
    actuators: list[str],
    max_commits: int,
    valid_ms: int,
    supersedes: Lease | None = None,
) -> Lease:
    """Open a cycle of class motion and wait until it is durable; raise what the client raises."""
    asked_ns = clock.boottime_ns()
    cycle = recorder.open_cycle(
        who=who,
        why=why,
        actuators=actuators,
        action_classes=["motion"],
        max_commits=max_commits,
        valid_ms=valid_ms,
        supersedes=None if supersedes is None else supersedes.cycle,
    )
    entered = cycle.__enter__()
    report.cycles += 1
    report.open_latency_ms.append((clock.boottime_ns() - asked_ns) / NS_PER_MS)
    return Lease(entered, asked_ns + valid_ms * NS_PER_MS, max_commits)


def close_lease(lease: Lease) -> bool:
    """End the cycle; where the recorder is away, it ends by its own bound instead."""
    lease.cycle.__exit__(None, None, None)
    return True


def record_row(lease: Lease, stream: StreamPort, values: tuple[Any, ...], report: DriveReport) -> None:
    """Give one row to the recorder; the caller has asked `admits`."""
    lease.spend()
    report.rows += 1
    if stream.record(values) is False:  # its ring is full; the client declares the row as lost
        report.dropped_rows += 1


def count_commit(receipt: ReceiptPort, since_ns: int, clock: Clock, report: DriveReport) -> None:
    """Count a commit that was asked for at CLOCK_MONOTONIC `since_ns` and has just been answered."""
    report.commits += 1
    report.outcomes[receipt.outcome] = report.outcomes.get(receipt.outcome, 0) + 1
    report.commit_latency_ms.append((clock.monotonic_ns() - since_ns) / NS_PER_MS)


def outcome(future: Future[T], report: DriveReport) -> T | None:
    """Return what a job on the worker gave, or count why it gave nothing; other errors are bugs and go up."""
    try:
        return future.result()
    except Refused as refusal:
        report.note_refusal(str(refusal))
    except Unavailable:
        report.unavailable += 1
    except LeaseExpired:
        report.expired += 1
    return None
