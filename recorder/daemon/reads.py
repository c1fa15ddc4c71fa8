"""READs, one at a time and only while no commit waits: the live segment's are answered here, older ones by a child."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from recorder.core.limits import MESSAGE_MAX_BYTES
from recorder.core.message_requests import Read
from recorder.core.messages import Status
from recorder.daemon import trial
from recorder.daemon.connection import Connection
from recorder.daemon.poller import Poller
from recorder.daemon.sealed_reader import ReaderEnded, SealedReader, Wanted, fitting
from recorder.store.errors import StoreError
from recorder.store.store import Store
from recorder.writer.context import failed
from recorder.writer.session import Answer

READ_FRAME_BYTES = 256  # heads of the reply around entries and claims
SILENT_MAX_S = 4.0  # of a child that was asked: a fresh one starts and a slow card pauses within that
IDLE_S = 10.0  # an extraction asks again at once; after that its 12 MiB are given back


class Underway(NamedTuple):
    """What the child was asked for, and what came of it."""

    connection: Connection
    request: Read
    found: list[list[Any]]


class Reads:
    """The queue, and the child while there is need of one."""

    def __init__(self, store: Store, poller: Poller, send: Callable[[Connection, int, Answer], None]) -> None:
        self._store = store
        self._poller = poller
        self._send = send
        self._queue: deque[tuple[Connection, Read]] = deque()
        self._underway: Underway | None = None
        self._reader: SealedReader | None = None
        self._ended: list[SealedReader] = []  # killed, and not yet reaped: one that waits for its card dies later
        self._place = ""  # segment that the child reads
        self._heard_s = 0.0

    def add(self, connection: Connection, request: Read) -> None:
        """Take a request; its answer comes when nothing is more urgent.

        One a connection, and none while answers wait for the peer to take them: what is asked for ahead is memory.
        """
        underway = self._underway is not None and self._underway.connection is connection
        if underway or connection.wants_to_send or any(one is connection for one, _ in self._queue):
            self._send(
                connection, request.counter, failed("busy", "a READ of this connection is not answered or taken yet")
            )
            return
        self._queue.append((connection, request))

    @property
    def is_ready(self) -> bool:
        """Whether the next request can be begun at once."""
        return bool(self._queue) and self._underway is None

    def is_reader(self, fd: int) -> bool:
        """Whether a descriptor is the child's; what it said is taken by `serve`."""
        return self._reader is not None and self._reader.fd == fd

    def serve(self) -> bool:
        """Do the next piece of work; returns whether there was any."""
        self._ended = [reader for reader in self._ended if not reader.is_gone()]
        if self._underway is not None:
            self._take(self._underway)
            return True
        if self._queue:
            connection, request = self._queue.popleft()
            if not connection.closed:
                self._begin(connection, request)
            return True
        if self._reader is not None and (time.monotonic() - self._heard_s > IDLE_S or self._reader.is_gone()):
            self._end_reader()
        return False

    def close(self) -> None:
        """End the child; whoever still waits is about to be hung up on."""
        if self._reader is not None:
            self._end_reader()

    def _begin(self, connection: Connection, request: Read) -> None:
        room = min(request.max_bytes, MESSAGE_MAX_BYTES - READ_FRAME_BYTES)
        if request.seq >= self._store.live_first:
            self._read_live(Underway(connection, request, []), room)
            return
        wanted = Wanted(request.seq, room, self._store.live_first, self._store.segments - 1)
        try:
            self._ask(wanted)
        except (OSError, ReaderEnded) as error:
            self._send(connection, request.counter, failed("read_failed", f"no process to read with: {error!r}"))
            return
        self._underway = Underway(connection, request, [])
        self._heard_s = time.monotonic()

    def _read_live(self, underway: Underway, room: int) -> None:
        """Read here: the segment is in use anyway, and was read to its end at the start."""
        failure = None
        try:
            for raw, claims in fitting(self._store.read(underway.request.seq), room):
                underway.found.append([raw, claims or None])
        except StoreError as error:
            failure = failed("store_damaged", str(error))
        self._answer(underway, failure)

    def _ask(self, wanted: Wanted) -> None:
        """Ask the child that is there, or a new one."""
        if self._reader is not None:
            try:
                self._reader.ask(wanted)
            except ReaderEnded:  # since its last answer, by whomever
                self._end_reader()
            else:
                return
        self._reader = SealedReader(self._store.lineage)
        self._place = str(self._store.lineage)
        self._poller.watch(self._reader.fd)
        self._reader.ask(wanted)

    def _take(self, underway: Underway) -> None:
        """Take what the child has said so far; answer where that was all."""
        assert self._reader is not None, "it was asked"
        try:
            while (packet := self._reader.take()) is not None:
                self._heard_s = time.monotonic()
                match packet:
                    case [path]:
                        self._place = path
                    case [raw, claims]:
                        underway.found.append([raw, claims or None])
                    case [error, _, _]:
                        self._answer(underway, None if error is None else failed("store_damaged", error))
                        return
        except ReaderEnded:
            self._answer(underway, self._how_it_ended())
            return
        if time.monotonic() - self._heard_s > SILENT_MAX_S:
            self._end_reader()
            self._answer(
                underway, failed("read_failed", f"segment {self._place}: nothing was read in {SILENT_MAX_S:.0f} s")
            )

    def _how_it_ended(self) -> Answer:
        assert self._reader is not None, "it was asked"
        status = self._reader.status()
        self._end_reader()
        if -status in trial.DAMAGE:
            return failed("store_damaged", trial.ended(self._place, signal.Signals(-status).name))
        return failed("read_failed", f"the process that read {self._place} ended with status {status}; ask again")

    def _answer(self, underway: Underway, failure: Answer | None) -> None:
        """Answer with what was found: what lies before the damage is given, and is no error."""
        self._underway = None
        if underway.connection.closed:
            return
        found = underway.found
        following = underway.request.seq + len(found)
        answer = failure if failure is not None and not found else Answer(Status.OK, [following, found])
        self._send(underway.connection, underway.request.counter, answer)

    def _end_reader(self) -> None:
        assert self._reader is not None, "there is one"
        reader, self._reader = self._reader, None
        self._poller.forget(reader.fd)
        reader.end()
        self._ended.append(reader)
