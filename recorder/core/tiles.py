"""C2SP tlog-tiles: paths, entry bundles, a growing tree that keeps only partial tiles, and a reader of tiles.

A tile of level l holds up to 256 consecutive roots of complete subtrees of 256**l leaves.  Widths count hashes (or
entries) in a tile, indexes count tiles of one level; hashes are 32 bytes.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from recorder.core.errors import FormatError, Misuse
from recorder.core.limits import ENTRY_MAX_BYTES, HASH_BYTES, TILE_WIDTH
from recorder.core.merkle import SIZE_MAX, empty_root, parents_of, root_of

TILE_BITS = 8  # log2 of TILE_WIDTH: tree levels in one tile level
TILE_LEVEL_MAX = 63
CACHED_TILES = 16

_SIZE_BITS = SIZE_MAX.bit_length()
_PATH_MAX_CHARS = 64  # "tile/entries/", seven groups "x123/", ".p/255" fit
_INDEX = r"(?P<index>(?:x[0-9]{3}/)*[0-9]{3})"
_WIDTH = r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
_TILE_PATH = re.compile(rf"tile/(?P<level>[0-9]{{1,2}})/{_INDEX}{_WIDTH}")
_ENTRIES_PATH = re.compile(rf"tile/entries/{_INDEX}{_WIDTH}")


class Tile(NamedTuple):
    """A full tile: 256 hashes of one tile level, concatenated."""

    level: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks of a tile
    hashes: bytes


# --- Paths, as of the sections "Merkle Tree" and "Log entries" of tlog-tiles.


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Return `tile/<L>/<N>[.p/<W>]`.

    Raises:
        Misuse: level not in 0..63, index not in 0..2**63-1 or width not in 1..256.

    """
    if not 0 <= level <= TILE_LEVEL_MAX:
        raise Misuse(f"no tile has level {level}")
    return f"tile/{level}/{_index_and_width(index, width)}"


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return `tile/entries/<N>[.p/<W>]`; raises as `tile_path`."""
    return f"tile/entries/{_index_and_width(index, width)}"


def parse_tile_path(path: str) -> tuple[int, int, int]:
    """Return (level, index, width) of what `tile_path` returns and nothing else.

    Raises:
        FormatError: "tile_path".

    """
    match, index, width = _matched(_TILE_PATH, path)
    level = int(match["level"])
    if level > TILE_LEVEL_MAX or tile_path(level, index, width) != path:
        raise FormatError("tile_path", f"{path!r} is no tile's path")
    return level, index, width


def parse_entries_path(path: str) -> tuple[int, int]:
    """Return (index, width) of what `entries_path` returns and nothing else; raises as `parse_tile_path`."""
    _, index, width = _matched(_ENTRIES_PATH, path)
    if entries_path(index, width) != path:
        raise FormatError("tile_path", f"{path!r} is no entry bundle's path")
    return index, width


def _index_and_width(index: int, width: int) -> str:
    if not 0 <= index <= SIZE_MAX:
        raise Misuse(f"no tile has index {index}")
    if not 1 <= width <= TILE_WIDTH:
        raise Misuse(f"no tile has width {width}")
    text = f"{index % 1000:03}"
    while index := index // 1000:
        text = f"x{index % 1000:03}/{text}"
    return text if width == TILE_WIDTH else f"{text}.p/{width}"


def _matched(pattern: re.Pattern[str], path: str) -> tuple[re.Match[str], int, int]:
    match = pattern.fullmatch(path) if len(path) <= _PATH_MAX_CHARS else None
    if match is None:
        raise FormatError("tile_path", f"{path[:_PATH_MAX_CHARS]!r} has not the form of a path")
    index = int(match["index"].replace("/", "").replace("x", ""))
    width = TILE_WIDTH if match["width"] is None else int(match["width"])
    if index > SIZE_MAX or width > TILE_WIDTH:
        raise FormatError("tile_path", f"index or width out of range in {path!r}")
    return match, index, width


# --- Entry bundles, as of the section "Log entries" of tlog-tiles.


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Concatenate 1 to 256 entries, each behind its length as a big-endian u16.

    Raises:
        Misuse: no entry, more than 256, or one longer than 65,535 bytes.

    """
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise Misuse(f"a bundle has 1 to {TILE_WIDTH} entries, not {len(entries)}")
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > ENTRY_MAX_BYTES:
            raise Misuse(f"an entry has at most {ENTRY_MAX_BYTES} bytes, not {len(entry)}")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def decode_bundle(bundle: bytes, width: int) -> list[bytes]:
    """Split a bundle of exactly `width` entries, the number that its path states.

    Raises:
        FormatError: "entry_bundle": truncated, trailing bytes or another number of entries.
        Misuse: width not in 1..256.

    """
    if not 1 <= width <= TILE_WIDTH:
        raise Misuse(f"a bundle has 1 to {TILE_WIDTH} entries, not {width}")
    entries: list[bytes] = []
    at = 0
    for _ in range(width):
        start = at + 2
        at = start + int.from_bytes(bundle[at:start], "big")
        if start > len(bundle) or at > len(bundle):
            raise FormatError("entry_bundle", f"ends within entry {len(entries)} of {width}")
        entries.append(bundle[start:at])
    if at != len(bundle):
        raise FormatError("entry_bundle", f"{len(bundle) - at} bytes follow the last of {width} entries")
    return entries


# --- The growing tree


class TileTree:
    """An append-only tree that holds nothing but its partial tiles, the widths of which are its size in base 256."""

    __slots__ = ("_partial", "_size")

    def __init__(self, size: int = 0, partial: list[list[bytes]] | None = None) -> None:
        """Continue a tree of `size` leaves from the hashes of its partial tiles, level 0 first (copied).

        Raises:
            FormatError: "tree_state": a level missing, too many, or of another width than the size asks for.

        """
        self._partial = [list(hashes) for hashes in partial or ()]
        self._size = size
        expected = partial_widths(size) if 0 <= size <= SIZE_MAX else None
        found = [len(hashes) for hashes in self._partial]
        if found != expected:
            raise FormatError("tree_state", f"partial tiles of widths {found}; a tree of {size} leaves has {expected}")
        if any(len(value) != HASH_BYTES for hashes in self._partial for value in hashes):
            raise FormatError("tree_state", f"a hash that is not {HASH_BYTES} bytes long")

    @classmethod
    def restore(cls, size: int, snapshot: Sequence[bytes]) -> TileTree:
        """Rebuild the tree of which `snapshot()` was taken at this size; raises as the constructor."""
        if any(len(level) % HASH_BYTES for level in snapshot):
            raise FormatError("tree_state", f"a level that is not a multiple of {HASH_BYTES} bytes long")
        return cls(size, [_hashes_in(level) for level in snapshot])

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._size

    def append(self, leaf_hash: bytes) -> list[Tile]:
        """Add a leaf and return the tiles that it completed, level 0 first.

        Raises:
            Misuse: the hash is not 32 bytes.

        """
        if len(leaf_hash) != HASH_BYTES:
            raise Misuse(f"a leaf hash has {HASH_BYTES} bytes, not {len(leaf_hash)}")
        if self._size == 0:
            self._partial.append([])
        self._size += 1
        hashes = self._partial[0]
        hashes.append(leaf_hash)
        if len(hashes) < TILE_WIDTH:
            return []
        return self._complete()

    def _complete(self) -> list[Tile]:
        tiles: list[Tile] = []
        level = 0
        while len(hashes := self._partial[level]) == TILE_WIDTH:
            subtree_leaves = TILE_WIDTH ** (level + 1)
            tiles.append(Tile(level, self._size // subtree_leaves - 1, b"".join(hashes)))
            self._partial[level] = []
            level += 1
            if level == len(self._partial):
                self._partial.append([])
            self._partial[level].append(root_of(hashes))
        return tiles

    def root(self) -> bytes:
        """Return the root over all leaves, at most 255 hashings for each tile level."""
        root: bytes | None = None
        for hashes in self._partial:
            # What lies right of a level's hashes is smaller than any of them: it hashes like one more node.
            nodes = hashes if root is None else [*hashes, root]
            root = root_of(nodes) if nodes else None
        return empty_root() if root is None else root

    def copy(self) -> TileTree:
        """Return a tree that grows apart from this one."""
        tree = TileTree()
        tree._size = self._size
        tree._partial = [hashes.copy() for hashes in self._partial]
        return tree

    def snapshot(self) -> list[bytes]:
        """Return the hashes of each level's partial tile, concatenated, level 0 first; [] for the empty tree."""
        return [b"".join(hashes) for hashes in self._partial]


def partial_widths(size: int) -> list[int]:
    """Return the width of the partial tile of each level, 0 where there is none: the base-256 digits of size."""
    widths = []
    while size:
        widths.append(size % TILE_WIDTH)
        size //= TILE_WIDTH
    return widths


# --- Reading


class TileReader:
    """A `merkle.NodeReader` over the tiles of a tree of `size` leaves, with the latest few tiles kept.

    `fetch(level, index, width)` returns width * 32 bytes; its errors pass through.  Nothing here checks the hashes:
    a proof made of wrong tiles fails at its verification.
    """

    def __init__(self, fetch: Callable[[int, int, int], bytes], size: int, cached_tiles: int = CACHED_TILES) -> None:
        """Read the tree of `size` leaves through `fetch`.

        Raises:
            Misuse: size not in 0..2**63-1 or no place for a tile in the cache.

        """
        if not 0 <= size <= SIZE_MAX or cached_tiles < 1:
            raise Misuse(f"no reader of {size} leaves with {cached_tiles} tiles cached")
        self._fetch = fetch
        self._size = size
        self._cached_tiles = cached_tiles
        # Each tile with the levels above its hashes, as far as they were asked for; least recently used first.
        self._tiles: OrderedDict[tuple[int, int], list[list[bytes]]] = OrderedDict()

    def node(self, level: int, index: int) -> bytes:
        """Return the root of the complete subtree of 2**level leaves starting at leaf index << level.

        Raises:
            Misuse: the tree has no such complete subtree.
            FormatError: "tile_malformed": the tile fetched has another width.

        """
        if not 0 <= level < _SIZE_BITS or index < 0 or (index + 1) << level > self._size:
            raise Misuse(f"node ({level}, {index}) is not complete in a tree of {self._size} leaves")
        tile_level, inner_level = divmod(level, TILE_BITS)
        tile_index, inner_index = divmod(index, TILE_WIDTH >> inner_level)
        levels = self._tile(tile_level, tile_index)
        while len(levels) <= inner_level:
            levels.append(parents_of(levels[-1]))
        return levels[inner_level][inner_index]

    def _tile(self, level: int, index: int) -> list[list[bytes]]:
        cached = self._tiles.get((level, index))
        if cached is not None:
            self._tiles.move_to_end((level, index))
            return cached
        width = min(TILE_WIDTH, (self._size >> (TILE_BITS * level)) - index * TILE_WIDTH)
        tile = self._fetch(level, index, width)
        if len(tile) != width * HASH_BYTES:
            raise FormatError("tile_malformed", f"{len(tile)} bytes for {tile_path(level, index, width)}")
        levels = self._tiles[level, index] = [_hashes_in(tile)]
        if len(self._tiles) > self._cached_tiles:
            self._tiles.popitem(last=False)
        return levels


def _hashes_in(concatenated: bytes) -> list[bytes]:
    return [concatenated[at : at + HASH_BYTES] for at in range(0, len(concatenated), HASH_BYTES)]
