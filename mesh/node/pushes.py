"""The recorder's SUBSCRIBE: each push goes to whoever takes it, and the subscription is made anew when it ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from recorder.client.session import HELLO_COUNTER
from recorder.core.errors import FormatError
from recorder.core.limits import MESSAGE_MAX_BYTES
from recorder.core.messages import PROTOCOL_VERSION, Failed, Head, Hello, Status, Subscribe, Verb
from recorder.core.protocol import body_of, decode_reply, encode

CLIENT = "lineage mesh"
AGAIN_S = 2.0
ANSWER_S = 5.0

Take = Callable[[str, Head], None]  # the log's origin, and a push; the first of a subscription has no hashes


class Pushes:
    """A part of the process: one subscription for all takers."""

    def __init__(self, path: Path, takers: Sequence[Take]) -> None:
        """Make it.

        Args:
            path: of the recorder's socket.
            takers: called on the event loop; cheap.

        """
        self._path = str(path)
        self._takers = takers
        self._trouble: str | None = "not subscribed yet"

    async def run(self) -> None:
        """Subscribe until cancelled; a recorder that is away is tried again."""
        while True:
            try:
                await self._subscribed()
            except (OSError, FormatError, _EndedError, TimeoutError) as error:
                self._trouble = str(error) or "the recorder does not answer"
            await asyncio.sleep(AGAIN_S)

    def status(self) -> dict[str, Any]:
        """Why there are no pushes, None where there are."""
        return {"pushes_trouble": self._trouble}

    def live(self) -> dict[str, Any]:
        """Nothing more."""
        return {}

    async def _subscribed(self) -> None:
        kind = socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        with socket.socket(socket.AF_UNIX, kind) as seqpacket:
            async with asyncio.timeout(ANSWER_S):
                loop = asyncio.get_running_loop()
                await loop.sock_connect(seqpacket, self._path)
                await loop.sock_sendall(
                    seqpacket, encode(Hello(Verb.HELLO, HELLO_COUNTER, PROTOCOL_VERSION, None, CLIENT))
                )
                said = await _received(seqpacket)
                origin = said.get("origin") if isinstance(said, dict) else None
                if not isinstance(origin, str):
                    raise _EndedError("the recorder did not say which log it keeps")
                await loop.sock_sendall(seqpacket, encode(Subscribe(Verb.SUBSCRIBE, HELLO_COUNTER + 1)))
                push = body_of(await _received(seqpacket), Head)
            self._trouble = None
            while True:
                for take in self._takers:
                    take(origin, push)
                push = body_of(await _received(seqpacket), Head)


class _EndedError(Exception):
    """No push comes any more; the message says why."""


async def _received(seqpacket: socket.socket) -> object:
    message = await asyncio.get_running_loop().sock_recv(seqpacket, MESSAGE_MAX_BYTES)
    if not message:
        raise _EndedError("the recorder closed the connection")
    status, _, body = decode_reply(message)
    if status is Status.ERROR:
        failed = body_of(body, Failed)
        raise _EndedError(f"{failed.error}: {failed.detail}")
    return body
