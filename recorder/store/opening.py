"""A store made or opened: what is checked before anything is written to it, in time bounded by one segment."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

from recorder.core import entry as entries_
from recorder.core.checkpoint import Checkpoint
from recorder.core.errors import FormatError
from recorder.core.keys import kid, verify
from recorder.core.kinds import IDENTITY_SIGNED
from recorder.store import prepare
from recorder.store.errors import ForeignStoreError, StoreDamagedError, StoreError
from recorder.store.layout import CONFIG, DATA, SEGMENTS, advice, ordinals, segment_dir, sync_dir
from recorder.store.segment import Segment
from recorder.store.store import LIVE_MODE, SEALED_MODE, SEGMENT_BYTES, Store
from recorder.store.tail import Tail

# The previous hash stands near the start of every entry: {1: 1, 2: kind, 3: seq, 4: prev, ...}.  Finding it there
# checks the chain at opening without decoding, which would cost a Pi 4 ten seconds a full segment.
_PREV_HEAD = b"\x04\x58\x20"
_PREV_WITHIN = 96


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
        smaller = f", or set a smaller segment_mib in {CONFIG}" if error.errno == errno.ENOSPC else ""
        raise StoreError(
            f"cannot make a segment of {segment_bytes} bytes in {lineage}: {error.strerror}; "
            f"{advice(error, 'the state directory')}{smaller}"
        ) from error
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
        StoreError: not there.
        ForeignStoreError: not ours.
        StoreDamagedError: what is wrong and at which entry.

    """
    prepare.remove_unfinished(lineage)
    live, tail, first, ordinal = _checked(lineage, origin, known)
    (live.path / DATA).chmod(LIVE_MODE)
    for sealed in range(1, ordinal):
        (segment_dir(lineage, sealed) / DATA).chmod(SEALED_MODE)  # a power cut may have taken the mode back
    return Store(lineage, segment_bytes, tail, live, first, ordinal)


def check_store(lineage: Path, origin: str, known: Checkpoint | None) -> None:
    """Raise what `open_store` would; makes, removes and changes nothing."""
    _checked(lineage, origin, known)[0].close()


def _checked(lineage: Path, origin: str, known: Checkpoint | None) -> tuple[Segment, Tail, int, int]:
    """Live segment, tail, seq of the live segment's first entry, its ordinal."""
    found = ordinals(lineage)
    if not found:
        raise StoreError(f"{lineage} holds no segments")
    if found != list(range(1, len(found) + 1)):
        missing = sorted(set(range(1, found[-1])) - set(found))
        raise StoreDamagedError(f"{lineage} lacks segments {missing[:5]} of {found[-1]}")
    live, ordinal, snapshot, first = _live_segment(lineage, found)
    try:
        return live, _replayed(live, first, snapshot, origin, known), first, ordinal
    except StoreError:
        live.close()
        raise


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
        raise ForeignStoreError(f"{live.path} belongs to {tail.origin}, not to {origin}: a foreign store")
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
