"""Stored tiles against the entries that they were made of.

What is expected is kept as a digest a tile, 32 bytes for 256 entries, until the entries have been read: a segment is
opened once at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from recorder.audit.extract import partial_tiles
from recorder.audit.source import HeldTile
from recorder.core.entry import entry_hash
from recorder.core.limits import HASH_BYTES, TILE_WIDTH
from recorder.core.tiles import Tile, TileTree, tile_path
from recorder.core.verdict import Problem, problem

FAULTS_MAX = 100


class TileCheck:
    """Grows the tree again."""

    def __init__(self) -> None:
        self._tree = TileTree()
        self._expected: dict[tuple[int, int, int], bytes] = {}

    def feed(self, raw: bytes) -> None:
        """Add the next entry."""
        for tile in self._tree.append(entry_hash(raw)):
            self._expect(tile)

    def finish(self, tiles: Iterable[HeldTile], below: int, *, with_partial: bool) -> list[Problem]:
        """Compare.

        Args:
            tiles: those that are held.
            below: full tiles over leaves below this must be there.
            with_partial: those at the right edge must be there too.

        """
        if with_partial:
            for tile in partial_tiles(self._tree):
                self._expect(tile)
        problems: list[Problem] = []
        for level, index, width, hashes in tiles:
            expected = self._expected.pop((level, index, width), None)
            if expected != sha256(hashes).digest():
                why = "no entries lead to it" if expected is None else "its hashes are not those of the entries"
                problems.append(_fault(level, index, width, why))
        for level, index, width in self._expected:
            end = (index + 1) * TILE_WIDTH ** (level + 1)
            if end <= below or (with_partial and width < TILE_WIDTH):
                problems.append(_fault(level, index, width, "it is not there"))
        return problems[:FAULTS_MAX]

    def _expect(self, tile: Tile) -> None:
        width = len(tile.hashes) // HASH_BYTES
        self._expected[tile.level, tile.index, width] = sha256(tile.hashes).digest()


def _fault(level: int, index: int, width: int, why: str) -> Problem:
    first = index * TILE_WIDTH ** (level + 1)
    return problem("tile_mismatch", first, f"{tile_path(level, index, width)}: {why}")
