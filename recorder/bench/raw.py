"""A client as one in C would be: requests encoded once, sent as fast as they are answered, replies hardly looked at.

What the Python client takes for a commit is measured elsewhere; this one is there to have the recorder as the limit.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from recorder.bench.process import ProcessError
from recorder.client.session import HELLO_COUNTER, Outgoing, outgoing
from recorder.core import cbor
from recorder.core.limits import MESSAGE_MAX_BYTES
from recorder.core.message_requests import Hello
from recorder.core.messages import PROTOCOL_VERSION, Status, Verb
from recorder.core.protocol import decode_reply, encode

ANSWER_S = 30.0
_OK = bytes((0x83, int(Status.OK)))  # an array of three whose first element says that it is recorded


class Sent(NamedTuple):
    """What one `pipeline` did."""

    answered: int
    took_s: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.answered / self.took_s


class RawClient:
    """One connection with a session of its own."""

    def __init__(self, path: Path, name: str) -> None:
        """Connect and greet.

        Raises:
            ProcessError: the recorder turned us away.

        """
        self._counter = HELLO_COUNTER
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        self._socket.settimeout(ANSWER_S)
        self._socket.connect(str(path))
        self._socket.send(encode(Hello(Verb.HELLO, HELLO_COUNTER, PROTOCOL_VERSION, None, name)))
        self._answer()

    def ask(self, verb: Verb, *parts: cbor.Value) -> Any:  # noqa: ANN401 -- the body of that verb's reply
        """Send one request and wait for its answer.

        Raises:
            ProcessError: it was not OK.

        """
        self._socket.sendmsg(self._numbered(outgoing(verb, *parts)))
        return self._answer()

    def pipeline(self, requests: Sequence[Outgoing], window: int, seconds: float) -> Sent:
        """Send these requests in turn, each time under a new number, with so many unanswered at once.

        Args:
            requests: encoded already.
            window: unanswered at once, at most.
            seconds: how long to send; all is answered before this returns.

        Raises:
            ProcessError: an answer was not OK, or none came.

        """
        self._socket.settimeout(0)
        began = time.perf_counter()
        end = began + seconds
        sent = answered = 0
        while (is_sending := time.perf_counter() < end) or answered < sent:
            is_blocked = False
            while is_sending and sent - answered < window:
                try:
                    self._socket.sendmsg(self._numbered(requests[sent % len(requests)]))
                except BlockingIOError:
                    self._counter -= 1
                    is_blocked = True
                    break
                sent += 1
            answered += self._answers(is_blocked=is_blocked)
        took_s = time.perf_counter() - began
        self._socket.settimeout(ANSWER_S)
        return Sent(answered, took_s)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _numbered(self, request: Outgoing) -> tuple[bytes | memoryview, ...]:
        self._counter += 1
        return (bytes((0x80 + request.arity, request.verb)) + cbor.pack(self._counter), *request.tail)

    def _answers(self, *, is_blocked: bool) -> int:
        """Wait for an answer, or for room to send, and take what is here."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | (select.POLLOUT if is_blocked else 0))
        if not poll.poll(ANSWER_S * 1000):
            raise ProcessError(f"the recorder did not answer within {ANSWER_S:.0f} s")
        count = 0
        try:
            while message := self._socket.recv(MESSAGE_MAX_BYTES):
                if not message.startswith(_OK):
                    raise ProcessError(f"the recorder did not take what was measured: {decode_reply(message)}")
                count += 1
        except BlockingIOError:
            return count
        raise ProcessError("the recorder closed the connection")

    def _answer(self) -> Any:  # noqa: ANN401 -- as `ask`
        message = self._socket.recv(MESSAGE_MAX_BYTES)
        if not message:
            raise ProcessError("the recorder closed the connection")
        status, _, body = decode_reply(message)
        if status is not Status.OK:
            raise ProcessError(f"the recorder did not take what was measured: {body}")
        return body

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
