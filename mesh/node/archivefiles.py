"""One archive in files: tiles of hashes, and a state that counts them once they are durable.

DIRECTORY/state        SHA-256 of what follows, and CBOR `[1, origin, ordinal, size, partial, notes, missing, dropped]`
DIRECTORY/tile/L/N     full tiles, as of C2SP tlog-tiles

Tiles are written as they come and synced by `keep`, so that a card wears by what is kept and not by how often.  If we
crash before `keep` has renamed the state, the old one stands: it counts none of the new tiles, whatever is left of
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

from mesh.archive import State
from mesh.node.places import DamagedError
from recorder.core import cbor
from recorder.core.errors import FormatError
from recorder.core.limits import HASH_BYTES, TILE_WIDTH
from recorder.core.tiles import Tile, parse_tile_path, tile_path
from recorder.store.layout import replace_file, sync_dir, sync_file

STATE = "state"
TILE_BYTES = TILE_WIDTH * HASH_BYTES
_FORM = 1


class Kept(NamedTuple):
    """What the state file of an archive says."""

    origin: str
    ordinal: int  # rises with each archive that is begun: which incarnation came later
    state: State


class ArchiveFiles:
    """The files of one archive; used from one thread.  Every call raises OSError of the disk."""

    def __init__(self, directory: Path) -> None:
        """Take a directory, which need not be there yet."""
        self.directory = directory
        self._unsynced: set[Path] = set()
        self._going: set[int] = set()  # tiles of level 0 that the next state no longer counts
        self.above = set(self._found_above())  # (level, index) of the tiles above level 0 that are there

    @property
    def unsynced(self) -> int:
        """Tiles that are not durable yet."""
        return len(self._unsynced)

    def read(self, origin: str | None = None) -> Kept | None:
        """Return what is kept; None where there is nothing.

        Raises:
            DamagedError: it is not what was written, or belongs to another origin than this.

        """
        path = self.directory / STATE
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        body = content[HASH_BYTES:]
        fault = "its hash does not hold"
        if sha256(body).digest() == content[:HASH_BYTES]:
            fault = "of another log, or not what this version keeps"
            try:
                kept = _kept(body)
                if kept is not None and origin in {None, kept.origin}:
                    return kept
            except FormatError as error:
                fault = error.detail
        raise DamagedError(f"{path} is damaged: {fault}")

    def put(self, tiles: Iterable[Tile]) -> None:
        """Write tiles; they are durable after `keep`."""
        for tile in tiles:
            path = self.directory / tile_path(tile.level, tile.index)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = path.with_name(f"{path.name}.tmp")
            temporary.write_bytes(tile.hashes)
            temporary.replace(path)
            self._unsynced.add(path)
            if tile.level == 0:
                self._going.discard(tile.index)
            else:
                self.above.add((tile.level, tile.index))

    def keep(self, kept: Kept) -> None:
        """Make durable what is written, then the state that counts it; then delete what it no longer counts."""
        self._sync()
        state = kept.state
        missing = [list(one) for one in state.missing]
        body = cbor.encode(
            [_FORM, kept.origin, kept.ordinal, state.size, state.partial, state.notes, missing, state.heads_dropped]
        )
        replace_file(self.directory / STATE, sha256(body).digest() + body, 0o600)
        for index in self._going:
            self._path(0, index).unlink(missing_ok=True)
        self._going.clear()

    def remove(self) -> None:
        """Delete it all.

        If we crash here, there is the whole of it, or no state, and then the rest is deleted at the next start.
        """
        (self.directory / STATE).unlink(missing_ok=True)
        if self.directory.is_dir():
            sync_dir(self.directory)
            rmtree(self.directory)

    def drop(self, indexes: Iterable[int]) -> None:
        """Have tiles of hashes deleted once a state without them is durable."""
        self._going.update(indexes)

    def tile(self, level: int, index: int) -> bytes | None:
        """A tile as it stands there, None where there is none; nothing is checked but its length.

        Raises:
            DamagedError: of another length.

        """
        path = self._path(level, index)
        try:
            hashes = path.read_bytes()
        except FileNotFoundError:
            return None
        if len(hashes) != TILE_BYTES:
            raise DamagedError(f"{path} has {len(hashes)} bytes, a tile has {TILE_BYTES}")
        return hashes

    def has(self, level: int, index: int) -> bool:
        """Whether there is such a tile."""
        return self._path(level, index).exists()

    def delete(self, level: int, index: int) -> None:
        """Delete a tile that is damaged, or above level 0; the state need not say so."""
        path = self._path(level, index)
        path.unlink(missing_ok=True)
        self._unsynced.discard(path)
        self.above.discard((level, index))

    def indexes(self) -> list[int]:
        """Tiles of hashes that are there, in order, whatever the state says of them."""
        return sorted(index for _, index in self._found(self.directory / "tile" / "0"))

    def _found_above(self) -> Iterator[tuple[int, int]]:
        for path in (self.directory / "tile").glob("[1-9]"):
            yield from self._found(path)

    def _found(self, below: Path) -> Iterator[tuple[int, int]]:
        for path in below.rglob("*"):
            try:
                yield parse_tile_path(path.relative_to(self.directory).as_posix())[:2]
            except FormatError:
                continue  # a directory, or the temporary file of a write that a crash cut off

    def _path(self, level: int, index: int) -> Path:
        return self.directory / tile_path(level, index)

    def _sync(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        above: set[Path] = {self.directory.parent}
        for path in self._unsynced:
            sync_file(path)
            above |= {one for one in path.parents if one.is_relative_to(self.directory)}
        for one in sorted(above, reverse=True):
            sync_dir(one)
        self._unsynced.clear()


def _kept(body: bytes) -> Kept | None:
    match cbor.decode(body):
        case [1, str(origin), int(ordinal), int(size), list(partial), list(notes), list(missing), int(dropped)]:
            ranges = [(first, end) for first, end in missing]
            return Kept(origin, ordinal, State(size, partial, notes, ranges, dropped))
    return None
