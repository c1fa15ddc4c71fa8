"""From a device's frames and signatures to what the lineage's entries will hold (PROTOCOL.md section 4).

`Chain` is one boot of one device: frames come in order, each naming the one before it; a signature moves the front of
them over.  It decides nothing about the line.
"""

from __future__ import annotations

from typing import NamedTuple

from firmware_bridge.line.messages import GivenSignature
from recorder.core import confirmation, merkle, sign1
from recorder.core.confirmation import Batch
from recorder.core.deviceframe import PREV_BYTES, Confirmation, Frame, first_prev
from recorder.core.errors import FormatError
from recorder.core.keys import kid
from recorder.core.kinds import Kind

SEQ_MAX = 2**64 - 1
HELD_MAX_FRAMES = 1024  # received and not signed: a device that never signs ends here, and not our memory


class Signed(NamedTuple):
    """A batch whose signature held."""

    boot: int
    first: int
    last: int
    signature: bytes  # the whole COSE_Sign1
    frames: list[Frame]

    @property
    def kind(self) -> Kind:
        """A confirmation where it confirms a commit, else an observation: key 12 of a confirmation is never empty."""
        return Kind.CONFIRMATION if self.confirmations else Kind.OBSERVATION

    @property
    def confirmations(self) -> list[Confirmation]:
        """What it confirms, in the order of key 12."""
        return confirmation.commits(self.frames)

    @property
    def body(self) -> dict[str, object]:
        """The body claims of its entry (FORMAT.md section 3)."""
        return {
            confirmation.SIGNATURE_CLAIM: self.signature,
            confirmation.FRAMES_CLAIM: [frame.raw for frame in self.frames],
        }

    @property
    def control(self) -> bytes:
        """The hash in its entry's control."""
        return confirmation.read(self.signature).signed.hash


class Known(NamedTuple):
    """How far somebody is with a device: the lineage, or what was signed and handed out."""

    boot: int
    next: int  # the first seq of this boot that is still to come
    prev: bytes | None  # what that frame must name; None where it is not known


class Chain:
    """The frames of one boot of one device, from the first that the lineage lacks."""

    __slots__ = ("_frames", "_kid", "_prev", "_signed_prev", "boot", "key", "signed")

    def __init__(self, key: bytes, start: Known) -> None:
        self.key = key
        self._kid = kid(key)
        self.boot = start.boot
        self.signed = start.next
        self._prev = self._signed_prev = start.prev if start.next else first_prev(self._kid, start.boot)
        self._frames: list[Frame] = []  # received and not signed

    @property
    def received(self) -> int:
        """The first seq that has not come."""
        return self.signed + len(self._frames)

    @property
    def front(self) -> Known:
        """Where what is signed ends."""
        return Known(self.boot, self.signed, self._signed_prev)

    def add(self, frame: Frame) -> bool:
        """Take the next frame; false where it is not the next one, or there is no room for it.

        Raises:
            FormatError: confirmation_frames: it is of another key or boot, or does not follow the one before it.

        """
        if (frame.kid, frame.boot) != (self._kid, self.boot):
            raise FormatError("confirmation_frames", f"a frame of {frame.kid.hex()}, boot {frame.boot}")
        if frame.seq != self.received or len(self._frames) >= HELD_MAX_FRAMES:
            return False
        if frame.seq >= SEQ_MAX:
            raise FormatError("confirmation_frames", f"frame {frame.seq}: no number is left for the one behind it")
        if self._prev not in {None, frame.prev}:
            raise FormatError("confirmation_frames", f"frame {frame.seq} does not name the one before it")
        if self._frames and frame.tick_us < self._frames[-1].tick_us:
            raise FormatError("confirmation_frames", f"the clock of frame {frame.seq} goes back")
        self._frames.append(frame)
        self._prev = frame.leaf[:PREV_BYTES]
        return True

    def sign(self, origin: str, nonce: bytes, first: int, last: int, signature: bytes) -> Signed | None:
        """Take a signature; None where it is not over what is next, or a frame under it has not come.

        Raises:
            FormatError: confirmation_signature: it does not hold.

        """
        count = last - first + 1
        if first != self.signed or not 0 < count <= len(self._frames):
            return None
        frames = self._frames[:count]
        root = merkle.root_of([frame.leaf for frame in frames])
        says = Batch(origin, nonce, self.boot, first, last, root)
        raw = confirmation.make(says, GivenSignature(self.key, signature))
        # The rest of `confirmation.verify` was seen to as the frames came, and the root is made of them.
        if not sign1.verify(sign1.read(raw, sign1.CONFIRMATION), self.key):
            raise FormatError("confirmation_signature", f"frames {first} to {last}: not signed by the expected key")
        del self._frames[:count]
        self.signed = last + 1
        self._signed_prev = frames[-1].leaf[:PREV_BYTES]
        return Signed(self.boot, first, last, raw, frames)
