"""The recorder's SUBSCRIBE: each push goes to whoever takes it, and the subscription is made anew when it ends.

The same connection says who may be asked to witness: so what is named goes when nobody would hear of it any more.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from recorder.client import NotRecorded
from recorder.client.subscription import Subscriber
from recorder.core.chosen import Candidate, Own
from recorder.core.errors import FormatError
from recorder.core.limits import MESSAGE_MAX_BYTES
from recorder.core.message_replies import Head

CLIENT = "lineage mesh"
AGAIN_S = 0.5
ANSWER_S = 5.0

Take = Callable[[str, Head], None]  # the log's origin, and a push; the first of a subscription has no hashes


class Pushes:
    """A part of the process: one subscription for all takers."""

    def __init__(self, path: Path, takers: Sequence[Take], say: Callable[[str], None]) -> None:
        """Make it.

        Args:
            path: of the recorder's socket.
            takers: called on the event loop; cheap.
            say: tells a person.

        """
        self._path = str(path)
        self._takers = takers
        self._say = say
        self._trouble: str | None = "not subscribed yet"
        self._refused: str | None = None  # why the recorder does not take our word for who can witness
        self._named: tuple[list[Candidate], Own | None] | None = None
        self._socket: socket.socket | None = None
        self._subscriber = Subscriber(CLIENT)

    def name(self, candidates: Sequence[Candidate], own: Own | None) -> None:
        """Say who may be asked to witness, now and on every later connection."""
        named = (list(candidates), own)
        if named != self._named:
            self._named = named
            self._tell()

    async def run(self) -> None:
        """Subscribe until cancelled; a recorder that is away is tried again."""
        while True:
            try:
                await self._subscribed()
            except (OSError, FormatError, NotRecorded, TimeoutError) as error:
                self._trouble = (
                    f"{self._path}: {error}" if str(error) else f"{self._path}: the recorder does not answer"
                )
            await asyncio.sleep(AGAIN_S)

    def status(self) -> dict[str, Any]:
        """Why there are no pushes, or why nobody is asked to witness; None where all is well."""
        return {"pushes_trouble": self._trouble or self._refused}

    def live(self) -> dict[str, Any]:
        """Nothing more."""
        return {}

    async def _subscribed(self) -> None:
        """One connection, from its first message to its end."""
        kind = socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        with socket.socket(socket.AF_UNIX, kind) as seqpacket:
            subscriber = self._subscriber = Subscriber(CLIENT)
            push = None
            async with asyncio.timeout(ANSWER_S):
                loop = asyncio.get_running_loop()
                await loop.sock_connect(seqpacket, self._path)
                for message in subscriber.opening():
                    await loop.sock_sendall(seqpacket, message)
                while push is None:
                    push = subscriber.take(await _received(seqpacket))
            self._trouble = None
            self._socket = seqpacket
            try:
                self._tell()
                while True:
                    if push is not None:
                        for take in self._takers:
                            take(subscriber.origin, push)
                    push = subscriber.take(await _received(seqpacket))
                    if subscriber.refused not in (None, self._refused):
                        self._say(f"the recorder does not take our word for who can witness: {subscriber.refused}")
                    self._refused = subscriber.refused
            finally:
                self._socket = None

    def _tell(self) -> None:
        if self._socket is not None and self._named is not None:
            with suppress(OSError):  # a connection that ended: the next one is told first thing
                self._socket.send(self._subscriber.witnesses(*self._named))


async def _received(seqpacket: socket.socket) -> bytes:
    message = await asyncio.get_running_loop().sock_recv(seqpacket, MESSAGE_MAX_BYTES)
    if not message:
        raise ConnectionResetError("the recorder closed the connection")
    return message
