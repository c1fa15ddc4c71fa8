"""The one thread: drain ready sockets, fairly; one transaction; replies (ARCHITECTURE: the hot path)."""

from __future__ import annotations

import gc
import select
import socket
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from recorder.config import Config
from recorder.core.entry import entry_hash
from recorder.core.errors import FormatError
from recorder.core.kinds import Kind
from recorder.core.limits import REQUEST_MAX_BYTES
from recorder.core.messages import DURABLE, Flag, Head, Status, Verb
from recorder.core.protocol import decode_request, encode_reply
from recorder.daemon.boot import EPOCH_NS_PER_HOUR, rotate_epoch
from recorder.daemon.clock import StepWatch
from recorder.daemon.connection import MISTAKES_MAX, Connection
from recorder.daemon.desk import Desk
from recorder.daemon.peers import peer_of, permissions_of
from recorder.daemon.vitals import Vitals
from recorder.store.tail import Op
from recorder.writer import cycles
from recorder.writer.context import Context, failed
from recorder.writer.journal import Written
from recorder.writer.session import Answer
from recorder.writer.writer import VERBS, Writer

STOP_WITHIN_S = 5.0  # a flood does not keep the recorder from stopping
MESSAGES_MAX = 1024  # a transaction
MESSAGES_PER_TURN = 16  # of one connection before the next one has its turn
CONNECTIONS_MAX = 256
CONNECTIONS_PER_UID_MAX = 128
TICK_S = 1.0


class Waiting(NamedTuple):
    """A reply that leaves once its entry is durable."""

    connection: Connection
    counter: int
    answer: Answer
    deadline_mono_ns: int | None


class Loop:
    """Serves one listener until told to stop."""

    def __init__(
        self,
        listener: socket.socket,
        context: Context,
        desk: Desk,
        config: Config,
        vitals: Vitals,
        randomness: Callable[[int], bytes],
        own_uid: int,
    ) -> None:
        self._listener = listener
        self._context = context
        self._journal = context.journal
        self._desk = desk
        self._config = config
        self._vitals = vitals
        self._randomness = randomness
        self._own_uid = own_uid
        self._writer = Writer(context)
        self._epoll = select.epoll()
        self._epoll.register(listener.fileno(), select.EPOLLIN)
        self._connections: dict[int, Connection] = {}
        self._waiting: list[Waiting] = []
        self._reads: list[tuple[Connection, Any]] = []
        self._flush_at_s: float | None = None
        self._tick_at_s = 0.0
        self._epoch_since_ns = context.journal.now.mono_ns
        self._steps = StepWatch()
        self._batch_bytes = context.journal.store.record_max_bytes // 4
        self._drained_bytes = 0
        self._turn = 0
        self.stopping: str | None = None

    def run(self) -> None:
        """Serve until `stopping` is set, then finish what was received and write the stop entry.

        Raises:
            SyncFailedError: a transaction failed; nothing more was acknowledged.

        """
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection in the hot path is a pause; it is run when nothing is waiting
        while self.stopping is None:
            self._round(self._timeout_s())
        self._listener.close()
        until_s = time.monotonic() + STOP_WITHIN_S
        while self._round(0) and time.monotonic() < until_s:
            pass
        self._finish()

    def stop(self, reason: str) -> None:
        """End after the present round; safe to call from a signal handler."""
        self.stopping = reason

    def _finish(self) -> None:
        self._context.refusals.settle(force=True)
        self._journal.draft(Kind.STOP, {15: [self.stopping or "stopped"]})
        self._journal.move(Op.STOP)
        self._journal.tick()
        self._write()
        self._desk.try_checkpoint()
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._epoll.close()

    def _timeout_s(self) -> float:
        now = time.monotonic()
        if self._reads:
            return 0
        until = self._tick_at_s if self._flush_at_s is None else min(self._tick_at_s, self._flush_at_s)
        return max(0.0, until - now)

    def _round(self, timeout_s: float) -> bool:
        """Poll, drain, write, reply; returns whether anything was received."""
        ready = self._epoll.poll(timeout_s)
        self._vitals.beat_s = time.monotonic()
        self._watch_clock()
        received = self._drain(ready)
        if self._vitals.beat_s >= self._tick_at_s:
            self._tick()
        if self._is_due():
            self._write()
        if not received:
            self._idle()
        return received

    def _watch_clock(self) -> None:
        now = self._journal.tick()
        step = self._steps.step(now.utc_ns, now.mono_ns)
        if step is not None:
            self._journal.draft(Kind.CLOCK_STEP, {15: [*step, "unknown"]})
            self._flush_at_s = self._vitals.beat_s

    def _drain(self, ready: list[tuple[int, int]]) -> bool:
        """Take messages in turns until all sockets are empty or the transaction is full."""
        turns: list[Connection] = []
        for fd, mask in ready:
            connection = self._connections.get(fd)
            if connection is None:
                self._accept()
                continue
            if mask & select.EPOLLOUT:
                if not connection.flush():
                    self._drop(connection)
                    continue
                self._watch_writable(connection)
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
            if not message:
                self._drop(connection)
                return False
            if not self._handle(connection, message):
                self._drop(connection)
                return False
            if self._is_full():
                return True
        return True

    def _is_full(self) -> bool:
        """Whether the transaction has taken as much as one may."""
        return self._drained_bytes >= self._batch_bytes or len(self._waiting) >= MESSAGES_MAX

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
        verb = request.verb
        if verb == Verb.READ and connection.session is not None:
            self._reads.append((connection, request))
            return True
        answer = self._answer(connection, request, message)
        if answer.hash_of is None:
            self._send(connection, request.counter, answer)
        elif answer.hash_of < self._journal.tail.size:  # a refusal that was recorded for an earlier request
            self._send(connection, request.counter, self._filled(answer, None, late=False))
        else:
            deadline = getattr(request, "deadline_mono_ns", None)
            self._waiting.append(Waiting(connection, request.counter, answer, deadline))
            if verb == Verb.ROWS and self._config.recorder.rows_window_ms:
                if self._flush_at_s is None:
                    self._flush_at_s = time.monotonic() + self._config.recorder.rows_window_ms / 1000
            else:
                self._flush_at_s = 0.0
        return not connection.closed

    def _answer(self, connection: Connection, request: Any, message: bytes) -> Answer:  # noqa: ANN401 -- messages.REQUESTS
        verb = request.verb
        if verb == Verb.HELLO:
            if request.session is not None:
                self._take_over(connection, request.session)
            return self._desk.hello(connection, request)
        session = connection.session
        if session is None:
            return failed("hello_first", "the first message of a connection is hello")
        if verb in VERBS:
            if verb in DURABLE and self._journal.store.is_full:
                return failed("store_full", "no room for another segment; free some, or extract and delete")
            return self._writer.handle(session, request, message)
        if verb == Verb.SUBSCRIBE:
            return self._desk.subscribe(connection)
        if verb == Verb.STATUS:
            return Answer(Status.OK, self._desk.page())
        if not connection.permissions.read:
            return failed("not_permitted", f"uid {connection.peer.uid} may not read")
        if not self._journal.is_empty:  # a checkpoint covers what was asked for before it
            self._write()
        return self._desk.answer_checkpoint(seal=verb == Verb.SEAL)

    def _take_over(self, connection: Connection, session_id: bytes) -> None:
        """End an older connection of a session that is resumed: on two at once, one request could be recorded twice.

        What that one sent and nobody read was not acknowledged; who resumes sends it again.
        """
        for other in list(self._connections.values()):
            if other is connection or other.session is None or other.peer.uid != connection.peer.uid:
                continue
            if other.session.id == session_id:
                self._drop(other)

    def _is_due(self) -> bool:
        if self._journal.is_empty:
            self._flush_at_s = None
            self._drained_bytes = 0
            return False
        return (
            self._flush_at_s is None
            or time.monotonic() >= self._flush_at_s
            or self._is_full()
            or self.stopping is not None
        )

    def _write(self) -> None:
        """One synchronous transaction, then the replies that waited for it."""
        began_s = self._vitals.sync_since_s = time.monotonic()
        written = self._writer.write()
        self._vitals.sync_since_s = None
        self._desk.note_write(time.monotonic() - began_s)
        self._flush_at_s = None
        self._drained_bytes = 0
        waiting, self._waiting = self._waiting, []
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        for connection, counter, answer, deadline in waiting:
            if not connection.closed:
                late = deadline is not None and now_ns > deadline
                self._send(connection, counter, self._filled(answer, written, late=late))
        for connection in list(self._connections.values()):
            if connection.subscribed:
                self._push(connection, written)

    def _filled(self, answer: Answer, written: Written | None, *, late: bool) -> Answer:
        """The answer with its entry's hash, out of the transaction just written or of the store."""
        body = answer.body
        if answer.hash_of is None or not hasattr(body, "entry_hash"):
            return answer
        if written is not None and answer.hash_of >= written.first:
            found = written.hashes[answer.hash_of - written.first]
        else:
            found = entry_hash(self._journal.store.entry(answer.hash_of))
        flags = body.flags | Flag.LATE if late else body.flags
        return Answer(answer.status, body._replace(entry_hash=found, flags=int(flags)))

    def _push(self, connection: Connection, written: Written) -> None:
        head = Head(written.first, written.hashes, connection.pushes_dropped)
        connection.push(encode_reply(Status.PUSH, 0, head))

    def _send(self, connection: Connection, counter: int, answer: Answer) -> None:
        if connection.closed:
            return
        had_unsent = connection.wants_to_send
        if not connection.send(encode_reply(answer.status, counter, answer.body)):
            self._drop(connection)
        elif connection.wants_to_send and not had_unsent:
            self._watch_writable(connection)

    def _watch_writable(self, connection: Connection) -> None:
        mask = select.EPOLLIN | (select.EPOLLOUT if connection.wants_to_send else 0)
        self._epoll.modify(connection.fd, mask)

    def _tick(self) -> None:
        """What is due once a second."""
        self._tick_at_s = self._vitals.beat_s + TICK_S
        self._context.refusals.settle()
        cycles.expire(self._context)
        self._journal.store.prepare_next()
        self._vitals.page = self._desk.page()
        if self._journal.now.mono_ns - self._epoch_since_ns > self._config.recorder.epoch_hours * EPOCH_NS_PER_HOUR:
            if not self._journal.is_empty:
                self._write()
            rotate_epoch(self._context, self._randomness)
            self._epoch_since_ns = self._journal.now.mono_ns

    def _idle(self) -> None:
        """What only runs while no commit waits."""
        if self._reads:
            connection, request = self._reads.pop(0)
            if not connection.closed:
                self._send(connection, request.counter, self._desk.read(connection, request))
        elif self._desk.is_checkpoint_due() and self._journal.is_empty:
            self._desk.try_checkpoint()
        else:
            gc.collect(1)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # the peer has gone, or this process is out of descriptors: others must go on
                return
            peer, groups = peer_of(sock)
            mine = sum(other.peer.uid == peer.uid for other in self._connections.values())
            if len(self._connections) >= CONNECTIONS_MAX or mine >= CONNECTIONS_PER_UID_MAX:
                sock.close()
                continue
            permissions = permissions_of(self._config.controllers, peer.uid, groups, self._own_uid)
            connection = Connection(sock, peer, permissions)
            self._connections[connection.fd] = connection
            self._epoll.register(connection.fd, select.EPOLLIN)

    def _drop(self, connection: Connection) -> None:
        if self._connections.pop(connection.fd, None) is not None:
            self._epoll.unregister(connection.fd)
            connection.close()
