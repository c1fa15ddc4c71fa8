"""The store of one incarnation, opened for writing: append, roll, read, and the checks on opening."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from recorder.core import entry as entries_
from recorder.core.checkpoint import Checkpoint
from recorder.core.errors import FormatError, Impossible
from recorder.core.keys import kid, verify
from recorder.core.kinds import IDENTITY_SIGNED
from recorder.core.tiles import Tile
from recorder.store import prepare
from recorder.store.errors import StoreDamagedError, StoreError
from recorder.store.layout import DATA, SEGMENTS, ordinals, segment_dir, sync_dir
from recorder.store.level import Level, level_at
from recorder.store.record import Record, encode
from recorder.store.sealed import Sealed
from recorder.store.segment import Segment
from recorder.store.tail import Op, Tail

SEGMENT_BYTES = 64 * 1024 * 1024
SEGMENT_MIN_BYTES = 4 * 1024 * 1024
RECORD_SHARE = 4  # a record takes at most this part of a segment
LIVE_MODE, SEALED_MODE = 0o600, 0o640

# The previous hash stands near the start of every entry: {1: 1, 2: kind, 3: seq, 4: prev, ...}.  Finding it there
# checks the chain at opening without decoding, which would cost a Pi 4 ten seconds a full segment.
_PREV_HEAD = b"\x04\x58\x20"
_PREV_WITHIN = 96


class Store:
    """An incarnation's segments, the newest of them writable.  One process, one thread."""

    def __init__(
        self, lineage: Path, segment_bytes: int, tail: Tail, live: Segment, live_first: int, ordinal: int
    ) -> None:
        """Use `create_store` or `open_store`."""
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

    def seal(self) -> None:
        """Roll to a new segment, so that all entries so far lie in sealed ones.

        Raises:
            StoreError: the next segment could not be made; nothing was changed.
            SyncFailedError: whether the roll is durable is not known.

        """
        if self.live_first < self.tail.size:
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


def create_store(lineage: Path, origin: str, segment_bytes: int = SEGMENT_BYTES) -> Store:
    """Make the first segment of a new incarnation.

    Raises:
        StoreError: there is a store already, or it cannot be written.

    """
    if ordinals(lineage):
        raise StoreError(f"{lineage} already holds a lineage")
    (lineage / SEGMENTS).mkdir(parents=True, exist_ok=True, mode=0o750)
    for directory in (lineage, lineage.parent, lineage.parent.parent):  # a disk may lose names that nobody synced
        sync_dir(directory)
    tail = Tail(origin)
    path = segment_dir(lineage, 1)
    try:
        prepare.create(path, segment_bytes)
    except OSError as error:
        shutil.rmtree(lineage)
        raise StoreError(f"no room for a segment of {segment_bytes} bytes in {lineage}: {error.strerror}") from error
    live = Segment(path, segment_bytes, live=True)
    live.begin(0, tail.snapshot())
    return Store(lineage, segment_bytes, tail, live, 0, 1)


def open_store(lineage: Path, origin: str, known: Checkpoint | None, segment_bytes: int = SEGMENT_BYTES) -> Store:
    """Open an incarnation for writing and check its tail, in time bounded by one segment.

    Checked: the segments are there without a hole; every record of the live one by its checksum, its place and its
    link to the one before; the last entry's signature under the key in force; the root at the known checkpoint where
    that lies in the live segment.  Nothing is repaired.

    Args:
        lineage: directory of the incarnation.
        origin: what it must be the lineage of.
        known: the last checkpoint that left; the caller compares its size with `tail.size` (an older copy).
        segment_bytes: of segments made from now on.

    Raises:
        StoreError: not there, not ours.
        StoreDamagedError: what is wrong and at which entry.

    """
    prepare.remove_unfinished(lineage)
    found = ordinals(lineage)
    if not found:
        raise StoreError(f"{lineage} holds no segments")
    if found != list(range(1, len(found) + 1)):
        missing = sorted(set(range(1, found[-1])) - set(found))
        raise StoreDamagedError(f"{lineage} lacks segments {missing[:5]} of {found[-1]}")
    live, ordinal, snapshot, first = _live_segment(lineage, found)
    try:
        tail = _replayed(live, first, snapshot, origin, known)
    except StoreError:
        live.close()
        raise
    (live.path / DATA).chmod(LIVE_MODE)
    for sealed in found[: found.index(ordinal)]:
        (segment_dir(lineage, sealed) / DATA).chmod(SEALED_MODE)  # a power cut may have taken the mode back
    return Store(lineage, segment_bytes, tail, live, first, ordinal)


def _live_segment(lineage: Path, found: list[int]) -> tuple[Segment, int, list[Any], int]:
    """The newest segment that has a head; at most one after it was prepared."""
    for ordinal in reversed(found[-2:]):
        segment = Segment(segment_dir(lineage, ordinal), 0, live=True)
        head = segment.head()
        if head is not None:
            return segment, ordinal, head[1], head[0]
        segment.close()
    raise StoreDamagedError(f"the newest segments of {lineage} are empty")


def _replayed(live: Segment, first: int, snapshot: list[Any], origin: str, known: Checkpoint | None) -> Tail:
    try:
        tail = Tail.restore(snapshot)
    except FormatError as error:
        raise StoreDamagedError(f"{live.path}: {error.detail}", first) from error
    if tail.origin != origin:
        raise StoreError(f"{live.path} belongs to {tail.origin}, not to {origin}: a foreign store")
    at, last = first, b""
    for seq, record in live.records(first):
        if seq != at:
            raise StoreDamagedError(f"{live.path}: entries {at} to {seq - 1} are missing", at)
        at += len(record.entries)
        last = record.entries[-1]
        if at <= tail.size:  # the snapshot was taken after this record
            continue
        if _PREV_HEAD + tail.head not in record.entries[0][:_PREV_WITHIN]:
            raise StoreDamagedError(f"{live.path}: entry {seq} does not follow the one before it", seq)
        try:
            tail.replay(record.entries, record.operations)
        except FormatError as error:
            raise StoreDamagedError(f"{live.path}: entry {seq}: {error.detail}", seq) from error
        if known is not None and tail.size == known.size and tail.tree.root() != known.root:
            raise StoreDamagedError(
                f"{live.path}: the root at {known.size} entries is not the one that was signed", seq
            )
    if tail.size != at:
        raise StoreDamagedError(f"{live.path}: entries {at} to {tail.size - 1} are missing", at)
    if last:
        _check_last(live, tail, last)
    return tail


def _check_last(live: Segment, tail: Tail, raw: bytes) -> None:
    try:
        last = entries_.decode(raw)
    except FormatError as error:
        raise StoreDamagedError(f"{live.path}: entry {tail.size - 1}: {error}", tail.size - 1) from error
    key = tail.identity_key if last.header.kind in IDENTITY_SIGNED else tail.epoch_key
    signed = entries_.to_be_signed(entries_.protected_of(last.kid), entries_.external_aad(tail.origin), last.payload)
    if last.hash != tail.head or last.kid != kid(key) or not verify(key, signed, last.signature):
        raise StoreDamagedError(f"{live.path}: the signature of entry {tail.size - 1} is not ours", tail.size - 1)
