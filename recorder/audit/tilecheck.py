"""Stored tiles against the entries that they were made of.

What is expected is kept as a digest a tile, 32 bytes for 256 entries and no object for any of them, until the entries
have been read: a segment is opened once at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256

from recorder.audit.extract import partial_tiles
from recorder.audit.source import HeldTile
from recorder.core.entry import entry_hash
from recorder.core.findings import Problem, problem
from recorder.core.limits import HASH_BYTES, TILE_WIDTH
from recorder.core.tiles import TileTree, tile_path

FAULTS_MAX = 100


_DIGEST_BYTES = 32
_SEEN = bytes(_DIGEST_BYTES)  # no tile has this digest


class TileCheck:
    """Grows the tree again."""

    def __init__(self) -> None:
        self._tree = TileTree()
        self._full: list[bytearray] = []  # by level, the digests of its full tiles in order

    def feed(self, raw: bytes) -> None:
        """Add the next entry."""
        for tile in self._tree.append(entry_hash(raw)):
            if tile.level == len(self._full):
                self._full.append(bytearray())
            self._full[tile.level] += sha256(tile.hashes).digest()

    def finish(self, tiles: Iterable[HeldTile], below: int, *, with_partial: bool) -> list[Problem]:
        """Compare.

        Args:
            tiles: those that are held.
            below: full tiles over leaves below this must be there.
            with_partial: those at the right edge must be there too.

        """
        partial: dict[tuple[int, int, int], bytes] = {}
        if with_partial:
            for tile in partial_tiles(self._tree):
                width = len(tile.hashes) // HASH_BYTES
                partial[tile.level, tile.index, width] = sha256(tile.hashes).digest()
        problems: list[Problem] = []
        for level, index, width, hashes in tiles:
            if width == TILE_WIDTH:
                expected = self._pop(level, index)
            else:
                expected = partial.pop((level, index, width), None)
            if expected != sha256(hashes).digest():
                why = "no entries lead to it" if expected is None else "its hashes are not those of the entries"
                problems.append(_fault(level, index, width, why))
        missing = [(level, index, TILE_WIDTH) for level, index in self._left(below)]
        problems += [_fault(*place, "it is not there") for place in (*missing, *partial)]
        return problems[:FAULTS_MAX]

    def _pop(self, level: int, index: int) -> bytes | None:
        """The digest of a full tile, once."""
        at = index * _DIGEST_BYTES
        if level >= len(self._full) or at >= len(self._full[level]):
            return None
        digest = bytes(self._full[level][at : at + _DIGEST_BYTES])
        self._full[level][at : at + _DIGEST_BYTES] = _SEEN
        return None if digest == _SEEN else digest

    def _left(self, below: int) -> Iterator[tuple[int, int]]:
        """Level and index of full tiles over leaves below this that were not among those held."""
        for level, digests in enumerate(self._full):
            for index in range(min(len(digests) // _DIGEST_BYTES, below // TILE_WIDTH ** (level + 1))):
                at = index * _DIGEST_BYTES
                if digests[at : at + _DIGEST_BYTES] != _SEEN:
                    yield level, index


def _fault(level: int, index: int, width: int, why: str) -> Problem:
    first = index * TILE_WIDTH ** (level + 1)
    return problem("tile_mismatch", first, f"{tile_path(level, index, width)}: {why}")
