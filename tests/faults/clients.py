"""Clients that note what they are told, and take a hang-up for what it is."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, Self

from recorder.client import Recorder
from recorder.core.errors import LineageError
from recorder.core.ids import parse_id
from recorder.core.messages import Status, Verb
from recorder.core.protocol import decode_reply
from tests.claims import WHAT, WHO, WHY
from tests.daemon.raw import Raw
from tests.faults.replay import Promised, note_reply

WINDOW = 16  # commits under way at once


class HungUp(Exception):
    """The recorder ended the connection."""


def receive(raw: Raw, promised: Promised) -> tuple[Status, Any]:
    """One reply, noted.

    Raises:
        HungUp: the end of the connection.
        TimeoutError: no answer for ten seconds.

    """
    message = raw.sock.recv(1 << 17)
    if not message:
        raise HungUp
    note_reply(promised, message)
    status, _, body = decode_reply(message)
    return status, body


def opened(raw: Raw, promised: Promised) -> Any:
    """Say hello and open a cycle; returns what `Opened` holds."""
    raw.send([int(Verb.HELLO), 0, 1, None, "faults"])
    receive(raw, promised)
    raw.counter = 1
    raw.send([int(Verb.OPEN_CYCLE), 1, WHO, WHY, ["arm"], ["motion"], 100_000, 60_000, None, None])
    status, body = receive(raw, promised)
    assert status == Status.OK, f"no cycle: {body}"
    return body


def commits(raw: Raw, cycle: Any, promised: Promised, count: int, *, padding: int = 0, window: int = WINDOW) -> Any:
    """Commit; returns the body of the first reply that is no receipt, None where all are."""
    what = {**WHAT, "note": "x" * padding} if padding else WHAT
    refused = None
    for first in range(0, count, window):
        group = min(window, count - first)
        for _ in range(group):
            raw.counter += 1
            raw.send([int(Verb.COMMIT), raw.counter, cycle[0], None, cycle[5]["arm"], what, {}, 5, None])
        for _ in range(group):
            status, body = receive(raw, promised)
            if status != Status.OK and refused is None:
                refused = body
        if refused is not None:
            break
    return refused


class Controller(threading.Thread):
    """The real client library at work until told to stop: commits, rows and now and then an event."""

    def __init__(self, socket: Path, name: str) -> None:
        super().__init__(name=name)
        self._socket = socket
        self._stopped = threading.Event()
        self.promised = Promised()
        self.commits = 0  # that were acknowledged
        self.troubles: list[str] = []

    def run(self) -> None:
        try:
            with Recorder(self._socket, client_name=self.name, timeout_ms=20_000) as recorder:
                while not self._stopped.is_set():
                    with recorder.open_cycle(
                        who=WHO, why=WHY, actuators=["arm.joint1", "arm"], action_classes=["motion"], max_commits=1000,
                        valid_ms=30_000,
                    ) as cycle:  # fmt: skip
                        stream = cycle.stream("arm", fields=[("q", "<f4", 2, "rad")], what=WHAT, where={})
                        for _ in range(20):
                            stream.record(([0.5, 0.25],))
                            receipt = cycle.commit("arm.joint1", what=WHAT, where={}, deadline_ms=None)
                            named = parse_id(str(receipt.entry_id))
                            self.promised.entries[named.seq] = bytes.fromhex(named.digits)
                            self.commits += 1
                            if self._stopped.is_set():
                                break
                    recorder.event("emergency_stop", actuators=["arm"], what=WHAT, reason="light curtain")
                recorder.flush(30)
        except (CancelledError, LineageError) as error:
            self.troubles.append(repr(error))

    def stop(self) -> None:
        """End after the present commit."""
        self._stopped.set()
        self.join(240)
        assert not self.is_alive(), "a client hangs"


class Controllers:
    """Some of them at once."""

    def __init__(self, socket: Path, count: int) -> None:
        self._all = [Controller(socket, f"controller {at}") for at in range(count)]

    def __enter__(self) -> Self:
        for controller in self._all:
            controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        for controller in self._all:
            controller.stop()

    @property
    def troubles(self) -> list[str]:
        """What any of them could not do."""
        return [trouble for controller in self._all for trouble in controller.troubles]

    @property
    def commits(self) -> int:
        """How many were acknowledged."""
        return sum(controller.commits for controller in self._all)

    @property
    def promised(self) -> Promised:
        """What all of them were told."""
        return Promised(
            {seq: digest for controller in self._all for seq, digest in controller.promised.entries.items()}
        )
