"""A recorder on a disk that is small, and what fills it."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from recorder.core.messages import Status, Verb
from tests.claims import WHAT
from tests.daemon.raw import Raw

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
FLOATS = 500
ROWS_A_MESSAGE = 12  # of 4,008 bytes


@contextmanager
def small_disk(at: Path, mib: int) -> Iterator[Path]:
    """A tmpfs of so many MiB."""
    at.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", at], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", at], check=True)


class Filler:
    """One controller: a cycle at a time, rows and commits under it."""

    def __init__(self, socket: Path, action_class: str = "motion") -> None:
        self.raw = Raw(socket)
        self.action_class = action_class
        self.acknowledged: list[tuple[int, str]] = []  # seq and class of everything that was acknowledged
        self.raw.ask(Verb.DECLARE_ACTUATOR, "arm")
        status, self._stream = self.raw.ask(
            Verb.DECLARE_STREAM, "arm", [["q", "<f8", FLOATS, "rad"]], WHAT, {}
        )  # fmt: skip
        assert status == Status.OK
        self._at_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self._cycle: Any = None

    def open_cycle(self) -> tuple[int, Any]:
        """A cycle for what follows."""
        status, body = self.raw.open_cycle(
            actuators=["arm"], classes=[self.action_class], max_commits=100_000, valid_ms=60_000
        )
        if status == Status.OK:
            self._cycle = body
        return status, body

    @property
    def carrier(self) -> int:
        """Seq of the cycle."""
        return int(self._cycle[0])

    def rows(self) -> tuple[int, Any]:
        """One message of rows."""
        row = struct.pack(f"<Q{FLOATS}d", self._at_ns, *([0.5] * FLOATS))
        return self._noted(self.raw.ask(Verb.ROWS, self.carrier, self.action_class, self._stream, row * ROWS_A_MESSAGE))

    def commit(self) -> tuple[int, Any]:
        """One commit."""
        arm = self._cycle[5]["arm"]
        return self._noted(self.raw.ask(Verb.COMMIT, self.carrier, self.action_class, arm, WHAT, {}, self._at_ns, None))

    def event(self, action_class: str = "emergency_stop") -> tuple[int, Any]:
        """Something that happened without a cycle."""
        return self.raw.ask(Verb.EVENT, *self._event(action_class))

    def _event(self, action_class: str) -> tuple[Any, ...]:
        return action_class, ["arm"], {}, WHAT, {}, {"reason": "light curtain"}, self._at_ns

    def send_events(self, count: int) -> None:
        """Emergency stops, one after the other without waiting."""
        for _ in range(count):
            self.raw.counter += 1
            self.raw.send([int(Verb.EVENT), self.raw.counter, *self._event("emergency_stop")])

    def raw_answers(self, count: int) -> list[tuple[int, Any]]:
        """Status and body of the next replies."""
        answers = [self.raw.receive() for _ in range(count)]
        return [(status, body) for status, _, body in answers]

    def _noted(self, answer: tuple[int, Any]) -> tuple[int, Any]:
        if answer[0] == Status.OK:
            self.acknowledged.append((answer[1][0], self.action_class))
        return answer

    def fill(self, segments: int, *, commits_every: int = 10) -> None:
        """Rows, and now and then a commit, until so many more segments are begun."""
        wanted = self.status()["segments"] + segments
        self.open_cycle()
        number = 0
        while self.status()["segments"] < wanted:
            if not self._patiently(self.rows):
                continue
            number += 1
            if number % commits_every == 0:
                self._patiently(self.commit)

    def _patiently(self, step: Callable[[], tuple[int, Any]]) -> bool:
        """A step; where there is no room just now, wait a little for it, as clients do."""
        status, body = step()
        if status != Status.OK:
            assert body[0] == "store_full", body
            time.sleep(0.1)
        return status == Status.OK

    def fill_up(self) -> None:
        """Rows until there is no room for more."""
        self.open_cycle()
        while True:
            status, body = self.rows()
            if status != Status.OK:
                assert body[0] == "store_full", body
                return

    def status(self) -> dict[str, Any]:
        """The recorder's own word."""
        page: dict[str, Any] = self.raw.ask(Verb.STATUS)[1]
        return page

    def close(self) -> None:
        """Hang up."""
        self.raw.close()
