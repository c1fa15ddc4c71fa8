"""How long rows waited until they were known to be durable, as `loop_with_lags.c` noted it."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import ceil
from pathlib import Path

Pause = tuple[int, int]  # CLOCK_BOOTTIME ns, first and last, as `slowfs` says


class Lags:
    """One pair of times for each durable row, CLOCK_BOOTTIME ns, in the order in which they became known."""

    def __init__(self, path: Path) -> None:
        pairs = array("Q", path.read_bytes())
        self.pushed, self.known = pairs[0::2], pairs[1::2]
        # of each row and all that became known after it, when the first was pushed: it never falls
        self._oldest_left = array("Q", accumulate(reversed(self.pushed), min))
        self._oldest_left.reverse()

    def all_ms(self) -> list[float]:
        """Of all rows, sorted."""
        return sorted((known - pushed) / 1e6 for pushed, known in zip(self.pushed, self.known, strict=True))

    def outside_ms(self, pauses: Sequence[Pause]) -> list[float]:
        """Of rows that did not wait at any moment of a pause, sorted; what piled up behind one and came after it counts."""
        ends = [last for _, last in pauses]
        found = []
        for pushed, known in zip(self.pushed, self.known, strict=True):
            at = bisect_right(ends, pushed)
            if at == len(pauses) or pauses[at][0] > known:
                found.append((known - pushed) / 1e6)
        return sorted(found)

    def drained_ns(self, pause: Pause) -> int:
        """When the last row that was pushed before the end of a pause was known to be durable."""
        return self.known[bisect_right(self._oldest_left, pause[1]) - 1]


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Nearest rank."""
    return ordered[ceil(percent / 100 * len(ordered)) - 1]
