"""Confirmations: what an actuator's own key says that it reached, one signature for many frames (FORMAT.md section 6).

A small core cannot sign at a kilohertz, so it signs the root of a batch of frames.  The recorder's entry follows later
and has the frames in its body: a microcontroller cannot know the entry before it exists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Annotated, NamedTuple

from msgspec import Meta, ValidationError, convert

from recorder.core import cbor, deviceframe, merkle, sign1
from recorder.core.deviceframe import Boot, Confirmation, Frame
from recorder.core.errors import FormatError
from recorder.core.keys import Signer
from recorder.core.kinds import Bytes16, Hash, Name, Uint
from recorder.core.sign1 import CONFIRMATION, Sign1

ERROR = CONFIRMATION.error
SIGNATURE_CLAIM, FRAMES_CLAIM = "signature", "frames"  # keys of the body claims of the entry
BATCH_MAX_FRAMES = 256


class Batch(NamedTuple):
    """What is signed: which frames, for which log, and that they were signed for this session and boot."""

    origin: Name
    nonce: Bytes16  # the host's, of the session
    boot: Boot  # of the device
    first: Uint
    last: Uint
    root: Hash  # RFC 6962 over the frames


class Confirmed(NamedTuple):
    """The signature over a batch as it was read; reading it has checked neither the key nor the frames."""

    signed: Sign1
    says: Batch


class _Claims(NamedTuple):
    signature: bytes
    frames: Annotated[list[bytes], Meta(min_length=1, max_length=BATCH_MAX_FRAMES)]


def make(says: Batch, signer: Signer) -> bytes:
    """Sign a batch.

    Raises:
        FormatError: confirmation_malformed: readers would refuse it.

    """
    payload = cbor.encode(list(says))
    _read_payload(payload)
    return sign1.sign(signer, CONFIRMATION, payload)


def read(raw: bytes) -> Confirmed:
    """Read the signature over a batch.

    Raises:
        FormatError: confirmation_malformed.

    """
    signed = sign1.read(raw, CONFIRMATION)
    return Confirmed(signed, _read_payload(signed.payload))


def verify(confirmed: Confirmed, frames: Sequence[bytes], public_key: bytes) -> list[Frame]:
    """Check that this key signed these frames, and that they are in order; whose the key is, its credential says.

    Raises:
        FormatError: confirmation_signature, confirmation_frames, frame_malformed.

    """
    says = confirmed.says
    if not sign1.verify(confirmed.signed, public_key):
        raise FormatError(
            "confirmation_signature", f"frames {says.first} to {says.last}: not signed by {public_key.hex()}"
        )
    return frames_of(confirmed, frames)


def frames_of(confirmed: Confirmed, frames: Sequence[bytes]) -> list[Frame]:
    """Check that these are the frames which the signature is about, whoever made it.

    Raises:
        FormatError: confirmation_frames, frame_malformed.

    """
    says = confirmed.says
    if merkle.root_of([merkle.leaf_hash(raw) for raw in frames]) != says.root:
        raise FormatError("confirmation_frames", "these are not the frames that were signed")
    found = [deviceframe.read(raw) for raw in frames]
    ends = [(frame.kid, frame.boot, frame.seq) for frame in (found[0], found[-1])]
    if ends != [(confirmed.signed.kid, says.boot, seq) for seq in (says.first, says.last)]:
        raise FormatError("confirmation_frames", f"they are not {says.first} to {says.last} of boot {says.boot}")
    if not deviceframe.follow(found):
        raise FormatError("confirmation_frames", "a frame does not name the one before it")
    return found


def of_body(body: Mapping[str, cbor.Value]) -> tuple[Confirmed, list[bytes]]:
    """What the body claims of an entry hold: the signature and the frames under it.

    Raises:
        FormatError: confirmation_malformed.

    """
    try:
        claims = convert([body.get(SIGNATURE_CLAIM), body.get(FRAMES_CLAIM)], _Claims, builtin_types=(bytes,))
    except ValidationError as error:
        raise FormatError(ERROR, str(error)) from None
    return read(claims.signature), claims.frames


def named_by(digest: bytes, body: Mapping[str, cbor.Value]) -> bool:
    """Tell whether the signature among these body claims is that of the digest in control."""
    raw = body.get(SIGNATURE_CLAIM)
    return isinstance(raw, bytes) and sha256(raw).digest() == digest


def kid_in(body: Mapping[str, cbor.Value]) -> bytes | None:
    """The kid under which the batch among these body claims is signed; None where there is none to be read."""
    raw = body.get(SIGNATURE_CLAIM)
    try:
        return read(raw).signed.kid if isinstance(raw, bytes) else None
    except FormatError:
        return None


def commits(frames: Sequence[Frame]) -> list[Confirmation]:
    """The confirmations among the frames, in order: key 12 of the entry names their commits in this order."""
    return [frame.body for frame in frames if isinstance(frame.body, Confirmation)]


def _read_payload(payload: bytes) -> Batch:
    try:
        value = cbor.decode(payload)
        says = convert(value, Batch, builtin_types=(bytes,))
    except FormatError as error:
        raise FormatError(ERROR, error.detail) from None
    except ValidationError as error:
        raise FormatError(ERROR, str(error)) from None
    if not says.first <= says.last < says.first + BATCH_MAX_FRAMES:
        raise FormatError(ERROR, f"frames {says.first} to {says.last}: a batch has 1 to {BATCH_MAX_FRAMES}")
    return says
