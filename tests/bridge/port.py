"""The host's link on a real port, in real time: what a device in another process is held against without a recorder."""

from __future__ import annotations

import os
import select
import termios
import time
import tty
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from firmware_bridge.line.confirmations import Signed
from firmware_bridge.line.happenings import Arrived, Happening, Trouble
from firmware_bridge.line.link import Link
from firmware_bridge.line.messages import Receipt, Verdict
from firmware_bridge.line.states import State
from recorder.core import confirmation
from recorder.core.deviceframe import CommitRef, CommitRequest, Frame
from recorder.core.devicegap import Missing
from tests.frames import ORIGIN


class Port:
    """A link to the device with one key behind a terminal; every batch is recorded at once, in `entries`."""

    def __init__(self, path: Path, key: bytes, *, batch_frames: int = 32, batch_ms: int = 20) -> None:
        self.path, self.key = path, key
        self.entries: list[Signed] = []
        self.happened: list[Happening] = []
        self.admits: bool | None = None  # commit requests; None lets them wait
        self._nonces = 0
        self.link = Link(key, ORIGIN, None, self._nonce, batch_frames=batch_frames, batch_ms=batch_ms)
        self._fd: int | None = None
        self._waiting = bytearray()

    @property
    def frames(self) -> list[Frame]:
        """All that was signed, in order."""
        return [frame for entry in self.entries for frame in entry.frames]

    @property
    def gaps(self) -> list[str]:
        """Why frames will never come."""
        return [happened.reason for happened in self.happened if isinstance(happened, Missing)]

    @property
    def troubles(self) -> list[str]:
        """The conditions that began."""
        return [happened.condition.value for happened in self.happened if isinstance(happened, Trouble)]

    def run(self, until: Callable[[], bool], within_s: float = 240.0) -> None:
        """Serve the port until something is so; a cable that is pulled is opened again when it is there."""
        ends = time.monotonic() + within_s
        while not until():
            assert time.monotonic() < ends, f"{self.link.state}: {self.happened[-20:]}"
            if self._fd is None:
                self._open()
                continue
            self._serve(self._fd)

    def check(self) -> None:
        """Whatever stands in an entry was signed by the key, boot for boot without a hole."""
        following: dict[int, int] = {}
        for entry in self.entries:
            read, frames = confirmation.of_body(entry.body)
            assert confirmation.verify(read, frames, self.key) == entry.frames
            assert entry.first == following.get(entry.boot, 0)
            following[entry.boot] = entry.last + 1

    def close(self) -> None:
        """Let go of the port."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
            self.link.closed()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> None:
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            tty.setraw(self._fd)
        except (OSError, termios.error):
            if self._fd is not None:
                os.close(self._fd)
            self._fd = None
            select.select([], [], [], 0.01)
            return
        self._waiting.clear()
        self.link.opened(_now_us())

    def _serve(self, fd: int) -> None:
        select.select([fd], [], [], 0.005)
        try:
            came = os.read(fd, 4096)
        except BlockingIOError:
            came = None
        except OSError:
            came = b""
        if came == b"":
            self.close()
            return
        self._take(self.link.received(came or b"", _now_us()))
        self._take(self.link.at(_now_us()))
        self._waiting += self.link.take_output()
        try:
            del self._waiting[: os.write(fd, self._waiting) if self._waiting else 0]
        except BlockingIOError:
            pass
        except OSError:
            self.close()

    def _take(self, happenings: list[Happening]) -> None:
        for happened in happenings:
            self.happened.append(happened)
            if isinstance(happened, Signed):
                self.entries.append(happened)
                self.link.recorded(happened)
            elif isinstance(happened, Arrived) and self.admits is not None:
                self._answer(happened.frame)

    def _answer(self, frame: Frame) -> None:
        assert isinstance(frame.body, CommitRequest)
        commit = CommitRef(frame.seq, 0, bytes(16)) if self.admits else None
        verdict = Verdict.ADMITTED if self.admits else Verdict.REFUSED
        self.link.receipt(Receipt(bytes(4), 0, frame.seq, frame.body.actuator, verdict, commit, irreversible=False))

    def _nonce(self) -> bytes:
        self._nonces += 1
        return sha256(b"%d" % self._nonces).digest()[:16]

    @property
    def is_up(self) -> bool:
        """Whether a session is there."""
        return self.link.state is State.UP


def _now_us() -> int:
    return time.monotonic_ns() // 1000
