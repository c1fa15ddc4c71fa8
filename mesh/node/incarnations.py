"""How many incarnations of a platform are archived: how often one is begun, and which goes for it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mesh.bucket import Buckets, Rate
from mesh.histories import Told
from mesh.ranges import Range

KEPT_MAX = 64  # of one platform
STAY = KEPT_MAX // 2  # of them that were begun first: those are displaced by nothing
BEGUN = Rate(1 / 3_600, STAY)  # as many at once as a peer may have to learn that lost its disk
GRANTED_MAX = 256  # origins that may be begun and are not there yet
DROPPED_MAX = 16  # that a person is shown


class Summary(NamedTuple):
    """An archive in short, whether it is in memory or not."""

    origin: str
    line: str
    ordinal: int  # rises with each that is begun
    size: int
    holds: int  # hashes in full tiles
    missing: tuple[Range, ...]
    heads: int
    told: Told | None
    above: int  # tiles above those of hashes


class Incarnations:
    """How often another incarnation of a platform is begun, and which one goes for it."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.refused: Counter[str] = Counter()  # heads of incarnations that were begun too soon, by line
        self.dropped: deque[tuple[str, int]] = deque(maxlen=DROPPED_MAX)  # origin and entries proved, latest last
        self._now = now
        self._rate = Buckets(BEGUN)
        self._granted: dict[str, None] = {}  # origins that may be begun, in the order in which that was said

    def may_begin(self, line: str, origin: str) -> bool:
        """Whether this one, of which nothing is kept, is begun now; who is told so need not ask again."""
        if origin in self._granted:
            return True
        if not self._rate.of(line).take(self._now()):
            self.refused[line] += 1
            return False
        self._granted[origin] = None
        if len(self._granted) > GRANTED_MAX:
            del self._granted[next(iter(self._granted))]
        return True

    def begin(self, origin: str, several: Sequence[Summary], forked: Callable[[str], bool]) -> Sequence[Summary]:
        """One is begun; return which go, so that there is room for it: of those that came later the ones begun first.

        What was there first stays: else a thief of the key would push out what is kept of the log before.  The latest
        come in: else he would keep out those that the platform itself begins.  One with a fork stays with its proof.

        Args:
            origin: of the new one.
            several: all others of its platform.
            forked: whether two histories of an origin are proved.

        """
        self._granted.pop(origin, None)
        over = len(several) - KEPT_MAX + 1
        if over <= 0:
            return []
        going = [one for one in sorted(several, key=lambda one: one.ordinal)[STAY:] if not forked(one.origin)][:over]
        self.dropped += ((one.origin, one.size) for one in going)
        return going
