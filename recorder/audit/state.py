"""A state directory as a source: through its files while nothing runs, else through the socket and sealed segments."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import lmdb

from recorder.audit.live import Live, LiveRecorder, read_live
from recorder.audit.proofs import Prover, tile_fetch
from recorder.audit.source import Held, HeldTile, kind_of
from recorder.client.errors import Unavailable
from recorder.core import cbor, claims, entry
from recorder.core.checkpoint import parse_checkpoint
from recorder.core.errors import FormatError
from recorder.core.findings import Problem
from recorder.core.kinds import Kind
from recorder.core.limits import TILE_WIDTH
from recorder.core.note import parse_note
from recorder.core.tlogproof import TlogProof
from recorder.store.errors import StoreDamagedError, StoreError
from recorder.store.layout import HEAD, StateLock, lineage_dir, read_current
from recorder.store.segment import Segment
from recorder.store.tail import Op, Tail
from recorder.store.view import View

SOCKET = "recorder.sock"


def open_state(state: Path, socket: Path | None = None, connect: Callable[[Path], Live] = LiveRecorder) -> StateSource:
    """Open a state directory, whether a recorder runs on it or not.

    Args:
        state: the directory.
        socket: of the recorder, `STATE/recorder.sock` if left out.
        connect: how a running recorder is reached.

    Raises:
        StoreError: no lineage there, or it may not be read.
        Unavailable: a recorder runs and does not answer.

    """
    if not state.is_dir():
        raise StoreError(f"{state} is no state directory: `lineage init --state {state}` makes one")
    current = read_current(state)
    if current is None:
        raise StoreError(f"{state} holds no lineage yet; `lineage run --state {state}` begins one")
    lineage = lineage_dir(state, current)
    try:
        lock = None if _is_read_only(state) else StateLock(state)
    except StoreError as locked:
        try:
            live = connect(socket or state / SOCKET)
        except Unavailable as away:
            raise StoreError(f"{locked}; {away}") from None
        return StateSource(lineage, live=live)
    return StateSource(lineage, lock=lock)


class StateSource:
    """The incarnation in force."""

    is_whole = True

    def __init__(self, lineage: Path, *, lock: StateLock | None = None, live: Live | None = None) -> None:
        """Use `open_state`.

        Args:
            lineage: directory of the incarnation.
            lock: the right to read its live segment; None where nobody can write, or a recorder runs.
            live: the recorder that runs.

        """
        self.lineage = lineage
        self.live = live
        self._lock = lock
        self._until: int | None = None
        self._view: View | None = None
        self._sealed: list[tuple[int, Path]] = []  # first seq of each segment that we may open
        self._note: bytes | None = None
        self._prover: Prover | None = None
        self.refresh()

    def refresh(self, note: bytes | None = None) -> None:
        """Look again which segments there are; `note` becomes the latest checkpoint."""
        self._note, self._prover, self._until = note, None, None
        self.__dict__.pop("checkpoints", None)
        self.__dict__.pop("size", None)
        try:
            self._view = View(self.lineage, with_live=self.live is None)
            self._sealed = self._view.segments
        except (StoreError, OSError, lmdb.Error) as error:
            if self.live is None:
                raise _ours(self.lineage, error) from error
            self._view, self._sealed = None, []  # another user's files: the socket has it all

    @property
    def is_running(self) -> bool:
        return self.live is not None

    @cached_property
    def origin(self) -> str:
        if self.live is not None:
            return self.live.origin
        origin = self._snapshot()[0]
        if not isinstance(origin, str):
            raise StoreDamagedError(f"the head of {self._sealed[-1][1]} names no origin")
        return origin

    @cached_property
    def checkpoints(self) -> list[bytes]:
        if self._note is not None:
            return [self._note]
        if self.live is not None:
            return [self.live.checkpoint()]
        try:
            return [(self.lineage / HEAD).read_bytes()]
        except FileNotFoundError:
            return []

    @cached_property
    def size(self) -> int:
        if self.live is not None:
            return parse_checkpoint(parse_note(self.checkpoints[-1]).text).size
        first, path = self._sealed[-1]
        size = first
        try:
            with _opened(path) as segment:
                for seq, record in segment.records(first):
                    size = seq + len(record.entries)
        except StoreDamagedError as error:
            # Up to and with the first entry that is damaged: whoever reads that far is told.
            return (size if error.seq is None else error.seq) + 1
        return size

    def read(self, from_seq: int = 0) -> Generator[Held, None, None]:
        until = self.size
        for held in self._read_stored(from_seq):
            if self.live is not None and held.seq > from_seq:  # a segment that was not marked as sealed lies between
                yield from read_live(self.live, from_seq, held.seq)
            if held.seq >= until:
                return
            yield held
            from_seq = held.seq + 1
        if self.live is not None:
            yield from read_live(self.live, from_seq, until)

    def _read_stored(self, from_seq: int) -> Iterator[Held]:
        if self._view is None or not self._sealed or from_seq < self._sealed[0][0]:
            return
        at = from_seq
        try:
            for seq, raw, held in self._view.read(from_seq):
                yield Held(seq, raw, held)
                at = seq + 1
        except lmdb.Error as error:
            raise StoreDamagedError(f"{self.lineage}: entry {at}: {error}", at) from error

    def tiles_below(self) -> int:
        if self.live is None:
            return self.size
        # Of the last segment that we see only the start is known; its tiles are compared, but none is missed.
        return self._sealed[-1][0] if self._sealed else 0

    def tiles(self) -> Iterator[HeldTile]:
        for _, path in self._sealed:
            with _opened(path) as segment:
                for level, index, hashes in segment.tiles():
                    yield HeldTile(level, index, TILE_WIDTH, hashes)

    def prove(self, seq: int, leaf: bytes) -> TlogProof | None:
        if self._prover is None and self.checkpoints:
            self._prover = Prover(self.checkpoints[-1], tile_fetch(self._full_tile, self.read))
        return None if self._prover is None else self._prover.prove(seq, leaf)

    def _full_tile(self, level: int, index: int) -> bytes | None:
        last_leaf = (index + 1) * TILE_WIDTH ** (level + 1) - 1
        for first, path in reversed(self._sealed):
            if first <= last_leaf:  # a tile lies in the segment of its last leaf
                with _opened(path) as segment:
                    return segment.tile(level, index)
        return None

    def faults(self) -> list[Problem]:
        return []

    def actuators(self) -> dict[int, str]:
        if self.live is not None:
            return {number: name for name, number in self.live.actuators.items() if number is not None}
        names = self._snapshot()[6]
        found = {number: name for name, number in names.items()} if isinstance(names, dict) else {}
        with _opened(self._sealed[-1][1]) as segment:  # declared since that segment began
            for _, record in segment.records(self._sealed[-1][0]):
                for raw, held in zip(record.entries, record.claims, strict=True):
                    if kind_of(raw) == Kind.ACTUATOR:
                        found.update(actuator_in(raw, held))
        return found

    def holds(self) -> dict[int, tuple[int, int | None]]:
        """First and last seq of each hold in force, by the seq of its entry; last None: whatever follows."""
        if self.live is not None:
            return self.live.holds()
        tail = Tail.restore(self._snapshot())
        with _opened(self._sealed[-1][1]) as segment:
            for _, record in segment.records(self._sealed[-1][0]):
                for operation in record.operations:
                    if operation[0] in (Op.HOLD, Op.RELEASE):
                        tail.apply(operation)
        return {seq: (hold.first, hold.last) for seq, hold in tail.holds.items()}

    def close(self) -> None:
        if self.live is not None:
            self.live.close()
        if self._lock is not None:
            self._lock.close()

    def _snapshot(self) -> list[Any]:
        """The tail at the start of the newest segment (`store.tail.Tail.snapshot`)."""
        with _opened(self._sealed[-1][1]) as segment:
            head = segment.head()
        if head is None or len(head[1]) < 7:
            raise StoreDamagedError(f"the head of segment {self._sealed[-1][1]} cannot be read")
        return head[1]


@contextmanager
def _opened(path: Path) -> Iterator[Segment]:
    """A segment opened for reading; LMDB's own complaints become ours."""
    segment = Segment(path, 0, live=False)
    try:
        yield segment
    except lmdb.Error as error:
        raise _ours(path, error) from error
    finally:
        segment.close()


def _ours(path: Path, error: Exception) -> Exception:
    return StoreDamagedError(f"{path}: {error}") if isinstance(error, lmdb.Error) else error


def _is_read_only(state: Path) -> bool:
    """Whether the state lies on a file system that nobody can write: there is no lock to be had, and none needed."""
    return bool(os.statvfs(state).f_flag & os.ST_RDONLY)


def actuator_in(raw: bytes, held: bytes) -> dict[int, str]:
    """Number and name out of an actuator entry; {} where the name is withheld or the entry cannot be read."""
    try:
        name = claims.disclosed("body", cbor.decode(held)[11]).get("name")
        number: int = entry.decode(raw).header.control.number
    except (FormatError, AttributeError, KeyError, TypeError):
        return {}
    return {number: name} if isinstance(name, str) else {}
