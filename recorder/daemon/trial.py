"""A trial of the start: a child reads first what `boot.start` is about to read, and may die of it.

LMDB reads through a memory map and trusts its pages.  One that is not what was written, or that a worn card cannot give
back, ends the process that reads it with a signal; `lineage run` must say which segment it is instead.

The child is a fork, made before LMDB is opened and before there are threads: 2 ms where a fresh interpreter takes 100.
It reads the pages without checking what they hold, which the start does itself: 10 ms for a full segment of 64 MiB.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import lmdb

from recorder.core.errors import LineageError
from recorder.daemon import interpreter
from recorder.store.errors import StoreDamagedError, StoreError
from recorder.store.layout import DATA, LINEAGES, lineage_dir, ordinals, read_current, segment_dir
from recorder.store.segment import HEAD_KEY, RECORD, Segment

WRITTEN_BYTES = 256 * 1024  # of the record that is put and taken back: more pages than LMDB's free list holds at once
# Signals that end who reads wrong pages.
DAMAGE = (signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)
_PR_SET_DUMPABLE = 4  # prctl(2)


def run(state: Path) -> None:
    """Have a child read what a start reads; writes nothing.  The caller holds the state's lock.

    Raises:
        StoreDamagedError: the child died of it, or LMDB complained; the message names the segment.
        StoreError: somebody ended the child.

    """
    ours, theirs = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _be_the_child(state, theirs, parent)
    os.close(theirs)
    status = None
    try:
        with os.fdopen(ours, "rb") as pipe:
            said = [str(state), *os.fsdecode(pipe.read()).split("\0")[:-1]]  # until the child's end
        status = os.waitpid(child, 0)[1]
    finally:
        if status is None:  # interrupted: both end
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = signal.Signals(os.WTERMSIG(status))
        if number in DAMAGE:
            raise StoreDamagedError(ended(said[-1], number.name))
        signal.raise_signal(number)  # from outside, and meant for both
        raise StoreError(f"{number.name} from outside ended the reading of {said[-1]}; start again")
    if status:
        raise StoreDamagedError(said[-1])


def ended(path: str, how: str) -> str:
    """The sentence for a segment that nobody survives reading."""
    return f"segment {path}: reading it ends the process with {how}: pages are missing or are not what was written"


def read(state: Path, tell: Callable[[str], None]) -> None:
    """Touch every page that a start on this state touches; tells each segment before it is read.

    Without a name in `current` the start looks into all lineages, whether one holds entries; otherwise at the first
    entry of the one in force, and at all of its live segment, and of the next one where that is prepared.

    Raises:
        LineageError, lmdb.Error, OSError: a segment that cannot be read.

    """
    current = read_current(state)
    if current is None:
        for lineage in sorted((state / LINEAGES).glob("*")):
            for ordinal in ordinals(lineage):
                _read_first(segment_dir(lineage, ordinal), tell)
        return
    lineage = lineage_dir(state, current)
    found = ordinals(lineage)
    for ordinal in found[:1]:
        _read_first(segment_dir(lineage, ordinal), tell)
    for ordinal in reversed(found[-2:]):
        if _read_whole(segment_dir(lineage, ordinal), tell):
            break


def _read_first(path: Path, tell: Callable[[str], None]) -> None:
    tell(str(path))
    segment = Segment(path, 0, live=False)
    try:
        head = segment.head()
        if head is not None:
            next(segment.records(head[0]), None)
    finally:
        segment.close()


def _read_whole(path: Path, tell: Callable[[str], None]) -> bool:
    """Every record and tile, and by a transaction that is taken back also LMDB's own free list.

    Returns:
        Whether it has a head: else it is only prepared, and the live one comes before it.

    """
    tell(str(path))
    Segment(path, 0, live=False).close()  # it finds what is missing or cut short
    map_bytes = (path / DATA).stat().st_size
    has_head = False
    try:
        # Without LMDB's lock, which would be written to: the state's lock keeps others away.
        with lmdb.open(str(path), lib_version=0, lock=False, create=False, map_size=map_bytes) as environment:
            transaction = environment.begin(write=True)
            try:
                has_head = transaction.get(HEAD_KEY) is not None
                last = b""
                for key, _value in transaction.cursor():
                    if key <= last:  # a tree that leads back to itself has no end
                        raise StoreDamagedError(f"segment {path} is damaged: its keys are out of order")
                    last = key
                transaction.put(RECORD + b"\xff" * 8, bytes(WRITTEN_BYTES), append=True)
            except lmdb.MapFullError:
                pass  # the next record begins a new segment
            finally:
                transaction.abort()
    except lmdb.Error as error:
        raise StoreDamagedError(f"segment {path} is damaged: {error}") from error
    return has_head


def _be_the_child(state: Path, pipe: int, parent: int) -> NoReturn:
    """Read, and leave by `_exit` only: what the parent would do on its way out is not the child's to do."""
    status, at = 1, str(state)

    def tell(path: str) -> None:
        nonlocal at
        at = path
        _tell(pipe, path)

    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)  # the identity key is in its memory: no core file
        if interpreter.end_with(parent):  # it holds the state's lock as long as it lives
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # LMDB's last words; the parent's line says what matters
            read(state, tell)
        status = 0
    except LineageError as error:
        _tell(pipe, str(error))
    except Exception as error:  # noqa: BLE001 -- bytes that are not ours can raise anything, and the parent says what
        _tell(pipe, f"segment {at} cannot be read: {error!r}")
    finally:
        os._exit(status)


def _tell(pipe: int, text: str) -> None:
    os.write(pipe, os.fsencode(text) + b"\0")
