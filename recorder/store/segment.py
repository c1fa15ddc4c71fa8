"""One segment: an LMDB environment of fixed size with one database.

Keys: `m` the segment's head (where it starts, and the tail there), `r` seq (8 bytes, big-endian) a record, `T` level
index a full tile (C2SP tlog-tiles) whose last leaf lies in this segment.  One database and one record a transaction,
since each touched page is written whole: with five databases a commit wrote 53 KiB.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from recorder.core import cbor
from recorder.core.errors import FormatError
from recorder.core.tiles import Tile
from recorder.store import record as records
from recorder.store.errors import StoreDamagedError, StoreError, SyncFailedError
from recorder.store.layout import DATA

FORMAT = 1
HEAD_KEY = b"m"
RECORD = b"r"
TILE = b"T"  # sorts before the records, so that those are appended at the end of the tree and fill its pages
PAGES_KEPT = 64  # copy-on-write of the tree's path, the free list and the second meta page


class Segment:
    """An open segment."""

    def __init__(self, path: Path, map_bytes: int, *, live: bool, create: bool = False) -> None:
        """Open, or make.

        Args:
            path: the segment's directory.
            map_bytes: size of a new segment; an existing one keeps the size of its file if that is larger.
            live: opened for writing with LMDB's own lock; otherwise read-only and without any.
            create: make a new one; otherwise a missing file is damage, not an empty segment.

        Raises:
            StoreError: no permission, no room.
            StoreDamagedError: no LMDB file of this build's format, or cut short.

        """
        self.path = path
        self.live = live
        try:
            size = (path / DATA).stat().st_size
        except FileNotFoundError:
            size = 0
        except OSError as error:
            raise StoreError(f"cannot open segment {path}: {error.strerror}") from error
        if size == 0 and not create:
            raise StoreDamagedError(f"segment {path} has no {DATA}, or an empty one")
        page = os.sysconf("SC_PAGE_SIZE")
        self.map_bytes = -(-max(size, map_bytes if live else 0, page) // page) * page
        try:
            self._env: lmdb.Environment = lmdb.open(
                str(path),
                map_size=self.map_bytes,
                lib_version=0,  # 0.9: another engine writes another file format
                readonly=not live,
                lock=live,
                create=create,
                mode=0o600,
                metasync=True,
                sync=True,
                writemap=False,
                meminit=True,
                readahead=not live,
                max_readers=8,
            )
        except (lmdb.InvalidError, lmdb.CorruptedError, lmdb.VersionMismatchError) as error:
            raise StoreDamagedError(f"segment {path} is damaged: {error}") from error
        except (lmdb.Error, OSError) as error:
            raise StoreError(f"cannot open segment {path}: {error}") from error
        self.page_bytes: int = self._env.stat()["psize"]
        self._used_pages = self._count_pages()
        used = self._used_pages * self.page_bytes
        if size and used > size:
            # Reading past the end of a mapped file is no error code but a signal, so it must not come to that.
            self._env.close()
            raise StoreDamagedError(f"segment {path} is cut short: {size} bytes of {used} that are in use")

    def close(self) -> None:
        """Release file and memory map."""
        self._env.close()

    @property
    def used_bytes(self) -> int:
        """Of its file, in use: what follows holds nothing."""
        return self._used_pages * self.page_bytes

    @property
    def free_bytes(self) -> int:
        """Room for records, a margin for LMDB's own pages left out."""
        return max(0, self.map_bytes - (self._used_pages + PAGES_KEPT) * self.page_bytes)

    def _count_pages(self) -> int:
        return int(self._env.info()["last_pgno"]) + 1

    def begin(
        self, first_seq: int, snapshot: list[Any], value: bytes | None = None, tiles: Sequence[Tile] = ()
    ) -> None:
        """Make an empty segment the live one: its first durable transaction, with the record that did not fit before.

        Raises:
            SyncFailedError: whether it is durable is not known.

        """
        puts = [(HEAD_KEY, cbor.pack([FORMAT, first_seq, snapshot]))]
        if value is not None:
            puts += _puts(first_seq, value, tiles)
        self.put(puts)

    def append(self, first_seq: int, value: bytes, tiles: list[Tile]) -> None:
        """Store one record and the tiles that it completed, durable on return.

        Raises:
            SyncFailedError: whether it is durable is not known.

        """
        self.put(_puts(first_seq, value, tiles))

    def put(self, puts: list[tuple[bytes, bytes]]) -> None:
        """Store keys and values in one transaction, records in rising order; durable on return.

        Raises:
            SyncFailedError: whether it is durable is not known.

        """
        try:
            with self._env.begin(write=True) as transaction:
                for key, value in puts:
                    if not transaction.put(key, value, overwrite=False, append=key[:1] == RECORD):
                        raise StoreError(f"{self.path} already holds {key!r}")
        except (lmdb.Error, OSError) as error:
            raise SyncFailedError(f"writing to {self.path} failed: {error}") from error
        self._used_pages = self._count_pages()

    @contextmanager
    def _reading(self) -> Iterator[lmdb.Transaction]:
        """A read transaction whose LMDB errors are damage."""
        try:
            with self._env.begin() as transaction:
                yield transaction
        except lmdb.Error as error:
            raise StoreDamagedError(f"segment {self.path} is damaged: {error}") from error

    def head(self) -> tuple[int, list[Any]] | None:
        """First seq and the tail there, or None of a segment that was only prepared.

        Raises:
            StoreDamagedError: unreadable, or of another version.

        """
        with self._reading() as transaction:
            value = _bytes(transaction.get(HEAD_KEY))
        if value is None:
            return None
        try:
            head = cbor.decode(value)
        except FormatError as error:
            raise StoreDamagedError(f"the head of segment {self.path} cannot be read: {error}") from error
        if not (isinstance(head, list) and len(head) == 3 and head[0] == FORMAT):
            raise StoreDamagedError(f"segment {self.path} has another format than version {FORMAT}")
        return head[1], head[2]

    def records(self, from_seq: int = 0) -> Iterator[tuple[int, records.Record]]:
        """Records from the one that holds `from_seq` on, each with its first seq.

        Raises:
            StoreDamagedError: a record whose checksum does not match, naming it.

        """
        with self._reading() as transaction:
            cursor = transaction.cursor()
            found = cursor.set_range(RECORD + from_seq.to_bytes(8, "big"))
            if (not found or cursor.key() != RECORD + from_seq.to_bytes(8, "big")) and not _step_back(cursor, found):
                return
            while bytes(cursor.key()[:1]) == RECORD:
                first = int.from_bytes(cursor.key()[1:], "big")
                try:
                    record = records.decode(bytes(cursor.value()))
                except FormatError as error:
                    raise StoreDamagedError(f"{self.path}: record at entry {first}: {error.detail}", first) from error
                if first + len(record.entries) > from_seq:
                    yield first, record
                if not cursor.next():
                    return

    def entries(self, from_seq: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Seq, entry and claims of each entry from `from_seq` on; raises as `records`."""
        for first, record in self.records(from_seq):
            for offset, (raw, claims) in enumerate(zip(record.entries, record.claims, strict=True)):
                if first + offset >= from_seq:
                    yield first + offset, raw, claims

    def beside_records(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of all that are no records: the head and the tiles."""
        with self._reading() as transaction:
            for key, value in transaction.cursor():
                if bytes(key[:1]) == RECORD:
                    return
                yield bytes(key), bytes(value)

    def tile(self, level: int, index: int) -> bytes | None:
        """The 256 hashes of a full tile, or None where it lies in another segment."""
        with self._reading() as transaction:
            return _bytes(transaction.get(tile_key(level, index)))

    def tiles(self) -> Iterator[tuple[int, int, bytes]]:
        """Level, index and hashes of each full tile here."""
        with self._reading() as transaction:
            cursor = transaction.cursor()
            more = cursor.set_range(TILE)
            while more and cursor.key()[:1] == TILE:
                key = bytes(cursor.key())
                yield key[1], int.from_bytes(key[2:], "big"), bytes(cursor.value())
                more = cursor.next()


def _puts(first_seq: int, value: bytes, tiles: Sequence[Tile]) -> list[tuple[bytes, bytes]]:
    return [
        (RECORD + first_seq.to_bytes(8, "big"), value),
        *((tile_key(tile.level, tile.index), tile.hashes) for tile in tiles),
    ]


def _bytes(value: bytes | memoryview | None) -> bytes | None:
    return None if value is None else bytes(value)


def tile_key(level: int, index: int) -> bytes:
    """Key of a full tile."""
    return TILE + bytes((level,)) + index.to_bytes(8, "big")


def _step_back(cursor: lmdb.Cursor, found: bool) -> bool:  # noqa: FBT001 -- what set_range said
    """Move to the last record below the key that was sought; to the first one where there is none below."""
    moved = cursor.prev() if found else cursor.last()
    if moved and cursor.key()[:1] == RECORD:
        return True
    return cursor.set_range(RECORD)
