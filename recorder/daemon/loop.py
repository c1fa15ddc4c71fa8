"""The one thread: drain ready sockets, fairly; one transaction; replies (DESIGN.md, the path of one commit)."""

from __future__ import annotations

import gc
import select
import socket
import time
from collections.abc import Callable
from typing import Any

from recorder.config import Config
from recorder.core.errors import FormatError
from recorder.core.kinds import Kind
from recorder.core.limits import REQUEST_MAX_BYTES
from recorder.core.messages import Status, Verb
from recorder.core.protocol import decode_request
from recorder.daemon.aside import ASIDE, Aside
from recorder.daemon.connection import MISTAKES_MAX, Connection
from recorder.daemon.desk import Desk
from recorder.daemon.door import Door
from recorder.daemon.poller import Poller
from recorder.daemon.reads import Reads
from recorder.daemon.replies import Replies, Waiting
from recorder.daemon.room import Room
from recorder.daemon.seals import LOOK_S, Seals
from recorder.daemon.upkeep import Upkeep
from recorder.daemon.vitals import Vitals
from recorder.daemon.witnessing import Witnessing
from recorder.store.tail import Op
from recorder.writer.context import Context, failed
from recorder.writer.full import WRITING
from recorder.writer.session import Answer
from recorder.writer.writer import VERBS, Writer

STOP_WITHIN_S = 5.0  # a flood does not keep the recorder from stopping
MESSAGES_MAX = 1024  # a transaction
BATCH_MAX_BYTES = 1024 * 1024  # of messages in a transaction: in memory they are there five times before the sync
MESSAGES_PER_TURN = 16  # of one connection before the next one has its turn


class Loop:
    """Serves one listener until told to stop."""

    def __init__(
        self,
        listener: socket.socket,
        context: Context,
        desk: Desk,
        config: Config,
        vitals: Vitals,
        room: Room,
        randomness: Callable[[int], bytes],
        own_uid: int,
    ) -> None:
        self._context = context
        self._journal = context.journal
        self._table = context.table
        self._desk = desk
        self._vitals = vitals
        self._room = room
        self._writer = Writer(context)
        self._poller = Poller()
        self._replies = Replies(context.journal.store, self._poller, self._drop)
        self._send = self._replies.send
        self._witnessing = Witnessing(context, desk.root_of, self._send)
        self._door = Door(listener, self._poller, config.controllers, own_uid, self._witnessing.gone)
        self._reads = Reads(self._journal.store, self._poller, self._send)
        self._seals = Seals(self._journal.store, desk, self._send)
        self._peer_heads = desk.peer_heads
        self._aside = Aside(self._reads, self._seals, self._peer_heads, self._witnessing, self._send)
        self._upkeep = Upkeep(context, desk, vitals, room, randomness, config.recorder.epoch_hours)
        self._flush_at_s: float | None = None
        self._batch_bytes = min(BATCH_MAX_BYTES, context.journal.store.record_max_bytes // 4)
        self._drained_bytes = 0
        self._turn = 0
        self.stopping: str | None = None

    def run(self) -> None:
        """Serve until `stopping` is set, then finish what was received and write the stop entry.

        Or until peers hold what this log does not lead to: then nothing more is recorded in it, not even that.

        Raises:
            SyncFailedError: a transaction failed; nothing more was acknowledged.

        """
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection in the hot path is a pause; it is run when nothing is waiting
        while self.stopping is None:
            self._round(self._timeout_s())
            if self._peer_heads.is_behind:
                self._leave()
                return
        self._door.close()
        until_s = time.monotonic() + STOP_WITHIN_S
        while self._round(0) and time.monotonic() < until_s:
            pass
        self._finish()

    def stop(self, reason: str) -> None:
        """End after the present round; safe to call from a signal handler."""
        self.stopping = reason

    def _finish(self) -> None:
        self._context.refusals.settle(force=True)
        self._room.settle()
        self._witnessing.stop(self._write_stop)
        self._desk.try_checkpoint()
        self._hang_up()

    def _leave(self) -> None:
        """Make way for the next incarnation in this process: its clients come again, as after any restart."""
        self._hang_up()
        gc.unfreeze()
        gc.enable()

    def _drop(self, connection: Connection) -> None:
        self._door.drop(connection)

    def _hang_up(self) -> None:
        self._reads.close()
        self._peer_heads.close()
        for connection in self._door.all():
            self._door.drop(connection)
        self._poller.close()

    def _write_stop(self) -> None:
        self._journal.draft(Kind.STOP, {15: [self.stopping or "stopped"]})
        self._journal.move(Op.STOP)
        self._journal.tick()
        self._write()

    def _timeout_s(self) -> float:
        if self._reads.is_ready or self._peer_heads.is_ready:
            return 0
        until_s = self._upkeep.tick_at_s
        if self._flush_at_s is not None:
            until_s = min(until_s, self._flush_at_s)
        left_s = max(0.0, until_s - time.monotonic())
        if (signing_s := self._witnessing.left_s()) is not None:
            left_s = min(left_s, signing_s)
        return min(left_s, LOOK_S) if self._seals.is_waiting or self._peer_heads.is_waiting else left_s

    def _round(self, timeout_s: float) -> bool:
        """Poll, drain, write, reply; returns whether anything was received."""
        ready = self._poller.poll(timeout_s)
        now_s = self._vitals.beat_s = time.monotonic()
        if self._upkeep.watch_clock():
            self._flush_at_s = now_s
        received = self._drain(ready)
        if now_s >= self._upkeep.tick_at_s:
            self._upkeep.tick(now_s, self._write)
        if self._is_due():
            self._write()
        if self._seals.is_waiting:
            self._seals.serve(self._settle)
        if self._witnessing.is_due:
            self._witnessing.serve(self._write)
        if self._peer_heads.is_waiting:
            self._peer_heads.serve(self._send)
        if not received:
            self._idle()
        return received

    def _drain(self, ready: list[tuple[int, int]]) -> bool:
        """Take messages in turns until all sockets are empty or the transaction is full."""
        turns: list[Connection] = []
        for fd, mask in ready:
            connection = self._door.find(fd)
            if connection is None:
                if not self._reads.is_reader(fd):
                    self._door.accept()
                continue
            if mask & select.EPOLLOUT:
                if not connection.flush():
                    self._door.drop(connection)
                    continue
                self._poller.change(fd, writable=connection.wants_to_send)
            if mask & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                turns.append(connection)
        if turns:
            self._turn = (self._turn + 1) % len(turns)
            turns = turns[self._turn :] + turns[: self._turn]
        received = False
        while turns and not self._is_full():
            turns = [connection for connection in turns if self._take_turn(connection)]
            received = True
        return received

    def _take_turn(self, connection: Connection) -> bool:
        """Handle some messages of one connection; returns whether more may wait."""
        for _ in range(MESSAGES_PER_TURN):
            message = connection.receive()
            if message is None:
                return False
            self._drained_bytes += len(message)
            if not message or not self._handle(connection, message):
                self._door.drop(connection)
                return False
            if self._is_full():
                return True
        return True

    def _is_full(self) -> bool:
        """Whether the transaction has taken as much as one may."""
        return self._drained_bytes >= self._batch_bytes or len(self._replies.waiting) >= MESSAGES_MAX

    def _handle(self, connection: Connection, message: bytes) -> bool:
        """Answer one message now or after the transaction; returns whether the connection stays."""
        if len(message) > REQUEST_MAX_BYTES:
            self._send(connection, 0, failed("message_malformed", f"a message is over {REQUEST_MAX_BYTES} bytes"))
            return False
        try:
            request = decode_request(message)
        except FormatError as error:
            connection.mistakes += 1
            self._send(connection, 0, failed(error.error, error.detail))
            return connection.mistakes < MISTAKES_MAX and not connection.closed
        if request.verb in ASIDE and connection.session is not None and self._aside.begin(connection, request):
            return not connection.closed
        answer = self._answer(connection, request, message)
        if answer.hash_of is None:
            if answer.holds:
                self._witnessing.hold(connection, request.counter, answer.body, request.deadline_mono_ns)
            else:
                self._send(connection, request.counter, answer)
        elif answer.hash_of < self._journal.tail.size:  # a refusal that was recorded for an earlier request
            self._replies.send_stored(connection, request.counter, answer)
        else:
            verb = request.verb
            if verb == Verb.ABANDON:
                self._witnessing.forgo(request.requests)
            deadline = getattr(request, "deadline_mono_ns", None)
            self._replies.waiting.append(Waiting(connection, request.counter, answer, deadline))
            if verb == Verb.ROWS and self._context.table.at_risk.rows_window_ms:
                if self._flush_at_s is None:
                    self._flush_at_s = time.monotonic() + self._context.table.at_risk.rows_window_ms / 1000
            else:
                self._flush_at_s = 0.0
        return not connection.closed

    def _answer(self, connection: Connection, request: Any, message: bytes) -> Answer:  # noqa: ANN401 -- one of REQUESTS
        verb = request.verb
        if verb == Verb.HELLO:
            if request.session is not None:
                self._door.take_over(connection, request.session)
            return self._desk.hello(connection, request)
        session = connection.session
        if session is None:
            return failed("hello_first", "the first message of a connection is hello")
        if verb in VERBS:
            if verb in WRITING and (answer := self._room.refusal(session, request, len(message))) is not None:
                return answer
            return self._writer.handle(session, request, message)
        if verb == Verb.SUBSCRIBE:
            return self._desk.subscribe(connection)
        if verb == Verb.WITNESSES:
            return self._witnessing.tell(connection, request)
        if verb == Verb.STATUS:
            return Answer(Status.OK, self._desk.page())
        self._settle()
        return self._desk.answer_checkpoint(seal=False)

    def _settle(self) -> None:
        """Write what was drafted: a checkpoint covers what was asked for before it."""
        if not self._journal.is_empty:
            self._write()

    def _is_due(self) -> bool:
        if self._journal.is_empty:
            self._flush_at_s = None
            self._drained_bytes = 0
            return False
        is_waiting = self._flush_at_s is not None and time.monotonic() < self._flush_at_s
        return not is_waiting or self._is_full() or self.stopping is not None

    def _write(self) -> None:
        """One synchronous transaction, then the replies that waited for it."""
        began_s = self._vitals.sync_since_s = time.monotonic()
        written = self._writer.write()
        self._vitals.sync_since_s = None
        self._desk.note_write(time.monotonic() - began_s)
        self._flush_at_s = None
        self._drained_bytes = 0
        self._witnessing.written(written)
        self._replies.leave(written, self._witnessing.hold)
        self._replies.push(self._door.all(), written)
        if self._context.table is not self._table:
            self._table = self._context.table
            for connection in self._door.all():  # what hello said of the classes is no longer so: they say it again
                self._door.drop(connection)

    def _idle(self) -> None:
        """What only runs while no commit waits."""
        if self._reads.serve():
            return
        gc.collect(1)
