"""Hashes ahead of the tree that is proved: peers claimed them, and they count for nothing before a head covers them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mesh.ranges import Range
from recorder.core.errors import Misuse
from recorder.core.limits import HASH_BYTES

AHEAD_MAX = 4_096  # hashes that may wait for a head, 0.5 MB of Python objects; who is farther behind jumps


class Claimed(NamedTuple):
    """What became of claimed hashes, in numbers."""

    new: int
    known: int
    contradicted: int  # another hash was claimed for the same entry before; which is right, a head will show
    beyond: int  # too far ahead to keep; pulled in their turn


class Ahead:
    """The hashes of one log that wait, by seq; they are not kept over a restart, but pulled again."""

    __slots__ = ("_hashes",)

    def __init__(self) -> None:
        self._hashes: dict[int, bytes] = {}

    @property
    def count(self) -> int:
        """How many wait."""
        return len(self._hashes)

    def take(self, size: int, first: int, hashes: Sequence[bytes]) -> Claimed:
        """Take hashes of consecutive entries, from whomever.

        Args:
            size: entries that are proved already.
            first: seq of the first hash.
            hashes: of 32 bytes.

        Raises:
            Misuse: a hash that is not 32 bytes.

        """
        new = known = contradicted = beyond = 0
        for seq, value in enumerate(hashes, first):
            if len(value) != HASH_BYTES:
                raise Misuse(f"an entry hash has {HASH_BYTES} bytes, not {len(value)}")
            if seq < size:
                known += 1  # proved already: what is claimed now cannot matter
            elif seq >= size + AHEAD_MAX:
                beyond += 1
            elif (held := self._hashes.get(seq)) is None:
                self._hashes[seq] = value
                new += 1
            elif held == value:
                known += 1
            else:
                contradicted += 1
        return Claimed(new, known, contradicted, beyond)

    def run(self, first: int, end: int) -> list[bytes]:
        """Hashes from `first` on, as many as there are without a gap, before `end`."""
        hashes = []
        for seq in range(first, end):
            value = self._hashes.get(seq)
            if value is None:
                break
            hashes.append(value)
        return hashes

    def gaps(self, first: int, end: int, most: int) -> list[Range]:
        """What lacks between `first` and `end`, at most so many ranges."""
        ranges: list[Range] = []
        for seq in range(first, end):
            if seq in self._hashes:
                continue
            if ranges and ranges[-1][1] == seq:
                ranges[-1] = (ranges[-1][0], seq + 1)
            elif len(ranges) == most:
                break
            else:
                ranges.append((seq, seq + 1))
        return ranges

    def forget(self, first: int, end: int) -> None:
        """Let go of those from `first` on, before `end`."""
        for seq in [one for one in self._hashes if first <= one < end]:  # a log may say that it has 2^62 entries
            del self._hashes[seq]

    def clear(self) -> None:
        """Let go of all."""
        self._hashes.clear()
