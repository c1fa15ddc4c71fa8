"""The simulator's device behind the commands of `device.Device`: the same stories are played with both."""

from __future__ import annotations

from random import Random

from hwsim.firmware.device import Device as Core
from hwsim.firmware.messages import Commit, Grant
from tests.frames import DEVICE

RING = 8


class Simulated:
    """One microcontroller of hwsim; what it does is in `out`, `granted` and `receipts`."""

    def __init__(self) -> None:
        self.signer = DEVICE
        self.boot(1)

    def boot(self, number: int) -> None:
        """A reset: all but the key and the boot number is forgotten."""
        self.out: list[bytes] = []
        self.granted: list[list[int]] = []
        self.receipts: list[list[int]] = []
        self._core = Core(self.signer, number, ring=RING)
        self._now_us = 0
        self._full = False

    def do(self, command: str) -> int:
        """One command; its result."""
        verb, *words = command.split()
        core = self._core
        core.sends(self._now_us, 0)  # its clock goes on, and its line takes nothing
        if verb == "now":
            self._now_us = int(words[0])
        elif verb == "full":
            self._full = words[0] != "0"
        elif verb == "noise":
            chance, left = Random(int(words[0])), int(words[1])
            while left:
                size = min(left, chance.randrange(1, 4096))
                core.received(chance.randbytes(size), self._now_us)
                left -= size
            return core.noise
        elif verb == "confirm":
            seq, outcome, at_once = map(int, words[:3])
            commit = Commit(seq, 0, seq.to_bytes(16, "big"))
            return core.confirm(commit, outcome, _values(words[3:]), at_once=at_once != 0)
        elif verb == "request":
            grant = Grant(bytes(4), 0, int(words[0]), int(words[1]), 1, 1, irreversible=False)
            number = core.request(grant, _values(words[2:]), 200, None)
            return 0 if number is None else number + 1
        elif verb == "event":
            return core.event(int(words[0]), _values(words[1:]))
        elif verb == "observe":
            return core.observe(_values(words))
        elif verb == "fault":
            return core.fault(int(words[0]), int(words[1]))
        else:
            raise AssertionError(command)
        return 0

    def received(self, line: bytes) -> int:
        """Bytes from the line; how many pieces were noise so far."""
        for told in self._core.received(line, self._now_us):
            if isinstance(told, Grant):
                self.granted.append([told.grant, told.actuator, told.commits, told.valid_ms, told.irreversible])
            else:
                commit = told.commit or Commit(0, 0, b"")
                asked = told.request is not None
                self.receipts.append(
                    [asked, told.request or 0, told.verdict, told.commit is not None, commit.seq, commit.place]
                )
        return self._core.noise

    def poll(self, now_us: int) -> list[bytes]:
        """What it sends now."""
        self._now_us = now_us
        return self._core.sends(now_us, 0 if self._full else 2**31)

    def end(self) -> None:
        """It goes."""


def _values(words: list[str]) -> list[tuple[int, float]]:
    pairs = (word.split(":") for word in words)
    return [(int(quantity), float.fromhex(value) if "0x" in value else float(value)) for quantity, value in pairs]
