"""Other ways to keep what an actuator did, each driven in this process as its documentation has it done.

Every record is the same claims; what a writer does for them is said in `Promise`, since they do not do the same.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import mcap.writer
from nacl.signing import SigningKey

from recorder.core import cbor

GROUP = 256
CHUNK_BYTES = 64 * 1024


class Promise(NamedTuple):
    """What of a record holds once the writer has returned."""

    durable: str  # what a power cut leaves
    signed: str
    by_socket: bool  # acknowledged to another process


class Slice(NamedTuple):
    """What a writer did in its time."""

    records: int
    took_s: float

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.took_s


Run = Callable[[float], Slice]  # for so many seconds


class Sqlite:
    """A table of records, each with the hash of the one before; WAL, synchronous=FULL."""

    def __init__(self, path: Path, bodies: list[bytes], group: int, *, sign_each: bool) -> None:
        self._bodies = bodies
        self._group = group
        self._sign_each = sign_each
        self._key = SigningKey.generate()
        self._prev = bytes(32)
        self._seq = 0
        self._database = sqlite3.connect(path, isolation_level=None)
        (mode,) = self._database.execute("PRAGMA journal_mode=WAL").fetchone()
        assert mode == "wal", mode
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute(
            "CREATE TABLE records (seq INTEGER PRIMARY KEY, prev BLOB, body BLOB, signature BLOB) STRICT"
        )

    def run(self, seconds: float) -> Slice:
        """Write groups for so long."""
        records, began = 0, time.perf_counter()
        while (took_s := time.perf_counter() - began) < seconds or not records:
            self._database.execute("BEGIN IMMEDIATE")
            for at in range(self._group):
                self._insert(is_signed=self._sign_each or at == self._group - 1)
            self._database.execute("COMMIT")
            records += self._group
        return Slice(records, took_s)

    def _insert(self, *, is_signed: bool) -> None:
        body = self._bodies[self._seq % len(self._bodies)]
        digest = sha256(self._prev + body).digest()
        signature = self._key.sign(digest).signature if is_signed else None
        self._database.execute("INSERT INTO records VALUES (?, ?, ?, ?)", (self._seq, self._prev, body, signature))
        self._prev = digest
        self._seq += 1

    def close(self) -> None:
        """Close the database."""
        self._database.close()


class Mcap:
    """One channel of an MCAP file, without compression: its writer's fastest."""

    def __init__(self, path: Path, bodies: list[bytes], *, synced: bool) -> None:
        self._bodies = bodies
        self._synced = synced
        self._file = path.open("wb")
        self._writer = mcap.writer.Writer(
            self._file, chunk_size=CHUNK_BYTES, compression=mcap.writer.CompressionType.NONE
        )
        self._writer.start()
        schema = self._writer.register_schema("record", "jsonschema", b"{}")
        self._channel = self._writer.register_channel("/records", "cbor", schema)
        self._sequence = 0

    def run(self, seconds: float) -> Slice:
        """Add messages for so long; where synced, each chunk is on the disk before the next one begins."""
        records, began = 0, time.perf_counter()
        written = self._file.tell()
        while (took_s := time.perf_counter() - began) < seconds or not records:
            for _ in range(GROUP):
                body = self._bodies[self._sequence % len(self._bodies)]
                at = time.time_ns()
                self._writer.add_message(
                    self._channel, log_time=at, data=body, publish_time=at, sequence=self._sequence
                )
                self._sequence += 1
                if self._synced and self._file.tell() != written:  # a chunk has left the writer
                    self._file.flush()
                    os.fdatasync(self._file.fileno())
                    written = self._file.tell()
            records += GROUP
        return Slice(records, took_s)

    def close(self) -> None:
        """Finish the file."""
        self._writer.finish()
        self._file.close()


class BlackBox:
    """vouch-protocol's log: each event encrypted and linked by hash, in memory; its head signed, as it suggests."""

    def __init__(self, payloads: list[dict[str, Any]]) -> None:
        from vouch.robotics.blackbox import BlackBoxLog

        self._payloads = payloads
        self._log = BlackBoxLog(os.urandom(32))
        self._key = SigningKey.generate()

    def run(self, seconds: float) -> Slice:
        """Append for so long."""
        records, began = 0, time.perf_counter()
        while (took_s := time.perf_counter() - began) < seconds or not records:
            self._log.append("actuation", self._payloads[records % len(self._payloads)])
            self._key.sign(self._log.head().encode())
            records += 1
        return Slice(records, took_s)

    def close(self) -> None:
        """Nothing to let go of."""


def body_of(claims: dict[str, Any]) -> bytes:
    """Claims as bytes, for writers that take bytes."""
    return cbor.pack(claims)
