"""The vectors of confirmations: a signature, the frames under it, the key that a reader holds them against, and the error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recorder.core import cbor, sign1
from recorder.core.deviceframe import CommitRequest, Dropped, Event, Fault, Observation, Outcome
from tests.credential_builder import signer
from tests.frames import DEVICE, NONCE, ORIGIN, chain, confirmed, signed

Made = tuple[bytes, list[bytes]]


def each_type() -> Made:
    """A frame of each type, floats of each width, integers, a code of the device's own."""
    frames = chain(
        CommitRequest(1, 3, [(2, 0.5)], 200, None),
        confirmed(7, Outcome.PARTLY),
        Event(64, []),
        Observation([(9, 41.7), (8, -24), (1, 0.1234567165374756)]),
        Fault(2, -5),
        Dropped(9, 2000, 6000),
    )
    return signed(frames), frames


def one() -> Made:
    """A single frame, signed at once, in the last boot that there can be."""
    frames = chain(confirmed(2**40), boot=2**32 - 1)
    return signed(frames, boot=2**32 - 1), frames


def later() -> Made:
    """Frames from the middle of a boot: their first names one that is not here."""
    frames = chain(*map(confirmed, range(40)))[7:]
    return signed(frames, first=7), frames


VALID = [each_type, one, later]


def confirmation_malformed() -> Made:
    """A batch that ends before it begins, signed all the same."""
    payload = cbor.encode([ORIGIN, NONCE, 1, 5, 4, bytes(32)])
    return sign1.sign(DEVICE, sign1.CONFIRMATION, payload), one()[1]


def confirmation_signature() -> Made:
    """Another key signed it, under the kid of the right one."""
    raw, frames = each_type()
    return raw[:-64] + signer("mallory").sign(raw), frames


def confirmation_frames() -> Made:
    """Two frames in another order, signed all the same."""
    frames = each_type()[1]
    frames[2], frames[3] = frames[3], frames[2]
    return signed(frames), frames


def frame_malformed() -> Made:
    """A version that does not exist, signed all the same."""
    frames = one()[1]
    frames[0] = frames[0][:1] + b"\x02" + frames[0][2:]
    return signed(frames, boot=2**32 - 1), frames


BROKEN = [confirmation_malformed, confirmation_signature, confirmation_frames, frame_malformed]


def _described(build: Callable[[], Made], error: str | None) -> dict[str, Any]:
    raw, frames = build()
    return {
        "name": build.__name__,
        "description": " ".join((build.__doc__ or "").split()),
        "key": DEVICE.public_key.hex(),
        "bytes": raw.hex(),
        "frames": [frame.hex() for frame in frames],
        "expected": {"error": error},
    }


def vectors() -> dict[str, dict[str, Any]]:
    """Every vector by its path."""
    found = {f"confirmation/{build.__name__}.json": _described(build, None) for build in VALID}
    return found | {f"confirmation/broken/{build.__name__}.json": _described(build, build.__name__) for build in BROKEN}
