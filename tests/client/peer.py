"""A scripted recorder: it speaks recorder.core.protocol on a real SOCK_SEQPACKET socket and keeps its log in memory.

It has the daemon's rules that a client can see: exactly once by session and counter, streams numbered per connection,
sessions that outlive connections and restarts.  Faults are put in by setting its attributes.
"""

from __future__ import annotations

import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from recorder.core import rows
from recorder.core.errors import FormatError
from recorder.core.kinds import Decision
from recorder.core.message_replies import Failed, Head, Opened, Receipt, Refused
from recorder.core.messages import DURABLE, Flag, Status, Verb
from recorder.core.protocol import decode_request, encode_reply

ORIGIN = "fleet/robot/0123456789abcdef"
CLASSES = {
    "motion": {"gated": True, "on_unavailable": "hold", "retention": "1y", "claims": "fields"},
    "hover": {"gated": True, "on_unavailable": "continue_ungated", "retention": "1y", "claims": "fields"},
    "emergency_stop": {"gated": False, "on_unavailable": "continue_ungated", "retention": "5y", "claims": "fields"},
}
ACTUATORS = ("arm", "arm.joint3")


@dataclass
class Ledger:
    """What is durable: it survives `Peer.restart`."""

    origin: str = ORIGIN
    entries: list[Any] = field(default_factory=list)  # requests, in order
    answers: dict[tuple[bytes, int], tuple[bytes, Status, Any]] = field(default_factory=dict)
    last: dict[bytes, int] = field(default_factory=dict)
    issued: int = 0
    rows: list[bytes] = field(default_factory=list)

    def of(self, verb: Verb) -> list[Any]:
        """Durable requests with this verb."""
        return [entry for entry in self.entries if entry.verb == verb]


@dataclass(eq=False)
class _Link:
    sock: socket.socket
    session: bytes | None = None
    streams: list[int] = field(default_factory=list)  # row sizes


class Peer:
    """Serves one path in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = Ledger()
        self.mute = False  # receives nothing
        self.swallow: Callable[[Any], bool] = lambda request: (
            False
        )  # makes it durable, and hangs up instead of answering
        self.refuse: Callable[[Any], list[str]] = lambda request: []
        self.fail: Callable[[Any], Failed | None] = lambda request: None
        self.flags: Callable[[Any], int] = lambda request: 0
        self.delay_s = 0.0
        self.sessions_closed = False  # knows no session any more
        self.seen: list[Any] = []  # every request received, hello included
        self.at_risk_ms = 2000
        self.stream_base = 0  # number of a connection's first stream
        self._links: dict[int, _Link] = {}
        self._running = False
        self._thread: threading.Thread | None = None
        self.lock = threading.RLock()
        self.start()

    def start(self) -> None:
        """Listen, with the ledger as it is."""
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(self.path))
        self._listener.listen(16)
        self._listener.setblocking(False)
        self._running = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Hang up on everyone; the ledger stays."""
        self._running = False
        assert self._thread is not None
        self._thread.join()
        for link in self._links.values():
            link.sock.close()
        self._links.clear()
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def hang_up(self) -> None:
        """Close all connections, and go on listening."""
        with self.lock:
            for link in list(self._links.values()):
                self._drop(link)

    def wait_for(self, done: Callable[[], bool], timeout_s: float = 240.0) -> None:
        """Wait until the test's condition holds."""
        until = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < until, "what the test waits for does not happen"
            time.sleep(0.005)

    def _serve(self) -> None:
        while self._running:
            with self.lock:
                links = [] if self.mute else [link.sock for link in self._links.values()]
            try:
                ready, _, _ = select.select([self._listener, *links], [], [], 0.01)
            except (OSError, ValueError):
                continue
            for sock in ready:
                with self.lock:
                    if sock is self._listener:
                        self._accept()
                    elif not self.mute and sock.fileno() in self._links:
                        self._receive(self._links[sock.fileno()])

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        self._links[sock.fileno()] = _Link(sock)

    def _drop(self, link: _Link) -> None:
        self._links.pop(link.sock.fileno(), None)
        link.sock.close()

    def _receive(self, link: _Link) -> None:
        try:
            message = link.sock.recv(1 << 17)
        except OSError:
            message = b""
        if not message:
            self._drop(link)
            return
        try:
            request = decode_request(message)
        except FormatError as error:
            self._reply(link, Status.ERROR, 0, Failed(error.error, error.detail))
            return
        self.seen.append(request)
        if self.delay_s:
            time.sleep(self.delay_s)
        status, body = self._answer(link, request, message)
        if self.swallow(request):
            self._drop(link)
        else:
            self._reply(link, status, request.counter, body)

    def _reply(self, link: _Link, status: Status, counter: int, body: Any) -> None:
        try:
            link.sock.send(encode_reply(status, counter, body))
        except OSError:
            self._drop(link)

    def _answer(self, link: _Link, request: Any, message: bytes) -> tuple[Status, Any]:
        if request.verb == Verb.HELLO:
            return self._hello(link, request)
        assert link.session is not None, "hello first"
        if self.sessions_closed:
            return Status.ERROR, Failed("session_closed", "for the test")
        if (failed := self.fail(request)) is not None:
            return Status.ERROR, failed
        if request.verb not in DURABLE:
            return self._query(link, request)
        key = (link.session, request.counter)
        digest = sha256(message).digest()
        if request.counter <= self.ledger.last.get(link.session, -1):
            if key not in self.ledger.answers:
                return Status.ERROR, Failed("request_forgotten", f"{request.counter}")
            first, status, body = self.ledger.answers[key]
            if first != digest:
                return Status.ERROR, Failed("request_changed", f"{request.counter}")
            return status, body._replace(flags=body.flags | Flag.DUPLICATE)
        status, body = self._durable(link, request)
        if status is not Status.ERROR:
            self.ledger.last[link.session] = request.counter
            self.ledger.answers[key] = (digest, status, body)
        return status, body

    def _hello(self, link: _Link, request: Any) -> tuple[Status, Any]:
        session = request.session
        if session is None:
            self.sessions_closed = False
            self.ledger.issued += 1
            session = self.ledger.issued.to_bytes(8, "big")
        elif self.sessions_closed:
            return Status.ERROR, Failed("session_closed", "for the test")
        link.session = session
        return Status.OK, {
            "protocol": 1,
            "session": session,
            "durable_counter": max(self.ledger.last.get(session, -1), -1) if session in self.ledger.last else 0,
            "origin": self.ledger.origin,
            "platform": "robot",
            "boot": 1,
            "bundle": bytes(32),
            "classes": CLASSES,
            "actuators": dict.fromkeys(ACTUATORS),
            "at_risk_rows": 8000,
            "at_risk_ms": self.at_risk_ms,
            "max_message_bytes": 56 * 1024,
            "mono_ns": 0,
        }

    def _query(self, link: _Link, request: Any) -> tuple[Status, Any]:
        if request.verb == Verb.DECLARE_STREAM:
            link.streams.append(rows.size_of(rows.struct_format(request.fields)))
            return Status.OK, self.stream_base + len(link.streams) - 1
        if request.verb == Verb.JOIN_CYCLE:
            return Status.OK, self._opened(request.carrier, list(ACTUATORS), ["motion"], 0)
        if request.verb == Verb.READ:
            return Status.OK, [1, [[b"entry", None]]]
        if request.verb == Verb.SUBSCRIBE:
            return Status.OK, Head(0, [], 0)
        if request.verb == Verb.STATUS:
            return Status.OK, {"entries": len(self.ledger.entries)}
        if request.verb == Verb.DECLARE_ACTUATOR:
            return Status.OK, ACTUATORS.index(request.name)
        return Status.OK, b"a signed note"

    def _durable(self, link: _Link, request: Any) -> tuple[Status, Any]:
        seq = len(self.ledger.entries)
        reasons = self.refuse(request)
        if reasons:
            self.ledger.entries.append(request)
            return Status.REFUSED, Refused(seq, _hash(seq), reasons, 0)
        if request.verb == Verb.ROWS:
            if not 0 <= request.stream - self.stream_base < len(link.streams):
                return Status.ERROR, Failed("stream_unknown", f"{request.stream}")
            size = link.streams[request.stream - self.stream_base]
            taken = [request.packed[at : at + size] for at in range(0, len(request.packed), size)]
            if len(request.packed) % size or rows.times_of(request.packed, size) != tuple(
                sorted(rows.times_of(request.packed, size))
            ):
                return Status.ERROR, Failed("rows_malformed", "for the test")
            self.ledger.rows += taken
        self.ledger.entries.append(request)
        flags = self.flags(request)
        if request.verb == Verb.OPEN_CYCLE:
            return Status.OK, self._opened(seq, request.actuators, request.action_classes, flags)
        decision = {Verb.EVENT: Decision.UNGATED, Verb.COMMIT: Decision.EXTERNAL, Verb.ROWS: Decision.EXTERNAL}
        return Status.OK, Receipt(seq, 0, _hash(seq), decision.get(request.verb), flags)

    @staticmethod
    def _opened(seq: int, actuators: list[str], classes: list[str], flags: int) -> Opened:
        numbers = {name: ACTUATORS.index(name) for name in actuators}
        return Opened(seq, _hash(seq), 2**62, 1000, 0, numbers, classes, bytes(32), flags)


def _hash(seq: int) -> bytes:
    return sha256(seq.to_bytes(8, "big")).digest()


if __name__ == "__main__":  # a process of its own, to be stopped and killed; prints how many rows and events it has
    served = Peer(Path(sys.argv[1]))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("ready", flush=True)
    while True:
        time.sleep(0.2)
