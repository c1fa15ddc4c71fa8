"""The tree of one log over its entry hashes, in files: full tiles as C2SP tlog-tiles, and what is partial beside them.

It can be made again from the log, so what is damaged is thrown away; what it proves is checked by whoever gets a proof.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from mesh.node.places import DamagedError
from recorder.core import cbor
from recorder.core.errors import FormatError, Misuse
from recorder.core.limits import HASH_BYTES, TILE_WIDTH
from recorder.core.merkle import root_of
from recorder.core.tiles import TileReader, TileTree, tile_path
from recorder.store.layout import replace_file, sync_dir

TREE = "tree"
WAITING_MAX = 256  # tiles, 2 MiB: of 65,536 entries


class LogTree:
    """Grows by entry hashes; `save` makes durable how far it has come.  Used from one thread."""

    def __init__(self, directory: Path) -> None:
        """Go on from what is kept; where nothing is, or it is damaged, from the beginning."""
        self.is_damaged = False  # a tile was found to be: what is here has to be made again
        self._directory = directory
        self._tree = _kept(directory / TREE)
        self._saved: int | None = self._tree.size or None  # entries of the file
        self._waiting: dict[Path, bytes] = {}  # tiles that could not be written, oldest first
        self._above: set[Path] = set()  # directories of tiles that were written
        self._synced: set[Path] = set()  # those whose names in them are durable

    @property
    def size(self) -> int:
        """Entries in the tree."""
        return self._tree.size

    def root(self) -> bytes:
        """Root over all of them."""
        return self._tree.root()

    def append(self, hashes: Iterable[bytes]) -> None:
        """Take the next entry hashes; full tiles are durable at once where the disk takes them, else before `save`."""
        for one in hashes:
            for tile in self._tree.append(one):
                self._waiting[self._directory / tile_path(tile.level, tile.index)] = tile.hashes
                if len(self._waiting) > WAITING_MAX:
                    del self._waiting[
                        next(iter(self._waiting))
                    ]  # the tree is made again from the log when it is asked for
                with suppress(OSError):  # `save` says it
                    self._write()

    def save(self) -> None:
        """Make durable how far the tree has come; raises OSError, and then it goes on in memory."""
        if self._saved == self.size:
            return
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write()
        for one in sorted(self._above - self._synced, reverse=True):  # `replace_file` syncs the one that a tile is in
            sync_dir(one)
            self._synced.add(one)
        replace_file(self._directory / TREE, cbor.encode([1, self.size, self._tree.snapshot()]), 0o600)
        self._saved = self.size

    def forget(self) -> None:
        """Begin anew: what is here is not the log's tree."""
        self._tree = TileTree()
        self._waiting.clear()
        self._saved = None
        self.is_damaged = False

    def tile(self, level: int, index: int, width: int = TILE_WIDTH) -> bytes:
        """Hashes of a tile, as many as `width` says.

        Raises:
            Misuse: the tree has no such tile.
            DamagedError: a tile that does not hash to the node above it, or cannot be read.

        """
        partial = self._tree.snapshot()
        full, rest = divmod(self.size >> (8 * level), TILE_WIDTH)
        if index == full and width <= rest:
            return partial[level][: width * HASH_BYTES]
        if not 0 <= index < full:
            raise Misuse(f"no tile {tile_path(level, index, width)} in a tree of {self.size} entries")
        path = self._directory / tile_path(level, index)
        try:
            hashes = self._waiting.get(path) or path.read_bytes()
        except OSError as error:
            self.is_damaged = True
            raise DamagedError(f"cannot read {path}: {error.strerror}") from error
        above = index % TILE_WIDTH * HASH_BYTES
        node = self.tile(level + 1, index // TILE_WIDTH, index % TILE_WIDTH + 1)[above : above + HASH_BYTES]
        listed = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
        if len(hashes) != TILE_WIDTH * HASH_BYTES or root_of(listed) != node:
            self.is_damaged = True
            raise DamagedError(f"{path} is damaged: it does not lead to the node above it")
        return hashes[: width * HASH_BYTES]

    def reader(self) -> TileReader:
        """Reads nodes of the tree as it is now; its errors are those of `tile`."""
        return TileReader(self.tile, self.size)

    def _write(self) -> None:
        """Write the tiles that wait."""
        for path in list(self._waiting):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(path, self._waiting[path], 0o600)
            self._above |= {one for one in path.parents if one.is_relative_to(self._directory)}
            del self._waiting[path]


def _kept(path: Path) -> TileTree:
    try:
        match cbor.decode(path.read_bytes()):
            case [1, int(size), list(partial)]:
                return TileTree.restore(size, partial)
    except (OSError, FormatError, Misuse):
        pass  # made again from the log
    return TileTree()
