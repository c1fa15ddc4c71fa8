"""One direction of a bad line: frames in, the bytes that arrive out; by chance, and repeatably."""

from __future__ import annotations

from random import Random

from hwsim.firmware.faults import Faults

NOISE_MAX_BYTES = 40


class Wire:
    """What a line does to the frames of one direction."""

    def __init__(self, faults: Faults, direction: str) -> None:
        """Draw from a stream of chance that belongs to this direction alone."""
        self._faults = faults
        self._chance = Random(f"{faults.seed} {direction}")
        self._late = b""  # a frame that the next one overtakes

    def carry(self, frame: bytes) -> bytes:
        """What arrives once this frame was sent."""
        faults = self._faults
        if faults.wrong_baud:
            # Another rate reads bits at the wrong places: what arrives has another length, nothing of what was sent,
            # and zeros where a stop bit was missing.
            return self._chance.randbytes(self._chance.randrange(len(frame)) + 1) + b"\0"
        before, self._late = self._late, b""
        if self._falls(faults.noise):
            before = self._chance.randbytes(self._chance.randrange(NOISE_MAX_BYTES) + 1) + before
        if self._falls(faults.flip):
            at = self._chance.randrange(len(frame))
            frame = frame[:at] + bytes((frame[at] ^ 1 << self._chance.randrange(8),)) + frame[at + 1 :]
        if self._falls(faults.drop):
            return before
        if self._falls(faults.duplicate):
            frame += frame
        if self._falls(faults.swap):
            self._late = frame
            return before
        return frame + before

    def _falls(self, chance: float) -> bool:
        return chance > 0 and self._chance.random() < chance
