"""One non-blocking SEQPACKET connection, and the session that it carries over reconnects."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Callable

from recorder.client.answers import Hello
from recorder.client.session import SESSION_CLOSED, Answer, Session
from recorder.core.errors import FormatError
from recorder.core.limits import MESSAGE_MAX_BYTES
from recorder.core.message_replies import Failed
from recorder.core.messages import Status
from recorder.core.protocol import body_of, decode_reply

NS_PER_MS = 1_000_000
RETRY_FIRST_NS = 10 * NS_PER_MS
RETRY_MAX_NS = 250 * NS_PER_MS
STALL_NS = 500 * NS_PER_MS  # between two tries when the recorder's disk is full
READS_MAX = 16  # messages in one go; a control loop in this process wants the interpreter back
_NOT_THERE = (errno.ENOENT, errno.ECONNREFUSED)


def boottime_ns() -> int:
    """Read the clock of every `mono_ns`: it goes on while the machine sleeps, and nobody sets it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def trouble_of(path: str, error: OSError) -> str:
    """Say in a sentence why there is no connection, and what to do."""
    if error.errno == errno.ENOENT:
        return f"no recorder at {path}: there is no such socket; is `lineage run` started, with this path?"
    if error.errno == errno.ECONNREFUSED:
        return f"no recorder at {path}: the socket is there but nobody listens; start `lineage run`"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"permission denied on {path}: uid {os.getuid()} may not connect; see the socket's group"
    if error.errno == errno.EAGAIN:
        return f"the recorder at {path} takes no connections: it is stopped or overloaded"
    if error.errno in (errno.EPROTOTYPE, errno.ENOTSOCK):
        return f"{path} is not a recorder's socket (SOCK_SEQPACKET)"
    return f"no connection to {path}: {error.strerror or error}"


def wait_for(interest: tuple[int, int] | None, timeout_ns: int) -> None:
    """Block until one descriptor is ready, or for so long."""
    if interest is None:
        time.sleep(max(0, timeout_ns) / 1e9)
        return
    poll = select.poll()
    poll.register(*interest)
    poll.poll(max(0, timeout_ns) / NS_PER_MS)


class Connection:
    """Connects when it is due, greets, sends and receives; never blocks.

    Not locked: its owner sees to it that one thread at a time is inside.
    """

    def __init__(self, path: str, session: Session, greeted: Callable[[Hello], None]) -> None:
        self.session = session
        self.generation = 0  # connections that were greeted
        self.trouble: str | None = None  # why there is none
        self.trouble_is_lasting = False  # someone has to do something about it: a permission, a wrong path
        self.lost_ns: int | None = None  # since when
        self.retry_ns = 0
        self._path = path
        self._greeted = greeted
        self._socket: socket.socket | None = None
        self._ready = False
        self._broken = False
        self._retry_step_ns = 0
        self._ready_ns = 0
        self._buffer = bytearray(MESSAGE_MAX_BYTES)
        self._view = memoryview(self._buffer)

    @property
    def is_ready(self) -> bool:
        """Greeted, and not known to be broken."""
        return self._ready and not self._broken

    @property
    def problem(self) -> str | None:
        """Why nothing moves: no connection, or a recorder that cannot store."""
        return self.trouble or self.session.stalled

    @property
    def due_ns(self) -> int | None:
        """When `advance` has something to do by itself, or None."""
        return self.retry_ns if self._socket is None or self.session.stalled is not None else None

    @property
    def is_down(self) -> bool:
        """Neither connected nor connecting."""
        return self._socket is None

    def interest(self) -> tuple[int, int] | None:
        """File descriptor and events to poll for, or None while there is no socket."""
        if self._socket is None:
            return None
        events = select.POLLIN | select.POLLOUT if self._ready and self.session.may_send else select.POLLIN
        return self._socket.fileno(), events

    def advance(self, now_ns: int) -> None:
        """Connect and greet where that is due."""
        if self._socket is not None and self.session.stalled is not None and now_ns >= self.retry_ns:
            self.session.resume()
        if self._socket is not None or now_ns < self.retry_ns:
            return
        seqpacket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            seqpacket.connect(self._path)
            seqpacket.send(self.session.hello())
        except OSError as error:
            seqpacket.close()
            self.trouble_is_lasting = error.errno not in _NOT_THERE and error.errno != errno.EAGAIN
            self._retry_later(now_ns, trouble_of(self._path, error))
            return
        self._socket = seqpacket

    def write(self) -> int:
        """Send what may go; returns how many messages left."""
        count = 0
        while self._ready and not self._broken and (message := self.session.peek()) is not None:
            assert self._socket is not None, "ready means connected"
            try:
                self._socket.sendmsg(message)
            except BlockingIOError:
                break
            except OSError:
                # Whoever polls this socket has to be the one that closes it: here it is only woken up, and reads what
                # came before the end.
                self._broken = True
                self._shutdown()
                break
            self.session.sent()
            count += 1
        return count

    def read(self, now_ns: int) -> list[Answer]:
        """Take the replies that are here."""
        answers: list[Answer] = []
        for _ in range(READS_MAX):
            if self._socket is None:
                break
            try:
                size = self._socket.recv_into(self._buffer)
            except BlockingIOError:
                break
            except ConnectionResetError:
                continue  # told once; the receipts that came before it are still to be read
            except OSError as error:
                self._drop(now_ns, trouble_of(self._path, error))
                break
            if size == 0:
                self._drop(now_ns, f"the recorder at {self._path} closed the connection")
                break
            try:
                self._take(bytes(self._view[:size]), answers, now_ns)
            except FormatError as error:
                self._drop(now_ns, f"what listens at {self._path} does not speak the recorder's protocol: {error}")
                break
            if not self.session.in_flight:  # spares a system call that would find nothing
                break
        return answers

    def reopen(self, now_ns: int) -> None:
        """Leave this connection for a fresh one: what was declared on it is forgotten."""
        self._drop(now_ns, "reopening")
        self.retry_ns = now_ns

    def close(self) -> None:
        """Close for good."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._ready = False

    def _take(self, message: bytes, answers: list[Answer], now_ns: int) -> None:
        if not self._ready:
            self._take_hello(message, now_ns)
            return
        was_stalled = self.session.stalled
        answer = self.session.receive(message)
        if answer is not None:
            answers.append(answer)
        if self.session.stalled is not None and was_stalled is None:
            self.retry_ns = now_ns + STALL_NS
        if self.session.closed:
            self._drop(now_ns, f"the recorder at {self._path} has closed our session")

    def _take_hello(self, message: bytes, now_ns: int) -> None:
        status, _, body = decode_reply(message)
        if status is not Status.OK:
            failed = body_of(body, Failed)
            if failed.error == SESSION_CLOSED and self.session.id is not None:
                self.session.renew()
                self.reopen(now_ns)
            else:
                self.trouble_is_lasting = True
                self._drop(now_ns, f"the recorder at {self._path} turned us away: {failed.error}: {failed.detail}")
            return
        hello: Hello = body_of(body, Hello)
        self.session.greeted(hello.session, hello.origin, hello.durable_counter)
        self.generation += 1
        self._ready = True
        self._ready_ns = now_ns
        self.trouble = self.lost_ns = None
        self.trouble_is_lasting = False
        self._greeted(hello)

    def _drop(self, now_ns: int, trouble: str) -> None:
        if self._ready and now_ns - self._ready_ns > RETRY_MAX_NS:
            self._retry_step_ns = 0  # it was well until now: try at once
        self.close()
        self._broken = False
        self.session.lost()
        self._retry_later(now_ns, trouble)

    def _retry_later(self, now_ns: int, trouble: str) -> None:
        self.trouble = trouble
        if self.lost_ns is None:
            self.lost_ns = now_ns
        self.retry_ns = now_ns + self._retry_step_ns
        self._retry_step_ns = min(max(2 * self._retry_step_ns, RETRY_FIRST_NS), RETRY_MAX_NS)

    def _shutdown(self) -> None:
        try:
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
