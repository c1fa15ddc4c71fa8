"""Erasing claims of a sealed segment: it is written again without them, and the new file takes the old one's name.

The deletion entry is durable before any of this begins.

If we crash before the rename, the old file stands whole, and what was begun lies in a directory that the next start
removes; after it, the new file is whole and the old one is gone.  What was to be erased stays in the tail
(`Tail.erasures`) until somebody says that it is done, so a start does it again: a segment without those claims is
written once more without them, which changes nothing.

Entries, tiles, the head of the segment and the operations on the tail are copied as they are.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from recorder.core.header import Header
from recorder.store.errors import StoreDamagedError
from recorder.store.layout import DATA, sync_dir
from recorder.store.record import Record, encode
from recorder.store.segment import PAGES_KEPT, RECORD, Segment
from recorder.store.store import SEALED_MODE
from recorder.store.summary import Rest, Seen, Summary, carriers_of, class_of, find, has_rows, header_of, write
from recorder.store.tail import Erasure

BATCH_BYTES = 256 * 1024  # a transaction of the new file


def trim(path: Path) -> int:
    """Give back what a sealed segment does not use of its file; returns how many bytes that was.

    Nothing that was written goes, so nothing is recorded.  If we crash, the file has its old size or its new one.
    """
    segment = Segment(path, 0, live=False)
    used = segment.used_bytes
    segment.close()
    size = (path / DATA).stat().st_size
    if used < size:
        _cut(path / DATA, used)
    return size - used


def erase(path: Path, erasures: Collection[Erasure], needed: Collection[int], rest: Rest) -> Summary:
    """Write a sealed segment again without the claims that these erasures name; returns what it holds now.

    Args:
        path: of the segment.
        erasures: of durable deletion entries; none of them overlaps a hold.
        needed: carriers of who and why that entries in later segments share, and keep their claims.
        rest: called with the bytes of each batch that was written, to let others at the card.

    Raises:
        StoreDamagedError: the segment cannot be read; it stays as it is.
        SyncFailedError, StoreError, OSError: it cannot be written, for want of room for example; it stays as it is.

    """
    before = find(path)
    temporary = path.with_name(path.name + ".tmp")  # what `prepare.remove_unfinished` removes
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(mode=0o750)
    old = Segment(path, 0, live=False)
    try:
        seen, kept = _write(old, temporary, erasures, needed, rest)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    finally:
        old.close()
    data = temporary / DATA
    data.chmod(SEALED_MODE)
    data.rename(path / DATA)
    sync_dir(path)
    earlier = {name: held.carriers for name, held in before.classes.items()} if before is not None else {}
    found = seen.summary(path / DATA, {name: one for name, one in {**earlier, **kept}.items() if one is not None})
    write(path, found)
    shutil.rmtree(temporary)
    return found


def _write(
    old: Segment, temporary: Path, erasures: Collection[Erasure], needed: Collection[int], rest: Rest
) -> tuple[Seen, dict[str, list[int]]]:
    """The new file, durable; and by class, the carriers that stay although their time is over."""
    head = old.head()
    if head is None:
        raise StoreDamagedError(f"segment {old.path} has no head")
    staying = {*needed, *_shared_by_those_that_stay(old, head[0], erasures, rest)}
    seen = Seen(*head)
    kept: dict[str, list[int]] = {item.retention_class: [] for item in erasures if not item.rows_only}
    # Twice the size is address space only: the file grows with its pages, and copies on write need some to spare.
    new = Segment(temporary, 2 * old.map_bytes + PAGES_KEPT * old.page_bytes, live=True, create=True)
    try:
        for batch in _batches(old.beside_records()):
            new.put(batch)
        for batch in _batches(_records(old, head[0], erasures, staying, seen, kept)):
            new.put(batch)
            rest(sum(len(value) for _, value in batch))
        used = new.used_bytes
    finally:
        new.close()
    _cut(temporary / DATA, used)
    return seen, kept


def _shared_by_those_that_stay(old: Segment, first: int, erasures: Collection[Erasure], rest: Rest) -> Iterator[int]:
    """Carriers whose who and why an entry of this segment shares that keeps its claims."""
    for _, record in old.records(first):
        for raw, claims in zip(record.entries, record.claims, strict=True):
            header = header_of(raw)
            if header is not None and claims and not _goes(header, erasures):
                yield from carriers_of(header)
        rest(sum(map(len, record.entries)))


def _records(
    old: Segment,
    first: int,
    erasures: Collection[Erasure],
    staying: Collection[int],
    seen: Seen,
    kept: dict[str, list[int]],
) -> Iterator[tuple[bytes, bytes]]:
    for seq, record in old.records(first):
        held: list[bytes] = []
        for offset, (raw, claims) in enumerate(zip(record.entries, record.claims, strict=True)):
            header = header_of(raw)
            left = claims
            if header is not None and claims and _goes(header, erasures):
                if seq + offset not in staying:
                    left = b""
                elif (of_class := kept.get(class_of(header) or "")) is not None:
                    of_class.append(seq + offset)
            seen.note(header, len(left))
            held.append(left)
        yield RECORD + seq.to_bytes(8, "big"), encode(Record(record.entries, held, record.operations))


def _goes(header: Header, erasures: Iterable[Erasure]) -> bool:
    name = class_of(header)
    return any(
        name == item.retention_class
        and item.first <= header.seq <= item.last
        and (not item.rows_only or has_rows(header))
        for item in erasures
    )


def _batches(items: Iterable[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
    batch: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in items:
        batch.append((key, value))
        size += len(value)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _cut(data: Path, size: int) -> None:
    """Cut a file of which nothing beyond `size` is used, durably."""
    descriptor = os.open(data, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
