"""What the machine does at best, with nothing of ours around: syncs, bare LMDB commits, signature checks, hashes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from recorder.core import rows
from recorder.core.entry import decode
from recorder.core.keys import SeedSigner, verify
from recorder.core.kinds import Rows
from recorder.store import record as records
from recorder.store.layout import lineage_dir, ordinals, read_current, segment_dir
from recorder.store.prepare import create
from recorder.store.segment import Segment

SAMPLES_MIN = 20
MARGIN_BYTES = 64 * 1024
VALUES_MAX_BYTES = 8 * 1024 * 1024


class Sample(NamedTuple):
    """One transaction of a recorder, to be written again without it."""

    value: bytes
    acts: int  # commits or rows in it


class RawFile:
    """A file of zeros, in which records are written one after the other, each followed by fdatasync(2)."""

    def __init__(self, path: Path, size: int) -> None:
        self._size = size
        self._at = 0
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        for at in range(0, size, MARGIN_BYTES):
            os.pwrite(self._descriptor, bytes(min(MARGIN_BYTES, size - at)), at)
        os.fsync(self._descriptor)

    def commit(self, value: bytes) -> float:
        """Seconds of one write and its sync."""
        if self._at + len(value) > self._size:
            self._at = 0
        began = time.perf_counter()
        os.pwrite(self._descriptor, value, self._at)
        os.fdatasync(self._descriptor)
        took_s = time.perf_counter() - began
        self._at += len(value)
        return took_s

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


class Bare:
    """An LMDB environment made and written as the store does, and nothing around it."""

    def __init__(self, path: Path, segment_bytes: int) -> None:
        self._path = path
        self._segment_bytes = segment_bytes
        self._ordinal = 0
        self._seq = 0
        self._segment = self._make()

    def commit(self, value: bytes) -> float:
        """Seconds of one synchronous transaction."""
        if self._segment.free_bytes < len(value) + MARGIN_BYTES:
            self.close()
            self._segment = self._make()
        began = time.perf_counter()
        self._segment.append(self._seq, value, [])
        took_s = time.perf_counter() - began
        self._seq += 1
        return took_s

    def close(self) -> None:
        """Let go of the file."""
        self._segment.close()

    def _make(self) -> Segment:
        self._ordinal += 1
        path = self._path / str(self._ordinal)
        create(path, self._segment_bytes)
        return Segment(path, self._segment_bytes, live=True)


def latencies(floor: RawFile | Bare, samples: list[Sample], seconds: float) -> list[float]:
    """Seconds of each commit of these samples in turn, for so long but at least some."""
    took_s: list[float] = []
    end = time.perf_counter() + seconds
    while len(took_s) < SAMPLES_MIN or time.perf_counter() < end:
        took_s.append(floor.commit(samples[len(took_s) % len(samples)].value))
    return took_s


def rate(floor: Bare, samples: list[Sample], seconds: float) -> float:
    """Commits or rows a second that the samples hold, if all that is done with them is to commit them."""
    took_s = latencies(floor, samples, seconds)
    count = sum(samples[at % len(samples)].acts for at in range(len(took_s)))
    return count / sum(took_s)


def stored(state: Path, from_seq: int, to_seq: int) -> list[Sample]:
    """Transactions of a stopped recorder that hold commits or rows and lie between two seqs; the last ones, if many."""
    current = read_current(state)
    assert current is not None, "a recorder ran on it"
    lineage = lineage_dir(state, current)
    found: list[Sample] = []
    for ordinal in ordinals(lineage):
        segment = Segment(segment_dir(lineage, ordinal), 0, live=False)
        try:
            if segment.head() is not None:
                for first, record in segment.records(from_seq):
                    if from_seq <= first < to_seq and (count := sum(map(_acts, record.entries))):
                        found.append(Sample(records.encode(record), count))
        finally:
            segment.close()
    kept, room_bytes = [], VALUES_MAX_BYTES
    for sample in reversed(found):
        if room_bytes <= 0:
            break
        kept.append(sample)
        room_bytes -= len(sample.value)
    return kept


def _acts(raw: bytes) -> int:
    commits = decode(raw).header.commits or []
    return sum(commit.count if isinstance(commit, Rows) else 1 for commit in commits)


def verifications_s(seconds: float) -> float:
    """Ed25519 signatures of an entry's size that one core checks in a second."""
    signer = SeedSigner(bytes(32))
    message = bytes(600)
    signature = signer.sign(message)
    done, began = 0, time.perf_counter()
    while (took_s := time.perf_counter() - began) < seconds or not done:
        assert verify(signer.public_key, message, signature), "its own signature"
        done += 1
    return done / took_s


def row_hash_s(row_bytes: int, seconds: float) -> float:
    """Seconds that it takes to make one row provable, in messages of 20 rows: salt, leaf and its share of the tree."""
    packed, done, began = os.urandom(20 * row_bytes), 0, time.perf_counter()
    while (took_s := time.perf_counter() - began) < seconds or not done:
        rows.root_at_rest(bytes(16), packed, row_bytes)
        done += 20
    return took_s / done
