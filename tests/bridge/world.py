"""A host, a device and the line between them, under one clock that only steps; and the ledger that both are held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from hashlib import sha256

from firmware_bridge.line.confirmations import Known, Signed
from firmware_bridge.line.happenings import Arrived, Clock, Happening, Trouble
from firmware_bridge.line.link import Link
from firmware_bridge.line.states import State
from recorder.core import confirmation
from recorder.core.deviceframe import Confirmation, Dropped
from recorder.core.devicegap import Missing
from tests.bridge.device import Device
from tests.bridge.simulated import Simulated
from tests.frames import DEVICE, ORIGIN

Peer = Device | Simulated
Line = Callable[[int, bytes], list[bytes]]  # the number of a frame and the frame -> what comes out


def sound(_: int, frame: bytes) -> list[bytes]:
    """A line that does nothing to what it carries."""
    return [frame]


class World:
    """Runs until nothing moves; what the lineage would hold is in `entries`, `gaps` and `troubles`."""

    def __init__(self, device: Peer, up: Line = sound, down: Line = sound) -> None:
        self.device, self.up, self.down = device, up, down
        self.device.boot(1)
        self.boot = 1
        self.now_us = 0
        self.entries: list[Signed] = []
        self.recording = True  # else what was signed is with the bridge alone, and lost with it
        self.gaps: list[Missing] = []
        self.troubles: list[Trouble] = []
        self.clocks: list[Clock] = []
        self.arrived: list[Arrived] = []
        self.sent_up = self.sent_down = self._nonces = 0
        self.asked: dict[int, list[int]] = {1: []}  # boot -> commits that the firmware confirmed, told or not
        self.refused: Counter[int] = Counter()  # boot -> how many of these found no room
        self.link = self.new_host()

    def new_host(self) -> Link:
        """The bridge begins anew and knows what the lineage has."""
        known = None
        if self.entries:
            last = self.entries[-1]
            known = Known(last.boot, last.last + 1, last.frames[-1].leaf[:8])
        self.link = Link(DEVICE.public_key, ORIGIN, known, self._nonce, batch_frames=4, batch_ms=20)
        self.link.opened(self.now_us)
        return self.link

    def reboot(self) -> None:
        """The device loses its power and comes back."""
        self.boot += 1
        self.asked[self.boot] = []
        self.device.boot(self.boot)

    def confirm(self, commit: int) -> None:
        """The firmware confirms a commit."""
        self.asked[self.boot].append(commit)
        self.device.do(f"now {self.now_us}")
        self.refused[self.boot] += not self.device.do(f"confirm {commit} 1 0 2:{commit / 8} 14:{commit}")

    def step(self) -> bool:
        """Both sides once; whether anything but the clock moved."""
        self._take(self.link.at(self.now_us))
        moved = False
        for frame in _frames(self.link.take_output()):
            for piece in self.down(self.sent_down, frame):
                self.device.received(piece)
            self.sent_down += 1
            moved = True
        for frame in self.device.poll(self.now_us):
            for piece in self.up(self.sent_up, frame):
                self._take(self.link.received(piece, self.now_us))
            self.sent_up += 1
            moved = True
        self.now_us += 1_000 if moved else 21_000
        return moved

    def run(self, until: Callable[[], bool] | None = None, steps: int = 400) -> None:
        """Step until all is accounted for."""
        for _ in range(steps):
            self.step()
            if (until or self.settled)():
                return
        raise AssertionError(f"not settled: {self.link.state}, {len(self.entries)} entries, {self.missing()} missing")

    def settled(self) -> bool:
        """Whether the session is up and nothing is missing."""
        return self.link.state is State.UP and not self.missing()

    def missing(self) -> list[int]:
        """The commits that were confirmed, and are neither in an entry, nor told as dropped, nor in a gap."""
        left: list[int] = []
        for boot, asked in self.asked.items():
            frames = [frame for entry in self.entries if entry.boot == boot for frame in entry.frames]
            told = {frame.body.commit.seq for frame in frames if isinstance(frame.body, Confirmation)}
            rest = [commit for commit in asked if commit not in told]
            dropped = sum(frame.body.frames for frame in frames if isinstance(frame.body, Dropped))
            over = any(gap.since.boot <= boot and gap.frames is None for gap in self.gaps) and boot < self.boot
            if not over and len(rest) > dropped:
                left += rest
        return left

    def check(self) -> None:
        """The law: nothing unsigned, nothing twice, nothing out of place, nothing lost without a word."""
        assert not self.missing()
        place = dict.fromkeys(self.asked, 0)
        for entry in self.entries:
            read, frames = confirmation.of_body(entry.body)
            found = confirmation.verify(read, frames, DEVICE.public_key)
            assert found == entry.frames
            assert read.says.origin == ORIGIN
            assert entry.first == place[entry.boot], "a hole, or a frame twice"
            place[entry.boot] = entry.last + 1
            assert {made.commit.seq for made in entry.confirmations} <= set(self.asked[entry.boot]), "never confirmed"
        assert not [gap for gap in self.gaps if gap.frames is not None]

    def _take(self, happenings: list[Happening]) -> None:
        for happened in happenings:
            match happened:
                case Signed():
                    if self.recording:
                        self.entries.append(happened)
                        self.link.recorded(happened)
                case Missing():
                    self.gaps.append(happened)
                case Trouble():
                    self.troubles.append(happened)
                case Clock():
                    self.clocks.append(happened)
                case Arrived():
                    self.arrived.append(happened)

    def _nonce(self) -> bytes:
        self._nonces += 1
        return sha256(b"%d" % self._nonces).digest()[:16]


def _frames(line: bytes) -> list[bytes]:
    return [piece + b"\0" for piece in line.split(b"\0")[:-1]]
