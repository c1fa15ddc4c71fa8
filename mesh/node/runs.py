"""Runs of this sender: which start of the process, and which hour of it, digests are of (PROTOCOL.md section 4)."""

from __future__ import annotations

from pathlib import Path

from mesh.node.desk import Clock
from mesh.node.places import RUN
from mesh.node.unkept import Unkept
from recorder.core.limits import UINT64_MAX

MS = 1_000
SENT_MAX = 4  # runs of which it is remembered what was sent


class Sent:
    """What this process has sent: its runs, and the greatest number of each."""

    def __init__(self, run: int) -> None:
        self._numbers = {run: 0}  # in the order in which they were begun

    @property
    def run(self) -> int:
        """The latest."""
        return next(reversed(self._numbers))

    @property
    def number(self) -> int:
        """The greatest of the latest run."""
        return self._numbers[self.run]

    def next(self) -> tuple[int, int]:
        """Run and number of the next digest."""
        self._numbers[self.run] += 1
        return self.run, self.number

    def begin(self, run: int) -> None:
        """Go on under another run."""
        self._numbers[run] = 0
        if len(self._numbers) > SENT_MAX:
            del self._numbers[next(iter(self._numbers))]

    def has(self, run: int, number: int) -> bool:
        """Whether a digest under our key may be ours; what is older than what is remembered may be."""
        known = self._numbers.get(run)
        return run < min(self._numbers) if known is None else number <= known


def next_run(state: Path, clock: Clock, unkept: Unkept) -> int:
    """A run above the last one: the UTC milliseconds of a trusted clock, or one more than the last.

    It is durable before it is used, where the disk takes it.  What is not, and what cannot be read back, counts as
    lost: the clock's word is then enough, and without one peers take us for a replay until there is one.
    """
    path = state / RUN
    time_s = clock()
    run = max(_last(path, unkept) + 1, 0 if time_s is None else time_s * MS)
    unkept.put(path, f"{run}\n".encode())
    return run


def _last(path: Path, unkept: Unkept) -> int:
    try:
        text = unkept.read(path).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return 0
    run = int(text) if text.isdecimal() and len(text) <= 20 else 0  # digits of 2^64
    return run if run < UINT64_MAX else 0
