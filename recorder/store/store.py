"""The store of one incarnation, opened for writing: append, roll, read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from recorder.core.errors import Impossible
from recorder.core.limits import HASH_BYTES
from recorder.core.tiles import TILE_BITS, Tile
from recorder.store import prepare
from recorder.store.errors import StoreError
from recorder.store.layout import DATA, segment_dir
from recorder.store.level import Level, level_at
from recorder.store.record import Record, encode
from recorder.store.sealed import Sealed
from recorder.store.segment import Segment
from recorder.store.tail import Op, Tail

SEGMENT_BYTES = 64 * 1024 * 1024
RECORD_SHARE = 4  # a record takes at most this part of a segment
LIVE_MODE, SEALED_MODE = 0o600, 0o640


class Store:
    """An incarnation's segments, the newest of them writable.  One process, one thread."""

    def __init__(
        self, lineage: Path, segment_bytes: int, tail: Tail, live: Segment, live_first: int, ordinal: int
    ) -> None:
        """Use `opening.create_store` or `opening.open_store`."""
        self.lineage = lineage
        self.tail = tail
        self._segment_bytes = segment_bytes
        self._live = live
        self.live_first = live_first  # seq of the first entry of the live segment
        self._ordinal = ordinal
        self._sealed = Sealed(lineage)
        self.replaced: str | None = None  # what became of a segment that was made ahead, the last time that it happened
        self._rolled_bytes = 0
        self._preparer = prepare.Preparer(lineage, segment_bytes)
        if live.free_bytes < self.record_max_bytes:
            self._preparer.make_now(ordinal + 1)  # what is accepted from now on may need it
        else:
            self._preparer.start(ordinal + 1)

    def close(self) -> None:
        """Let go of the files; everything appended is durable already."""
        self._preparer.abort()
        self._live.close()
        self._sealed.close()

    @property
    def record_max_bytes(self) -> int:
        """What one record may take."""
        return self._segment_bytes // RECORD_SHARE

    @property
    def segments(self) -> int:
        """Segments so far, the live one included."""
        return self._ordinal

    @property
    def live_free_bytes(self) -> int:
        """Room left in the live segment."""
        return self._live.free_bytes

    @property
    def level(self) -> Level:
        """How much room there is for what comes: no next segment could be made, and the live one fills up."""
        free = self._live.free_bytes
        if free >= self.record_max_bytes:
            return Level.AMPLE
        # A first attempt that is under way is a reason to hope, and later to wait: without the segment a roll fails.
        # After a failure only a segment that is there counts.
        if self._preparer.failure is None and self._preparer.is_busy():
            if free >= self.record_max_bytes // 2:
                return Level.AMPLE
            self._preparer.wait()
        if self.has_next:
            return Level.AMPLE
        return level_at(free, self.record_max_bytes)

    @property
    def is_full(self) -> bool:
        """Whether only what has happened finds room."""
        return self.level is not Level.AMPLE

    @property
    def stored_bytes(self) -> int:
        """Written since it was opened, and what the live segment held then."""
        return self._rolled_bytes + self._live.used_bytes

    @property
    def has_next(self) -> bool:
        """Whether the next segment is made."""
        return segment_dir(self.lineage, self._ordinal + 1).exists()

    @property
    def segment_bytes(self) -> int:
        """Of segments that are made from now on."""
        return self._segment_bytes

    def forget(self, ordinal: int) -> None:
        """A sealed segment was rewritten: read the new file from now on, and let go of the old one's room."""
        self._sealed.forget(ordinal)

    def prepare_next(self) -> None:
        """Begin again to make the next segment, where the last attempt failed."""
        if self._preparer.failure is not None and not self._preparer.is_busy():
            self._preparer.start(self._ordinal + 1)

    @property
    def is_preparing(self) -> bool:
        """Whether the next segment is being made."""
        return self._preparer.is_busy()

    def hurry_next(self) -> None:
        """Somebody waits for the next segment: make it without pauses."""
        self._preparer.live_share = 1.0

    @property
    def is_sealed(self) -> bool:
        """Whether all entries lie in sealed segments."""
        return self.live_first == self.tail.size

    @property
    def prepare_failure(self) -> str | None:
        """Why the next segment could not be made ahead, if it could not."""
        return self._preparer.failure

    def append(
        self,
        raws: list[bytes],
        hashes: list[bytes],
        claims: list[bytes],
        operations: list[list[Any]],
        actuators: dict[int, int],
        bundles: dict[bytes, int],
    ) -> None:
        """Store entries in one transaction, durable on return.

        Args:
            raws: entries, the first with seq `tail.size`.
            hashes: theirs.
            claims: one byte string an entry.
            operations: those that the caller has already applied to `tail`.
            actuators: {actuator: offset of its last entry in `raws`}.
            bundles: the same for the policy axis.

        Raises:
            SyncFailedError: whether it is durable is not known; close, open again and see.
            StoreError: no next segment can be made; nothing was written.

        """
        first = self.tail.size
        tiles = self.tail.entries(hashes, actuators, bundles)
        value = encode(Record(raws, claims, [*operations, [Op.ENTRIES, actuators, bundles]]))
        needed = len(value) + sum(len(tile.hashes) for tile in tiles) + (4 + 2 * len(tiles)) * self._live.page_bytes
        if needed > self._live.free_bytes:
            if needed > self.record_max_bytes * 2:
                raise Impossible(f"a record of {needed} bytes; the writer bounds them to {self.record_max_bytes}")
            self._roll(first, value, tiles)
        else:
            self._live.append(first, value, tiles)
            self._preparer.live_share = self._live.used_bytes / self._live.map_bytes

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        """The first `width` hashes of a tile of the tree; None where it lies in a sealed segment.

        Raises:
            StoreDamagedError: the live segment cannot be read.

        """
        if index == self.tail.size >> (TILE_BITS * (level + 1)):
            found: bytes | None = self.tail.tree.snapshot()[level]
        else:
            found = self._live.tile(level, index)
        return None if found is None else found[: width * HASH_BYTES]

    def seal(self) -> None:
        """Roll to a new segment, so that all entries so far lie in sealed ones.

        Raises:
            StoreError: the next segment could not be made; nothing was changed.
            SyncFailedError: whether the roll is durable is not known.

        """
        if not self.is_sealed:
            self._roll(self.tail.size)

    def _roll(self, first_seq: int, value: bytes | None = None, tiles: Sequence[Tile] = ()) -> None:
        """Make the next segment the live one, with the record that did not fit into the old one.

        If we crash before its head is durable, it counts as prepared and the old one is still live; after it, the old
        one is sealed by that alone.  The snapshot in the head already includes the record, so they are one transaction.
        """
        path = self._next_segment()
        following = Segment(path, self._segment_bytes, live=True)
        following.begin(first_seq, self.tail.snapshot(), value, tiles)
        (self._live.path / DATA).chmod(SEALED_MODE)
        self._rolled_bytes += self._live.used_bytes
        self._live.close()
        self._live, self.live_first = following, first_seq
        self._ordinal += 1
        self._preparer.live_share = self._live.used_bytes / self._live.map_bytes
        self._preparer.start(self._ordinal + 1)

    def _next_segment(self) -> Path:
        """The segment that was made ahead, or one made now.

        One that has changed since is made anew.  It holds nothing, which only we know: the next start could not tell it
        from a live one that is damaged.
        """
        self._preparer.wait()
        path = segment_dir(self.lineage, self._ordinal + 1)
        broken = self._preparer.broken(path) if path.exists() else None
        if broken is not None:
            self.replaced = f"segment {path}, made ahead and still empty, was damaged and was made anew: {broken}"
            shutil.rmtree(path)
        if not path.exists():
            try:
                prepare.create(path, self._segment_bytes)
            except OSError as error:
                raise StoreError(f"could not make segment {path}: {error.strerror}") from error
        return path

    def read(self, from_seq: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Seq, entry and claims of each entry from `from_seq` to the end.

        Raises:
            StoreDamagedError: a record that cannot be read.

        """
        if from_seq < self.live_first:
            yield from self._sealed.read(from_seq, self.live_first, self._ordinal - 1)
            from_seq = self.live_first
        yield from self._live.entries(from_seq)

    def entry(self, seq: int) -> bytes:
        """The bytes of one entry.

        Raises:
            StoreError: there is none.

        """
        for found, raw, _ in self.read(seq):
            if found == seq:
                return raw
        raise StoreError(f"no entry {seq}: the lineage holds {self.tail.size}")
