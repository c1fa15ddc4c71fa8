"""What the recorder pushes, as it comes, handed to everyone in this process who takes it; on the event loop.

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
from recorder.client.connection import trouble_of
from recorder.client.subscription import Subscriber
from recorder.core.chosen import Candidate, Own
from recorder.core.errors import FormatError
from recorder.core.limits import MESSAGE_MAX_BYTES
from recorder.core.messages import Head

RETRY_S = 0.25
OPEN_S = 5.0  # for the connection and its first head

Taker = Callable[[Head, bool], None]  # a head, and whether it is the first of a connection: nothing is known of before


class Pushes:
    """A subscription that is made again whenever it ends."""

    def __init__(self, path: Path, client: str, say: Callable[[str], None]) -> None:
        """Make it inside the event loop.

        Args:
            path: the recorder's socket.
            client: our name.
            say: tells a person.

        """
        self.trouble: str | None = None
        self._path = path
        self._client = client
        self._say = say
        self._takers: list[Taker] = []
        self._named: tuple[list[Candidate], Own | None] | None = None
        self._socket: socket.socket | None = None
        self._subscriber = Subscriber(client)

    @property
    def origin(self) -> str | None:
        """Of the log whose heads are handed on, None before a first connection."""
        return self._subscriber.origin

    def status(self) -> dict[str, Any]:
        """Why there are no pushes, None where there are."""
        return {"pushes_trouble": self.trouble}

    def live(self) -> dict[str, Any]:
        """Nothing more."""
        return {}

    def add(self, taker: Taker) -> None:
        """Hand heads to one more; what it raises ends the process."""
        self._takers.append(taker)

    def name(self, candidates: Sequence[Candidate], own: Own | None) -> None:
        """Say who may be asked to witness, now and on every later connection."""
        named = (list(candidates), own)
        if named != self._named:
            self._named = named
            self._tell()

    async def run(self) -> None:
        """Subscribe, and again, until cancelled."""
        while True:
            trouble = None
            try:
                await self._subscribed()
            except NotRecorded as error:
                trouble = str(error)
            except FormatError as error:
                trouble = f"what listens at {self._path} does not speak the recorder's protocol: {error}"
            except TimeoutError:
                trouble = f"the recorder at {self._path} does not answer"
            except OSError as error:
                trouble = trouble_of(str(self._path), error)
            self._noted(trouble)
            await asyncio.sleep(RETRY_S)

    async def _subscribed(self) -> None:
        """One connection, from its first message to its end."""
        loop = asyncio.get_running_loop()
        seqpacket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        with seqpacket:
            subscriber = self._subscriber = Subscriber(self._client)
            async with asyncio.timeout(OPEN_S):
                await loop.sock_connect(seqpacket, str(self._path))
                for message in subscriber.opening():
                    await loop.sock_sendall(seqpacket, message)
                head = None
                while head is None:
                    head = subscriber.take(await _message(seqpacket))
            self._socket = seqpacket
            try:
                self._tell()
                is_first = True
                while True:
                    if head is not None:
                        for taker in self._takers:
                            taker(head, is_first)
                        is_first = False
                    head = subscriber.take(await _message(seqpacket))
                    self._noted(subscriber.refused)
            finally:
                self._socket = None

    def _tell(self) -> None:
        if self._socket is None or self._named is None:
            return
        with suppress(BlockingIOError, OSError):  # a connection that ended: the next one is told first thing
            self._socket.send(self._subscriber.witnesses(*self._named))

    def _noted(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self.trouble:
            self._say(trouble)
        self.trouble = trouble


async def _message(seqpacket: socket.socket) -> bytes:
    message = await asyncio.get_running_loop().sock_recv(seqpacket, MESSAGE_MAX_BYTES)
    if not message:
        raise ConnectionResetError("the recorder closed the connection")
    return message
