"""Which archives give way where room is short.

Of each platform every incarnation has an archive.  The one in force gives way first, down to half of the platform's
share; then the oldest of those that are over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mesh.node.incarnations import Summary
from mesh.node.peerlog import PeerLog
from recorder.core.limits import HASH_BYTES, TILE_WIDTH

MIB = 1 << 20
ABOVE_MIN, ABOVE_PART = 64, 8  # tiles above level 0 of one platform: an eighth as many as of hashes, at least so many


class ArchiveRoom:
    """The bounds of one platform and of all, and the shedding of what is over."""

    def __init__(
        self,
        room: tuple[float, float],
        known: Mapping[str, Summary],
        opened: Callable[[str], PeerLog],
        noted: Callable[[PeerLog], None],
    ) -> None:
        """Make it.

        Args:
            room: MiB of hashes of one platform, and of all.
            known: all archives, as they stand.
            opened: an archive, by its origin.
            noted: to be called with one that has shed something, so that `known` tells it.

        """
        self._per_line, self._total = (int(mib * MIB) // HASH_BYTES for mib in room)
        self._known = known
        self._opened = opened
        self._noted = noted

    def allowed(self, origin: str) -> int:
        """Hashes in full tiles that a log may have: what others of its platform leave, at least half for the latest."""
        known = self._known[origin]
        others = [one for one in self._known.values() if one.line == known.line and one.origin != origin]
        left = self._per_line - sum(one.holds for one in others)
        if all(one.ordinal < known.ordinal for one in others):
            left = max(left, self._per_line // 2)
        return min(left, known.holds + self._total - sum(one.holds for one in self._known.values()))

    def bound(self, line: str) -> None:
        """Shed what is too much of one platform, then of all."""
        ours = sorted((one for one in self._known.values() if one.line == line), key=lambda one: one.ordinal)
        self.bound_above(line)
        over = sum(one.holds for one in ours) - self._per_line
        if over > 0:
            latest = ours[-1]
            over -= self._shed(latest, max(self._per_line // 2, latest.holds - over))
            for one in ours[:-1]:
                over -= self._shed(one, max(0, one.holds - over)) if over > 0 else 0
        over = sum(one.holds for one in self._known.values()) - self._total
        while over > 0:
            most = max(self._known.values(), key=lambda one: one.holds)
            gone = self._shed(most, most.holds - min(over, max(TILE_WIDTH, most.holds // 8)))
            if not gone:
                break
            over -= gone

    def bound_above(self, line: str, room: int = 0) -> bool:
        """Have room for so many more tiles above level 0; whether there is.

        A log may say that it has any number of entries, and what leads to the newest of them is pulled after each jump.
        """
        most = max(ABOVE_MIN, self._per_line // TILE_WIDTH // ABOVE_PART)
        ours = sorted((one for one in self._known.values() if one.line == line), key=lambda one: one.ordinal)
        over = sum(one.above for one in ours) + room - most
        for one in ours:
            if over > 0 and one.above:
                log = self._opened(one.origin)
                over -= log.shed_above(over)
                self._noted(log)
        return over <= 0

    def _shed(self, one: Summary, hashes_max: int) -> int:
        if one.holds <= hashes_max:
            return 0
        log = self._opened(one.origin)
        before = log.archive.holds
        log.shed(hashes_max)
        self._noted(log)
        return before - log.archive.holds
