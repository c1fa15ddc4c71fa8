"""Heads as they come, on a connection of their own: a slow subscriber slows nobody else."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from recorder.client.connection import trouble_of
from recorder.client.errors import NotRecorded, Unavailable
from recorder.client.session import HELLO_COUNTER
from recorder.core.errors import FormatError
from recorder.core.limits import MESSAGE_MAX_BYTES
from recorder.core.messages import PROTOCOL_VERSION, Failed, Head, Hello, Status, Subscribe, Verb
from recorder.core.protocol import body_of, decode_reply, encode


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
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as seqpacket:
        try:
            seqpacket.settimeout(timeout_s)
            seqpacket.connect(path)
            seqpacket.send(encode(Hello(Verb.HELLO, HELLO_COUNTER, PROTOCOL_VERSION, None, client)))
            _receive(seqpacket, path)
            seqpacket.send(encode(Subscribe(Verb.SUBSCRIBE, HELLO_COUNTER + 1)))
            head: Head = body_of(_receive(seqpacket, path), Head)
            seqpacket.settimeout(None)
            while True:
                yield head
                head = body_of(_receive(seqpacket, path), Head)
        except TimeoutError:
            raise Unavailable(f"the recorder at {path} did not answer within {timeout_s} s") from None
        except OSError as error:
            raise Unavailable(trouble_of(path, error)) from None
        except FormatError as error:
            raise Unavailable(f"what listens at {path} does not speak the recorder's protocol: {error}") from None


def _receive(seqpacket: socket.socket, path: str) -> object:
    message = seqpacket.recv(MESSAGE_MAX_BYTES)
    if not message:
        raise Unavailable(f"the recorder at {path} closed the connection")
    status, _, body = decode_reply(message)
    if status is Status.ERROR:
        failed = body_of(body, Failed)
        raise NotRecorded(failed.error, failed.detail)
    return body
