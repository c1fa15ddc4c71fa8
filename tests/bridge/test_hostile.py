"""A device that has its key and means harm, against the real bridge and recorder: it can only speak for itself."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from firmware_bridge.line import messages
from firmware_bridge.line.framing import Unframer, frame
from firmware_bridge.line.messages import Ack, Batch, Grant, Hello, Here, Receipt
from recorder.client import Recorder
from recorder.core import deviceframe, sign1
from recorder.core.confirmation import BATCH_MAX_FRAMES
from recorder.core.deviceframe import (
    Body,
    CommitRef,
    CommitRequest,
    Confirmation,
    Event,
    Fault,
    Observation,
    Outcome,
    first_prev,
)  # fmt: skip
from recorder.core.kinds import Kind
from tests.bridge.cable import Cable
from tests.bridge.processes import APPEND, Account, Bridge, make_bridge
from tests.bridge.scene import is_sound
from tests.bridge.test_asking import CYCLE
from tests.claims import WHAT, WHO, WHY
from tests.frames import DEVICE, KID, signed
from tests.running import Running, make_state, wait_until

pytestmark = pytest.mark.alone

TOP, LEAST = 2**64 - 1, -(2**63)


class Hostile:
    """Answers hellos; says and signs whatever it is told to, at whatever tick."""

    def __init__(self, port: Path) -> None:
        self.boot, self.next, self.recorded, self.granted = 1, 0, 0, -1
        self.receipts: list[Receipt] = []
        self.sessions = 0
        self._cable = Cable(port)
        self._cable.plug()
        self._prev = first_prev(KID, 1)
        self._hello: Hello | None = None
        self._mark = bytes(4)
        self._taken = 0
        self._unframer = Unframer()
        self._writing = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def say(self, tick_us: int, *bodies: Body) -> None:
        """Frames, and their signature."""
        first, frames = self.next, []
        for body in bodies:
            frames.append(deviceframe.make(KID, self.boot, self.next, tick_us, self._prev, body))
            self._prev = deviceframe.read(frames[-1]).leaf[:8]
            self.next += 1
            self.write(frame(frames[-1]))
        assert self._hello is not None
        proof = signed(frames, self._hello.nonce, self.boot, first, self._hello.origin)[-64:]
        self.send(Batch(self._mark, first, self.next - 1, proof))

    def send(self, message: messages.Message) -> None:
        """A message of the line."""
        self.write(frame(messages.make(message)))

    def write(self, line: bytes) -> None:
        """All of it, however slowly it is read."""
        with self._writing:  # both threads do
            while line:
                select.select([], [self._cable.master], [])
                with suppress(BlockingIOError):
                    line = line[os.write(self._cable.master, line) :]

    def _run(self) -> None:
        while not self._ending.is_set():
            if not select.select([self._cable.master], [], [], 0.01)[0]:
                continue
            for raw in self._unframer.feed(os.read(self._cable.master, 65_536)):
                self._take(messages.read(raw))

    def _take(self, said: object) -> None:
        match said:
            case Hello():
                here = Here(DEVICE.public_key, self.boot, self.next, self.next, 0, bytes(64))
                payload = messages.here_payload(said.origin, said.nonce, here)
                self._mark = messages.session_of(said.nonce, KID, self.boot)
                self._hello, self._taken = said, 0
                self.sessions += 1
                self.send(here._replace(signature=sign1.sign(DEVICE, messages.DEVICE, payload)[-64:]))
            case Ack():
                self.recorded = said.recorded
            case Grant() | Receipt():
                if said.number == self._taken:
                    self._taken += 1
                    if isinstance(said, Grant):
                        self.granted = said.grant
                    else:
                        self.receipts.append(said)
                self.send(messages.Taken(self._mark, self._taken))
            case messages.Time():
                self.send(messages.TimeIs(self._mark, said.host_us, TOP))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._cable.pull()


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[Running, Hostile, Bridge]]:
    """A recorder, a hostile device and the bridge between them."""
    with (
        Running(make_state(tmp_path / "state", append=APPEND)) as recorder,
        Hostile(tmp_path / "port") as device,
        Bridge(make_bridge(tmp_path / "bridge", CYCLE), tmp_path / "port", recorder.socket) as bridge,
    ):
        wait_until(lambda: bridge.is_up and device.granted >= 0)
        yield recorder, device, bridge


def test_numbers_at_their_ends(held: tuple[Running, Hostile, Bridge]) -> None:
    """Commits that cannot be, values that nothing measures, times that never come: recorded as its word, or refused."""
    recorder, device, bridge = held
    for seq in (TOP, 2**63, 10**6):
        device.say(0, Confirmation(CommitRef(seq, TOP, bytes(16)), Outcome.REACHED, [(1, 1.7e308), (255, LEAST)]))
    device.say(5, Event(255, [(1, -5e-324)]), Fault(255, LEAST), Observation([(2, TOP)] * 4))
    for amount in (LEAST, TOP, 1.7e308, -0.0):
        device.say(9, CommitRequest(device.granted, 1, [(200, amount)], TOP, TOP))
    device.say(9, CommitRequest(TOP, TOP, [], None, None))
    device.say(TOP, Event(1, [(3, 1e300)]))
    wait_until(lambda: device.recorded == device.next and len(device.receipts) == 5)
    assert bridge.stop() == 0, bridge.said
    assert recorder.stop() == 0
    account = Account(recorder.state)
    assert len(account.frames) == device.next
    assert not [header for header in account.headers if header.kind == Kind.CONFIRMATION]
    assert {condition for condition, _ in account.faults} - {"not_granted"} == {"unknown_commit"}
    is_sound(recorder.state)


def test_a_batch_as_large_as_it_gets(held: tuple[Running, Hostile, Bridge]) -> None:
    """256 frames of 128 bytes, each confirming one commit: the entry holds them, and names that commit as often."""
    recorder, device, bridge = held
    with Recorder(recorder.socket, who=WHO) as client:
        cycle = client.open_cycle(why=WHY, actuators=["arm"], action_classes=["motion"], max_commits=1)
        receipt = cycle.submit("arm", what=WHAT).result()
    assert receipt.seq is not None
    assert receipt.entry_hash is not None
    commit = CommitRef(receipt.seq, receipt.index or 0, receipt.entry_hash[:16])
    body = Confirmation(commit, Outcome.REACHED, [(2, 1 / 3)] * 6)
    device.say(2**40, *[body] * BATCH_MAX_FRAMES)
    wait_until(lambda: device.recorded == device.next)
    assert bridge.stop() == 0, bridge.said
    assert recorder.stop() == 0
    account = Account(recorder.state)
    (confirmed,) = [header for header in account.headers if header.kind == Kind.CONFIRMATION]
    assert len((confirmed.refs or {})[2]) == BATCH_MAX_FRAMES
    assert max(len(one.raw) for one in account.frames) > 115
    assert is_sound(recorder.state).notes["confirmed"] == 1


def test_as_much_as_the_line_takes(held: tuple[Running, Hostile, Bridge]) -> None:
    """Requests, sessions that are broken off, and bytes that are nothing: the bridge answers on, in bounded memory."""
    recorder, device, bridge = held
    before = _kib(bridge)
    for turn in range(10):
        for number in range(20):
            device.say(
                turn, CommitRequest(device.granted if number % 2 else number, number % 3, [(2, 0.5)], None, None)
            )
        device.write(os.urandom(20_000) + b"\0")
    wait_until(lambda: device.recorded > 0)
    assert _kib(bridge) - before < 16 * 1024
    assert bridge.stop() == 0, bridge.said
    assert recorder.stop() == 0
    account = Account(recorder.state)
    assert 0 < len(account.frames) <= device.next
    assert len(account.faults) < 20, "conditions are told so often, and then counted"
    is_sound(recorder.state)


def _kib(bridge: Bridge) -> int:
    text = Path(f"/proc/{bridge.process.pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0])
