"""Observations: what an observer read of the world, signed by its own key before anyone uses it (FORMAT.md section 6).

The signature is the observer's and not the recorder's: a reading that goes through three hands is still its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, NamedTuple

from msgspec import Meta

from recorder.core import cbor, sign1
from recorder.core.errors import FormatError
from recorder.core.fields import read_fields
from recorder.core.keys import Signer
from recorder.core.kinds import Hash, Name, Uint
from recorder.core.sign1 import OBSERVATION, Sign1

ERROR = OBSERVATION.error
CLAIM = "observation"  # key of the body claim of an observation entry that holds the signed bytes

Number = int | float
Value = bool | int | float | str | list[Number]


class Observation(NamedTuple):
    """What an observer says that it read."""

    name: Name  # what was measured, such as "lidar.nearest_m"
    value: Value
    unit: Annotated[str, Meta(min_length=1, max_length=64)] | None
    frame: Name | None
    at_utc_ns: Uint  # the observer's clocks
    at_mono_ns: Uint | None  # CLOCK_BOOTTIME of a machine that reader and observer share
    sequence: Uint  # rises with each observation of one signer
    subject: Name | None  # of what it was measured, so that readings by several observers can be matched
    credential: Hash | None  # SHA-256 of the observer's


class Observed(NamedTuple):
    """An observation that was read; reading it has not checked who signed it."""

    signed: Sign1
    says: Observation


def make(says: Observation, signer: Signer) -> bytes:
    """Make the bytes of an observation.

    Raises:
        FormatError: observation_malformed: readers would refuse it.
        Misuse: it is too large.

    """
    try:
        payload = cbor.encode(says._asdict())
    except FormatError as error:
        raise FormatError(ERROR, error.detail) from None
    read_fields(payload, Observation, ERROR)
    return sign1.sign(signer, OBSERVATION, payload)


def read(raw: bytes) -> Observed:
    """Read an observation and check its encoding and its shape; not who signed it.

    Raises:
        FormatError: observation_malformed.

    """
    signed = sign1.read(raw, OBSERVATION)
    return Observed(signed, read_fields(signed.payload, Observation, ERROR))


def verify(observed: Observed, public_key: bytes) -> None:
    """Check that this key signed it; whose the key is stands in the credential that the observation names.

    Raises:
        FormatError: observation_signature.

    """
    if not sign1.verify(observed.signed, public_key):
        raise FormatError(
            "observation_signature",
            f"{observed.says.name}, sequence {observed.says.sequence}: not signed by {public_key.hex()}",
        )


def named_by(digest: bytes | None, body: Mapping[str, cbor.Value]) -> bool:
    """Tell whether the observation among these body claims, if there is one, is that of the digest in control."""
    if CLAIM not in body:
        return True
    raw = body[CLAIM]
    return isinstance(raw, bytes) and sha256(raw).digest() == digest
