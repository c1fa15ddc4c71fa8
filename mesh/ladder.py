"""Heads that are kept of one log, dense near the end and sparse towards the beginning.

After a partition two sides compare old heads, and a history that parted long ago must still be found.  So of the older
heads one is kept for each power of two of their distance from the newest, the oldest there.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import NamedTuple

from recorder.core.checkpoint import Checkpoint, parse_checkpoint
from recorder.core.errors import Misuse
from recorder.core.forks import ForkProof, fork_of
from recorder.core.note import parse_note

NEWEST_KEPT = 32


class Rung(NamedTuple):
    """A head, and the note by which its log signed it."""

    head: Checkpoint
    note: bytes


class Ladder:
    """Signed heads of one origin by size; every one was verified before it came here."""

    __slots__ = ("_rungs", "dropped", "origin")

    def __init__(self, origin: str, notes: Iterable[bytes] = (), dropped: int = 0) -> None:
        """Take notes that were kept.

        Raises:
            FormatError: one is no checkpoint.
            Misuse: of another origin, or two of one size.

        """
        self.origin = origin
        self.dropped = dropped  # heads that were kept once and are not any more
        self._rungs = sorted((_rung(note) for note in notes), key=_size)
        sizes = {rung.head.size for rung in self._rungs}
        if len(sizes) != len(self._rungs) or any(rung.head.origin != origin for rung in self._rungs):
            raise Misuse(f"these are not heads of {origin}, one for each size")

    @property
    def rungs(self) -> list[Rung]:
        """All that are kept, by size."""
        return list(self._rungs)

    def at(self, size: int) -> Rung | None:
        """The head of this size."""
        at = bisect_left(self._rungs, size, key=_size)
        return self._rungs[at] if at < len(self._rungs) and self._rungs[at].head.size == size else None

    def add(self, note: bytes, keep: int = 0) -> ForkProof | None:
        """Add a head that the log signed; return the proof if it contradicts the one of its size, which stays.

        Args:
            note: verified.
            keep: size of a head that must not be dropped.

        Raises:
            Misuse: it is of another origin.

        """
        rung = _rung(note)
        if rung.head.origin != self.origin:
            raise Misuse(f"a head of {rung.head.origin} on the ladder of {self.origin}")
        if (held := self.at(rung.head.size)) is not None:
            return fork_of(held.note, note)
        insort(self._rungs, rung, key=_size)
        self._thin(keep)
        return None

    def remove(self, note: bytes, above: int) -> None:
        """Drop a head of more than `above` entries, and count it.

        Raises:
            Misuse: there is none with this note.

        """
        kept = [rung for rung in self._rungs if rung.note != note or rung.head.size <= above]
        if len(kept) == len(self._rungs):
            raise Misuse(f"no such head of {self.origin} above {above} entries")
        self._rungs = kept
        self.dropped += 1

    def _thin(self, keep: int) -> None:
        newest = self._rungs[-1].head.size
        kept: list[Rung] = []
        distances: set[int] = set()
        for rung in self._rungs[:-NEWEST_KEPT]:  # the smallest first, so each distance keeps its oldest
            distance = (newest - rung.head.size).bit_length()
            if distance not in distances or rung.head.size == keep:
                distances.add(distance)
                kept.append(rung)
        kept += self._rungs[-NEWEST_KEPT:]
        self.dropped += len(self._rungs) - len(kept)
        self._rungs = kept


def _size(rung: Rung) -> int:
    return rung.head.size


def _rung(note: bytes) -> Rung:
    return Rung(parse_checkpoint(parse_note(note).text), note)
