"""Frames of a device for tests: a chain of them, signed or not, deterministic."""

from __future__ import annotations

from itertools import pairwise

from recorder.core import confirmation, deviceframe, keys, merkle
from recorder.core.confirmation import Batch
from recorder.core.deviceframe import Body, CommitRef, Confirmation, Outcome
from tests.credential_builder import signer

NAME = "motor controller 3"
DEVICE = signer(NAME)
KID = keys.kid(DEVICE.public_key)
ORIGIN = "acme/arm-7/00112233aabbccdd"
NONCE = bytes(range(16))


def confirmed(number: int, outcome: Outcome = Outcome.REACHED) -> Confirmation:
    """A confirmation of the commit of this number."""
    return Confirmation(CommitRef(number, 0, number.to_bytes(16, "big")), outcome, [(2, number / 8), (14, number)])


def chain(*bodies: Body, boot: int = 1, kid: bytes = KID) -> list[bytes]:
    """Frames from seq 0 on, a millisecond apart."""
    frames: list[bytes] = []
    prev = deviceframe.first_prev(kid, boot)
    for seq, body in enumerate(bodies):
        frames.append(deviceframe.make(kid, boot, seq, 1000 * (seq + 1), prev, body))
        prev = merkle.leaf_hash(frames[-1])[: deviceframe.PREV_BYTES]
    assert all(before != after for before, after in pairwise(frames))
    return frames


def signed(frames: list[bytes], nonce: bytes = NONCE, boot: int = 1, first: int = 0, origin: str = ORIGIN) -> bytes:
    """The device's signature over these frames."""
    root = merkle.root_of([merkle.leaf_hash(raw) for raw in frames])
    return confirmation.make(Batch(origin, nonce, boot, first, first + len(frames) - 1, root), DEVICE)
