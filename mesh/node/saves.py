"""What a platform's archives may cost the card.

Who has a log's key can have it grow whenever he likes, in as many incarnations as he likes.  So what is newly taken of
a log, while all that came of it before is durable, costs its platform one save, and saves are bounded; what comes until
then is saved with it.  What there is no save for is told again, by digests and comparisons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from mesh.bucket import Buckets, Rate

SAVES_PER_INTERVAL, SAVES_BURST = 4.0, 320
JUMPS = Rate(1 / 60, 16)  # that are made durable at once; others with the next save


class Saves:
    """What is left, by line of the fleet list; used from one thread."""

    def __init__(self, save_s: float, now: Callable[[], float]) -> None:
        """Make it.

        Args:
            save_s: how often what came is made durable.
            now: a monotonic clock, seconds.

        """
        self.put_off: Counter[str] = Counter()  # times that there was no save left, by line
        self._now = now
        self._saves = Buckets(Rate(SAVES_PER_INTERVAL / save_s, SAVES_BURST))
        self._jumps = Buckets(JUMPS)
        self._open: set[str] = set()  # origins of which the next save is taken off already

    def may_take(self, line: str, origin: str) -> bool:
        """Whether more of a log may be taken; until `saved` that is asked once."""
        if origin not in self._open:
            if not self._saves.of(line).take(self._now()):
                self.put_off[line] += 1
                return False
            self._open.add(origin)
        return True

    def may_save_jump(self, line: str) -> bool:
        """Whether a jump is made durable at once."""
        return self._jumps.of(line).take(self._now())

    def saved(self, origin: str) -> None:
        """What came of a log is durable."""
        self._open.discard(origin)
