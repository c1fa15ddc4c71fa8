"""What a host says to a device, and how a device spells what it says (firmware_bridge/PROTOCOL.md section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from struct import pack, unpack
from typing import Annotated, NamedTuple

from msgspec import Meta, ValidationError, convert

from recorder.core import cbor
from recorder.core.errors import FormatError

Uint = Annotated[int, Meta(ge=0)]  # of CBOR: 64 bits
Session = Annotated[bytes, Meta(min_length=4, max_length=4)]


class Hello(NamedTuple):
    """Begins a session."""

    nonce: Annotated[bytes, Meta(min_length=16, max_length=16)]
    origin: Annotated[str, Meta(min_length=1)]
    batch_frames: Annotated[int, Meta(ge=1, le=64)]
    batch_ms: Annotated[int, Meta(ge=1, le=60_000)]


class Ack(NamedTuple):
    """How far the host is: each number is the first seq that is not yet so."""

    session: Session
    received: Uint
    signed: Uint
    recorded: Uint
    resend: Annotated[int, Meta(ge=0, le=2)]  # 1 frames from `received` on, 2 signatures too


class Commit(NamedTuple):
    """An admitted commit, as a receipt names it."""

    seq: Uint
    place: Uint
    hash: Annotated[bytes, Meta(min_length=16, max_length=16)]


class Grant(NamedTuple):
    """What the device may ask for."""

    session: Session
    number: Uint
    grant: Uint
    actuator: Uint
    commits: Uint
    valid_ms: Uint
    irreversible: bool


class Receipt(NamedTuple):
    """What became of a commit."""

    session: Session
    number: Uint
    request: Uint | None
    actuator: Uint
    verdict: Annotated[int, Meta(ge=0, le=3)]  # 0 admitted, 1 refused, 2 late, 3 no answer
    commit: Commit | None
    irreversible: bool


class Time(NamedTuple):
    """A question after the clock."""

    session: Session
    host_us: Uint


Values = Sequence[tuple[int, float]]  # quantity and value: FORMAT.md section 6
Message = Hello | Ack | Grant | Receipt | Time
_KINDS: dict[int, type[Message]] = {1: Hello, 3: Ack, 5: Grant, 6: Receipt, 8: Time}
_WITHOUT_COMMIT = {1, 3}  # verdicts: refused, no answer
ORIGIN_MAX_BYTES = 128
VERSION = 1


def make(kind: int, *elements: object) -> bytes:
    """The bytes of a message."""
    return cbor.pack([VERSION, kind, *elements])


def read(raw: bytes) -> Message | None:
    """A host's message; None for whatever is not one of this version, to the last bit."""
    try:
        value = cbor.decode(raw)
        if type(value) is not list or len(value) < 2 or any(type(part) is not int for part in value[:2]):
            return None
        if value[0] != VERSION or value[1] not in _KINDS:
            return None
        message = convert(value[2:], _KINDS[value[1]], builtin_types=(bytes,))
    except (FormatError, ValidationError):
        return None
    if isinstance(message, Hello) and len(message.origin.encode()) > ORIGIN_MAX_BYTES:
        return None
    if isinstance(message, Receipt) and (message.commit is None) != (message.verdict in _WITHOUT_COMMIT):
        return None
    return message


def singles(values: Values) -> list[list[float]]:
    """As a core with single floats has them; beyond the largest lies infinity."""
    return [[quantity, _single(value)] for quantity, value in values]


def _single(value: float) -> float:
    try:
        (single,) = unpack("<f", pack("<f", value))
    except OverflowError:
        return inf
    return float(single)
