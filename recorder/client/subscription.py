"""Heads as they come, on a connection of their own: a slow subscriber slows nobody else."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

from recorder.client.connection import trouble_of
from recorder.client.errors import NotRecorded, Unavailable
from recorder.client.session import HELLO_COUNTER
from recorder.core.chosen import Candidate, Own
from recorder.core.errors import FormatError
from recorder.core.limits import MESSAGE_MAX_BYTES
from recorder.core.message_replies import Failed, Head
from recorder.core.message_requests import Hello, Subscribe, Witnesses
from recorder.core.messages import PROTOCOL_VERSION, Status, Verb
from recorder.core.protocol import body_of, decode_reply, encode

_SUBSCRIBE_COUNTER = HELLO_COUNTER + 1


class Subscriber:
    """What goes over a subscriber's connection and what comes back, as messages; whoever uses it has the socket."""

    def __init__(self, client: str) -> None:
        self.origin = ""  # of the log, once hello is answered
        self.refused: str | None = None  # why the recorder does not take our word for who can witness
        self._client = client
        self._counter = _SUBSCRIBE_COUNTER

    def opening(self) -> tuple[bytes, bytes]:
        """The first two messages; nothing has to be waited for between them."""
        hello = Hello(Verb.HELLO, HELLO_COUNTER, PROTOCOL_VERSION, None, self._client)
        return encode(hello), encode(Subscribe(Verb.SUBSCRIBE, _SUBSCRIBE_COUNTER))

    def witnesses(self, candidates: Sequence[Candidate], own: Own | None) -> bytes:
        """The message that says who may be asked to witness, for as long as this connection is there."""
        self._counter += 1
        return encode(Witnesses(Verb.WITNESSES, self._counter, list(map(list, candidates)), own and list(own)))  # type: ignore[arg-type]

    def take(self, message: bytes) -> Head | None:
        """Read what came; None where it is no head.

        Raises:
            NotRecorded: this peer may not subscribe.
            FormatError: cbor_malformed, message_malformed.

        """
        status, counter, body = decode_reply(message)
        if counter > _SUBSCRIBE_COUNTER:
            self.refused = body_of(body, Failed).detail if status is Status.ERROR else None
            return None
        if status is Status.ERROR:
            failed = body_of(body, Failed)
            raise NotRecorded(failed.error, failed.detail)
        if counter == HELLO_COUNTER and status is not Status.PUSH:
            self.origin = str(body["origin"]) if isinstance(body, dict) and "origin" in body else ""
            return None
        head: Head = body_of(body, Head)
        return head


def heads(path: str, client: str, timeout_s: float) -> Iterator[Head]:
    """Yield the head as it is, then each change; what we are too slow for is counted in `dropped`.

    Args:
        path: the recorder's socket.
        client: our name.
        timeout_s: for the first head; changes are waited for without end.

    Raises:
        Unavailable: the recorder is away, or went.
        NotRecorded: this peer may not subscribe.

    """
    subscriber = Subscriber(client)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as seqpacket:
        try:
            seqpacket.settimeout(timeout_s)
            seqpacket.connect(path)
            for message in subscriber.opening():
                seqpacket.send(message)
            while True:
                message = seqpacket.recv(MESSAGE_MAX_BYTES)
                if not message:
                    raise Unavailable(f"the recorder at {path} closed the connection")
                head = subscriber.take(message)
                if head is not None:
                    seqpacket.settimeout(None)
                    yield head
        except TimeoutError:
            raise Unavailable(f"the recorder at {path} did not answer within {timeout_s} s") from None
        except OSError as error:
            raise Unavailable(trouble_of(path, error)) from None
        except FormatError as error:
            raise Unavailable(f"what listens at {path} does not speak the recorder's protocol: {error}") from None
