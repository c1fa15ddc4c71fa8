"""One log of a peer as it is kept here: the archive, its files, and what is read out of them.  Used from one thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mesh.archive import Archive
from mesh.histories import Told, told_of
from mesh.node.archivefiles import ArchiveFiles, Kept
from mesh.node.places import DamagedError, NotKeptError
from mesh.node.serving import hashes_of
from mesh.ranges import Range
from recorder.core.errors import FormatError, Misuse
from recorder.core.forks import ForkProof, fork_of
from recorder.core.limits import HASH_BYTES, TILE_WIDTH
from recorder.core.merkle import root_at, root_of
from recorder.core.tiles import TILE_BITS, TileReader, partial_widths, tile_path

CACHED_TILES = 4  # while one question is answered
UNSYNCED_MAX = 64  # tiles, 512 KiB: more are made durable at once, some 0.3 s of a card's time


class Learned(NamedTuple):
    """What became of hashes and heads."""

    moved: bool  # more is proved than before
    unproved: list[Range]  # hashes that lead to none of the heads, let go
    forks: list[ForkProof]


class PeerLog:
    """An archive over its files."""

    def __init__(self, directory: Path, origin: str, ordinal: int, say: Callable[[str], None]) -> None:
        """Go on from what is kept; what is damaged is thrown away, said, and pulled again.

        Args:
            directory: of this archive.
            origin: whose log.
            ordinal: where nothing is kept yet.
            say: tells a person.

        """
        self.origin = origin
        self.ordinal = ordinal
        self.is_changed = False  # since `keep`
        self._files = ArchiveFiles(directory)
        self._say = say
        self.archive = self._opened()

    # --- Growing

    def learn(self, first: int, hashes: Sequence[bytes], notes: Sequence[bytes] = ()) -> Learned:
        """Take claimed hashes and heads that the log signed, and prove what can be."""
        forks = []
        self.archive.claim(first, hashes)
        for note in notes:
            forks += self._hold(note)
        before = self.archive.size
        advance = self.archive.advance()
        self._files.put(advance.tiles)
        for note in advance.contradicted:
            with suppress(NotKeptError):  # a tile that is damaged on the disk: a peer that holds it finds the fork
                found = self.archive.contradiction(note, self.reader())
                forks += [] if found is None else [found]
        self.is_changed |= bool(notes) or self.archive.size > before
        self._keep_if_much()
        return Learned(self.archive.size > before, advance.unproved, forks)

    def jump(self, note: bytes, proof: Sequence[bytes], partial: Sequence[bytes]) -> None:
        """Go on from a head far ahead; raises as `Archive.jump`, and then nothing has changed."""
        known = any(rung.note == note for rung in self.archive.heads)
        if not known and self.archive.add_head(note) is not None:
            raise FormatError("consistency_proof", "another head of this size is kept")
        try:
            self.archive.jump(note, proof, partial)
        except FormatError:
            if not known:
                self.archive.disregard(note)
            raise
        self.is_changed = True
        self._recover()

    def fill(self, level: int, index: int, hashes: Sequence[bytes]) -> None:
        """Take a full tile that was jumped over or dropped; raises as `Archive.fill`, and what the reader raises."""
        self._files.put([self.archive.fill(level, index, hashes, self.reader())])
        self.is_changed = True
        if level:
            self._recover()
        self._keep_if_much()

    def shed(self, hashes_max: int) -> int:
        """Let the oldest tiles go until at most so many hashes are held; how many tiles went."""
        going = self.archive.shed(hashes_max)
        self._files.drop(going)
        self.is_changed |= bool(going)
        return len(going)

    @property
    def above(self) -> int:
        """Tiles above level 0 that are there."""
        return len(self._files.above)

    def shed_above(self, most: int) -> int:
        """Let at most so many tiles above level 0 go, the oldest, below which nothing is held; how many went."""
        going: list[tuple[int, int]] = []
        for level, index in sorted(self._files.above, key=lambda one: (one[1] + 1) << (TILE_BITS * one[0])):
            width = TILE_WIDTH ** (level + 1)
            if len(going) < most and self._is_all_missing(index * width, (index + 1) * width):
                going.append((level, index))
        for level, index in going:
            self._files.delete(level, index)
        return len(going)

    def keep(self) -> bool:
        """Make durable what is here; whether anything had to be written.  Raises OSError."""
        if not self.is_changed and not self._files.unsynced:
            return False
        self._files.keep(Kept(self.origin, self.ordinal, self.archive.state()))
        self.is_changed = False
        return True

    def remove(self) -> None:
        """Delete all that is kept; this object is not used afterwards.  Raises OSError."""
        self._files.remove()

    # --- Comparing

    def contradiction(self, told: Told, note: bytes) -> ForkProof | None:
        """Hold a head of at most `size` entries, which the log signed, against what is kept.

        Raises:
            NotKeptError: what would be needed is not kept.

        """
        rung = next((one for one in self.archive.heads if one.head.size == told.head.size), None)
        if rung is not None:
            return fork_of(rung.note, note)
        return self.archive.contradiction(note, self.reader())

    def root_at(self, size: int) -> bytes:
        """Root over the first entries.

        Raises:
            NotKeptError: what would be needed is not kept.
            Misuse: it is more than is proved.

        """
        rung = next((one for one in self.archive.heads if one.head.size == size <= self.archive.size), None)
        return rung.head.root if rung is not None else root_at(self.reader(), size)

    # --- Serving

    def told(self) -> Told | None:
        """The head that the tree stands on."""
        rung = self.archive.proved
        return None if rung is None else told_of(rung.note)

    def hashes(self, first: int, end: int) -> bytes:
        """Hashes of entries, proved and then claimed ones, as many as are there without a gap."""
        found = hashes_of(self, first, end)
        at = first + len(found) // HASH_BYTES
        return found if at < self.size else found + b"".join(self.archive.ahead(at, end))

    @property
    def size(self) -> int:
        """Entries that are proved."""
        return self.archive.size

    def tile(self, level: int, index: int, width: int = TILE_WIDTH) -> bytes:
        """Hashes of a tile, as many as `width` says.

        Raises:
            Misuse: the tree has no such tile.
            NotKeptError: it was jumped over or dropped, or it was damaged; then it is pulled again.

        """
        full, rest = divmod(self.archive.size >> (TILE_BITS * level), TILE_WIDTH)
        if index == full and width <= rest:
            return self.archive.partial[level][: width * HASH_BYTES]
        if not 0 <= index < full:
            raise Misuse(f"no tile {tile_path(level, index, width)} in a tree of {self.archive.size} entries")
        if level or not self._is_missing(index):
            hashes = self._sound(level, index)
            if hashes is not None:
                return hashes[: width * HASH_BYTES]
        raise NotKeptError(f"{tile_path(level, index)} of {self.origin} is not kept here")

    def reader(self) -> TileReader:
        """Reads nodes of the proved tree; its errors are those of `tile`."""
        return TileReader(self.tile, self.archive.size, CACHED_TILES)

    # --- Filling in

    def wanted(self, most: int, allowed: int) -> list[tuple[int, int]]:
        """Tiles to pull next, as (level, index): the newest first, and none before the one above it is there.

        Args:
            most: of them.
            allowed: hashes in full tiles that this log may have; older ones give way to what is pulled.

        """
        levels = len(partial_widths(self.size))
        found: dict[tuple[int, int], None] = {}
        above, newer = (
            self.size // TILE_WIDTH,
            0,
        )  # tiles from `above` on were looked at, so many of them are or will be held
        for first, end in reversed(self.archive.missing):
            newer += above - end // TILE_WIDTH
            above = first // TILE_WIDTH
            for index in range(end // TILE_WIDTH - 1, above - 1, -1):
                newer += 1
                if len(found) >= most or newer * TILE_WIDTH > allowed:
                    return list(found)
                found[self._first_absent(index, levels)] = None
        return list(found)

    def _first_absent(self, index: int, levels: int) -> tuple[int, int]:
        """The tile of hashes, or the highest one above it that is not there."""
        for level in range(levels - 1, 0, -1):
            above = index >> (TILE_BITS * level)
            is_full = above < self.archive.size >> (TILE_BITS * (level + 1))
            if is_full and not self._files.has(level, above):
                return level, above
        return 0, index

    def _hold(self, note: bytes) -> list[ForkProof]:
        """Take a head that the log signed: above what is proved it waits, below it is held against the tree."""
        told = told_of(note)
        if told.head.size > self.archive.size:
            found = self.archive.add_head(note)
            return [] if found is None else [found]
        if told.head.size == 0:
            return []
        try:
            found = self.contradiction(told, note)
        except NotKeptError:
            return []  # a peer that holds the tiles finds it
        return [] if found is None else [found]

    def _is_missing(self, index: int) -> bool:
        first = index * TILE_WIDTH
        return any(low <= first < end for low, end in self.archive.missing)

    def _is_all_missing(self, first: int, end: int) -> bool:
        return any(low <= first and end <= high for low, high in self.archive.missing)

    def _sound(self, level: int, index: int) -> bytes | None:
        """A tile that leads to the node above it; one that does not is thrown away."""
        try:
            hashes = self._files.tile(level, index)
            if hashes is not None:
                listed = _split(hashes)
                if root_of(listed) == self._node(level + 1, index):
                    return hashes
                fault = "it does not lead to the node above it"
            elif level:
                return None  # jumped over, and not pulled yet
            else:
                fault = "it is gone"
        except DamagedError as error:
            fault = str(error)
        self._say(f"{tile_path(level, index)} of {self.origin}: {fault}; it is pulled again")
        self._files.delete(level, index)
        if level == 0:
            self.archive.lose(index)
            self.is_changed = True
        return None

    def _node(self, level: int, index: int) -> bytes:
        """The first node of a tile one level up."""
        tile, at = divmod(index, TILE_WIDTH)
        return self.tile(level, tile, at + 1)[at * HASH_BYTES :]

    def _opened(self) -> Archive:
        try:
            kept = self._files.read(self.origin)
            archive = Archive(self.origin, None if kept is None else kept.state)
        except (DamagedError, FormatError, Misuse) as error:
            self._say(f"the archive of {self.origin} is begun anew: {error}")
            kept, archive = None, Archive(self.origin)
        if kept is not None:
            self.ordinal = kept.ordinal
            self.archive = archive
            self._recover()
        return archive

    def _recover(self) -> None:
        """Count tiles that are there though the state misses them: pulled before a crash, or let go and not deleted."""
        if not self.archive.missing:
            return
        for index in self._files.indexes():
            if (index + 1) * TILE_WIDTH > self.archive.size or not self._is_missing(index):
                continue
            try:
                hashes = self._files.tile(0, index)
                if hashes is not None:
                    self.archive.fill(0, index, _split(hashes), self.reader())
                    self.is_changed = True
            except NotKeptError:
                continue  # the tile above it is to be pulled first
            except (DamagedError, FormatError):
                self._files.delete(0, index)  # of a write that a crash cut off

    def _keep_if_much(self) -> None:
        if self._files.unsynced > UNSYNCED_MAX:
            self.keep()


def _split(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
