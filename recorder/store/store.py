"""The store of one incarnation, opened for writing: append, roll, read, and the checks on opening."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recorder.core import entry as entries_
from recorder.core.checkpoint import Checkpoint
from recorder.core.errors import FormatError, Impossible
from recorder.core.keys import kid, verify
from recorder.core.kinds import IDENTITY_SIGNED
from recorder.store import prepare
from recorder.store.errors import StoreDamagedError, StoreError, SyncFailedError
from recorder.store.layout import DATA, SEGMENTS, ordinals, segment_dir
from recorder.store.record import Record, encode
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

    def __init__(self, lineage: Path, segment_bytes: int, tail: Tail, live: Segment, ordinal: int) -> None:
        """Use `create_store` or `open_store`."""
        self.lineage = lineage
        self.tail = tail
        self._segment_bytes = segment_bytes
        self._live = live
        self._ordinal = ordinal
        self._sealed: dict[int, Segment] = {}  # opened for reading, by ordinal
        self._first_seqs: dict[int, int] = {}
        self._preparer = prepare.Preparer(lineage, segment_bytes)
        self._preparer.start(ordinal + 1)

    def close(self) -> None:
        """Let go of the files; everything appended is durable already."""
        self._preparer.abort()
        self._live.close()
        for segment in self._sealed.values():
            segment.close()

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
    def is_full(self) -> bool:
        """Whether the live segment is nearly full and no next one could be made."""
        if self._live.free_bytes >= self.record_max_bytes or self._preparer.is_busy():
            return False
        return not segment_dir(self.lineage, self._ordinal + 1).exists()

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

        """
        first = self.tail.size
        tiles = self.tail.entries(hashes, actuators, bundles)
        value = encode(Record(raws, claims, [*operations, [Op.ENTRIES, actuators, bundles]]))
        needed = len(value) + sum(len(tile.hashes) for tile in tiles) + (4 + 2 * len(tiles)) * self._live.page_bytes
        if needed > self._live.free_bytes:
            if needed > self.record_max_bytes * 2:
                raise Impossible(f"a record of {needed} bytes; the writer bounds them to {self.record_max_bytes}")
            self._roll(first)
        self._live.append(first, value, tiles)

    def seal(self) -> None:
        """Roll to a new segment, so that all entries so far lie in sealed ones."""
        if self._live_first() < self.tail.size:
            self._roll(self.tail.size)

    def _roll(self, first_seq: int) -> None:
        """Make the next segment the live one.

        If we crash before its head is durable, it counts as prepared and the old one is still live; after it, the old
        one is sealed by that alone.  The snapshot may already include the record that follows: its tree size says so.
        """
        self._preparer.wait()
        path = segment_dir(self.lineage, self._ordinal + 1)
        if not path.exists():
            try:
                prepare.create(path, self._segment_bytes)
            except OSError as error:
                raise SyncFailedError(f"no room for segment {path}: {error.strerror}") from error
        following = Segment(path, self._segment_bytes, live=True)
        following.begin(first_seq, self.tail.snapshot())
        (self._live.path / DATA).chmod(SEALED_MODE)
        self._live.close()
        self._live = following
        self._ordinal += 1
        self._preparer.start(self._ordinal + 1)

    def read(self, from_seq: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Seq, entry and claims of each entry from `from_seq` to the end.

        Raises:
            StoreDamagedError: a record that cannot be read.

        """
        while from_seq < self.tail.size:
            segment = self._segment_of(from_seq)
            for first, record in segment.records(from_seq):
                for offset, (raw, claims) in enumerate(zip(record.entries, record.claims, strict=True)):
                    if first + offset >= from_seq:
                        yield first + offset, raw, claims
                        from_seq = first + offset + 1
            if segment is self._live:
                return

    def entry(self, seq: int) -> bytes:
        """The bytes of one entry.

        Raises:
            StoreError: there is none.

        """
        for found, raw, _ in self.read(seq):
            if found == seq:
                return raw
        raise StoreError(f"no entry {seq}: the lineage holds {self.tail.size}")

    def _live_first(self) -> int:
        head = self._live.head()
        if head is None:
            raise Impossible("the live segment has a head")
        return head[0]

    def _segment_of(self, seq: int) -> Segment:
        """The segment that holds `seq`, found by bisection over the segments' heads."""
        if seq >= self._first_seq(self._ordinal):
            return self._live
        low, high = 1, self._ordinal - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self._first_seq(middle) <= seq:
                low = middle
            else:
                high = middle - 1
        return self._sealed_segment(low)

    def _first_seq(self, ordinal: int) -> int:
        if ordinal == self._ordinal:
            return self._live_first()
        if ordinal not in self._first_seqs:
            head = self._sealed_segment(ordinal).head()
            if head is None:
                raise StoreDamagedError(f"segment {ordinal} of {self.lineage} has no head")
            self._first_seqs[ordinal] = head[0]
        return self._first_seqs[ordinal]

    def _sealed_segment(self, ordinal: int) -> Segment:
        if ordinal not in self._sealed:
            while len(self._sealed) >= 1:  # each maps a whole file; RssFile stays within two segments
                self._sealed.pop(next(iter(self._sealed))).close()
            self._sealed[ordinal] = Segment(segment_dir(self.lineage, ordinal), 0, live=False)
        return self._sealed[ordinal]


def create_store(lineage: Path, origin: str, segment_bytes: int = SEGMENT_BYTES) -> Store:
    """Make the first segment of a new incarnation.

    Raises:
        StoreError: there is a store already, or it cannot be written.

    """
    if ordinals(lineage):
        raise StoreError(f"{lineage} already holds a lineage")
    (lineage / SEGMENTS).mkdir(parents=True, exist_ok=True, mode=0o750)
    tail = Tail(origin)
    path = segment_dir(lineage, 1)
    try:
        prepare.create(path, segment_bytes)
    except OSError as error:
        shutil.rmtree(lineage)
        raise StoreError(f"no room for a segment of {segment_bytes} bytes in {lineage}: {error.strerror}") from error
    live = Segment(path, segment_bytes, live=True)
    live.begin(0, tail.snapshot())
    return Store(lineage, segment_bytes, tail, live, 1)


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
    return Store(lineage, segment_bytes, tail, live, ordinal)


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
