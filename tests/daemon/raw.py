"""A client of bytes: requests as written, replies as they come."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Self

from recorder.core import cbor
from recorder.core.messages import Verb
from recorder.core.protocol import decode_reply
from tests.claims import WHO, WHY


class Raw:
    """One connection."""

    def __init__(self, path: Path, *, hello: bool = True) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(240)
        self.sock.connect(str(path))
        self.counter = 0
        self.welcome: dict[str, Any] = {}
        if hello:
            self.welcome = self.hello()

    def hello(self, session: bytes | None = None) -> Any:
        """Say hello; returns the body."""
        self.send([int(Verb.HELLO), 0, 1, session, "raw"])
        return self.receive()[2]

    def send(self, message: list[Any]) -> None:
        """Send a request as it is."""
        self.sock.send(cbor.pack(message))

    def receive(self) -> tuple[int, int, Any]:
        """One reply."""
        message = self.sock.recv(1 << 17)
        assert message, "the recorder hung up"
        status, counter, body = decode_reply(message)
        return int(status), counter, body

    def ask(self, verb: Verb, *arguments: Any) -> tuple[int, Any]:
        """Send the next request and wait for its reply."""
        self.counter += 1
        self.send([int(verb), self.counter, *arguments])
        status, counter, body = self.receive()
        assert counter == self.counter
        return status, body

    def open_cycle(self, **changed: Any) -> tuple[int, Any]:
        """Ask for a cycle."""
        asked: dict[str, Any] = {
            "who": WHO, "why": WHY, "actuators": ["arm", "arm.joint1"], "classes": ["motion"], "max_commits": 100,
            "valid_ms": 60_000, "supersedes": None, "deadline": None,
        } | changed  # fmt: skip
        return self.ask(Verb.OPEN_CYCLE, *asked.values())

    def close(self) -> None:
        """Hang up."""
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
