"""What fits a line of 115,200 baud (PROTOCOL.md section 6), by a clock that steps: every byte waits for its turn."""

from __future__ import annotations

from collections import deque

import pytest

from firmware_bridge.line.confirmations import Signed
from firmware_bridge.line.happenings import Happening
from firmware_bridge.line.link import Link
from firmware_bridge.line.messages import Receipt, Verdict
from hwsim.firmware.device import Device
from hwsim.firmware.messages import Commit
from recorder.core.deviceframe import CommitRef, Confirmation
from tests.frames import DEVICE, NONCE, ORIGIN

BYTES_PER_MS = 115_200 / 10 / 1000
FIFO_BYTES = 512
SECONDS, HZ = 20, 100
BOOT, UP_US, FRAMES = 300, 3 * 3600 * 1_000_000, 10**7  # sizes of a device that has been in use for a while
VALUES = [(2, 0.1234567), (4, 1.2345678)]


class Half:
    """One direction: what was sent comes out at the line's rate."""

    def __init__(self) -> None:
        self.left: deque[bytes] = deque()
        self.sent_bytes = 0
        self._credit = 0.0

    @property
    def room(self) -> int:
        """How much the sender's buffer takes."""
        return FIFO_BYTES - sum(map(len, self.left))

    def send(self, line: bytes) -> None:
        """Into the sender's buffer."""
        self.left.append(line)
        self.sent_bytes += len(line)

    def come(self) -> bytes:
        """What has come within a millisecond."""
        waiting = b"".join(self.left)
        self._credit = min(self._credit + BYTES_PER_MS, FIFO_BYTES) if waiting else 0.0
        came, rest = waiting[: int(self._credit)], waiting[int(self._credit) :]
        self._credit -= len(came)
        self.left = deque([rest] if rest else [])
        return came


def test_a_hundred_confirmations_a_second() -> None:
    """Two values each, with signatures, receipts and the time: nothing is dropped, and the ring is half empty."""
    device = Device(DEVICE, BOOT)
    device._next = FRAMES
    link = Link(DEVICE.public_key, ORIGIN, None, lambda: NONCE, batch_ms=250)
    up, down = Half(), Half()
    signed: list[Confirmation] = []

    def take(happenings: list[Happening]) -> None:
        for happened in happenings:
            if isinstance(happened, Signed):
                signed.extend(happened.confirmations)
                link.recorded(happened)

    link.opened(0)
    made, most_held = 0, 0
    for now_ms in range(SECONDS * 1000):
        now_us, tick_us = now_ms * 1000, UP_US + now_ms * 1000
        device.received(down.come(), tick_us)
        if now_ms >= 1000 and now_ms % (1000 // HZ) == 0:
            made += 1
            assert device.confirm(Commit(10**6 + made, 0, bytes(range(16))), 1, VALUES)
            link.receipt(
                Receipt(bytes(4), 0, made, 3, Verdict.ADMITTED, CommitRef(10**6, 0, bytes(16)), irreversible=False)
            )
        for line in device.sends(tick_us, up.room):
            up.send(line)
        take(link.received(up.come(), now_us))
        take(link.at(now_us))
        if out := link.take_output():
            down.send(out)
        most_held = max(most_held, 32 - device.free)
    in_use = [half.sent_bytes / (BYTES_PER_MS * 1000 * (SECONDS - 1)) for half in (up, down)]
    print(f"up {in_use[0]:.0%}, down {in_use[1]:.0%} of the line, at most {most_held} frames held")
    assert len(signed) >= made - 40, "all but those that are still under way"
    assert most_held < 20
    assert in_use == [pytest.approx(0.84, abs=0.01), pytest.approx(0.45, abs=0.02)], "as PROTOCOL.md says"
