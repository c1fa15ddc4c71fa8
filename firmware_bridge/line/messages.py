"""Messages of the line that no lineage keeps (PROTOCOL.md section 3): what carries the signed frames, and what answers.

The frames that a device numbers and signs are `recorder.core.deviceframe`; their types begin at 16.
"""

from __future__ import annotations

from enum import IntEnum
from hashlib import sha256
from typing import Annotated, NamedTuple

from msgspec import Meta, ValidationError, convert

from recorder.core import cbor, deviceframe, sign1
from recorder.core.deviceframe import Boot, CommitRef, Frame, FrameType, Kid
from recorder.core.errors import FormatError
from recorder.core.keys import SIGNATURE_BYTES
from recorder.core.kinds import Bytes16, Hash, Uint
from recorder.core.sign1 import Use

VERSION = deviceframe.VERSION
ERROR = "message_malformed"
ORIGIN_MAX_BYTES = 128  # a device keeps the origin, and has little room
SESSION_BYTES = 4
BATCH_FRAMES_MAX = 64  # a device must hold them all to sign them

# What a device signs to show that it has its key, before anything is believed of it.
DEVICE = Use("lineage/device/1\n", 512, "device_malformed")

Origin = Annotated[str, Meta(min_length=1, max_length=ORIGIN_MAX_BYTES)]
Session = Annotated[bytes, Meta(min_length=SESSION_BYTES, max_length=SESSION_BYTES)]
Signature = Annotated[bytes, Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]


class Verdict(IntEnum):
    """What a receipt says of a commit."""

    ADMITTED = 0
    REFUSED = 1
    LATE = 2  # admitted, but after the time that the request gave: do what the class says
    UNAVAILABLE = 3  # the recorder did not answer


class Resend(IntEnum):
    """What the host misses; the device sends it again at once, and not only when its time is over."""

    NOTHING = 0
    FRAMES = 1  # from `received` on
    SIGNATURES = 2  # these, and those from `signed` on


class Hello(NamedTuple):
    """Host: begins a session."""

    nonce: Bytes16
    origin: Origin
    batch_frames: Annotated[int, Meta(ge=1, le=BATCH_FRAMES_MAX)]  # signed at the latest after so many frames
    batch_ms: Annotated[int, Meta(ge=1, le=60_000)]  # or so long after the first of them


class Here(NamedTuple):
    """Device: its answer to a hello, signed with `DEVICE` over `here_payload`."""

    key: Hash
    boot: Boot
    oldest: Uint  # the first frame that it still holds
    next: Uint  # the first that it has not made yet
    tick_us: Uint
    signature: Signature


class Ack(NamedTuple):
    """Host: how far it is, each number being the first seq that is not yet so."""

    session: Session
    received: Uint
    signed: Uint  # and the signature held
    recorded: Uint  # durable in the lineage: the device may forget them
    resend: Resend


class Batch(NamedTuple):
    """Device: its signature over frames; what is signed else, both sides know."""

    session: Session
    first: Uint
    last: Uint
    signature: Signature


class Grant(NamedTuple):
    """Host: what a cycle of the recorder admits, so that the device may ask for it."""

    session: Session
    number: Uint
    grant: Uint
    actuator: Uint
    commits: Uint
    valid_ms: Uint
    irreversible: bool  # confirmations under it are signed at once


class Receipt(NamedTuple):
    """Host: what became of a commit request; without one, of a commit that another controller made for this device."""

    session: Session
    number: Uint
    request: Uint | None  # seq of the commit request's frame
    actuator: Uint
    verdict: Verdict
    commit: CommitRef | None
    irreversible: bool


class Taken(NamedTuple):
    """Device: all grants and receipts below this number have come."""

    session: Session
    number: Uint


class Time(NamedTuple):
    """Host: a question after the device's clock."""

    session: Session
    host_us: Uint


class TimeIs(NamedTuple):
    """Device: the answer, with what was asked."""

    session: Session
    host_us: Uint
    tick_us: Uint


class Booted(NamedTuple):
    """Device: it has begun anew and knows no session."""

    kid: Kid
    boot: Boot


Message = Hello | Here | Ack | Batch | Grant | Receipt | Taken | Time | TimeIs | Booted

TYPES: dict[int, type[Message]] = {
    1: Hello, 2: Here, 3: Ack, 4: Batch, 5: Grant, 6: Receipt, 7: Taken, 8: Time, 9: TimeIs, 10: Booted,
}  # fmt: skip
_VERSION_BYTE = cbor.pack(VERSION)
_FRAME_TYPES = frozenset(cbor.pack(int(number)) for number in FrameType)
_NUMBERS = {shape: number for number, shape in TYPES.items()}


def make(message: Message) -> bytes:
    """The bytes of a message; reading them gives the same again.

    Raises:
        FormatError: message_malformed: readers would refuse it.

    """
    listed = [list(part) if isinstance(part, tuple) else part for part in message]
    raw = cbor.pack([VERSION, _NUMBERS[type(message)], *listed])
    read(raw)
    return raw


def read(raw: bytes) -> Message | Frame:
    """Read what came in one frame of the line; a device's numbered frame as such.

    Raises:
        FormatError: message_malformed, frame_malformed.

    """
    # Nearly all that comes is a frame, and nearly all of the time goes into decoding: look before.
    if raw[1:2] == _VERSION_BYTE and raw[2:3] in _FRAME_TYPES:
        return deviceframe.read(raw)
    try:
        value = cbor.decode(raw)
    except FormatError as error:
        raise FormatError(ERROR, error.detail) from None
    if not isinstance(value, list) or len(value) < 2 or any(type(part) is not int for part in value[:2]):
        raise FormatError(ERROR, "not a list of version, type and the rest")
    if value[0] != VERSION:
        raise FormatError(ERROR, f"version {value[0]}, not {VERSION}")
    if value[1] not in TYPES:
        raise FormatError(ERROR, f"no message has type {value[1]}")
    try:
        message = convert(value[2:], TYPES[value[1]], builtin_types=(bytes,))
    except ValidationError as error:
        raise FormatError(ERROR, str(error)) from None
    if isinstance(message, Hello) and len(message.origin.encode()) > ORIGIN_MAX_BYTES:
        raise FormatError(ERROR, f"an origin of more than {ORIGIN_MAX_BYTES} bytes")
    if isinstance(message, Here) and message.oldest > message.next:
        raise FormatError(ERROR, f"holds from frame {message.oldest} on, and has made {message.next}")
    if isinstance(message, Receipt) and (message.commit is None) != (message.verdict not in {0, 2}):
        raise FormatError(ERROR, "a receipt names the commit where there is one, and only there")
    return message


def session_of(nonce: bytes, device_kid: bytes, boot: int) -> bytes:
    """What marks messages of one session.

    The boot is in it: a device that greets anew while a hello is on its way takes nothing said to the last boot.
    """
    return sha256(nonce + device_kid + boot.to_bytes(4, "big")).digest()[:SESSION_BYTES]


def here_payload(origin: str, nonce: bytes, here: Here) -> bytes:
    """What a device signs in answer to a hello."""
    return cbor.pack([origin, nonce, here.boot, here.oldest, here.next, here.tick_us])


class GivenSignature:
    """A `Signer` that only has the one signature that came from elsewhere: it completes a COSE_Sign1."""

    __slots__ = ("_signature", "public_key")

    def __init__(self, public_key: bytes, signature: bytes) -> None:
        self.public_key = public_key
        self._signature = signature

    def sign(self, message: bytes) -> bytes:  # noqa: ARG002 -- whether it is of this message, `sign1.verify` tells
        """The signature."""
        return self._signature


def here_holds(origin: str, nonce: bytes, here: Here) -> bool:
    """Tell whether the key in a device's answer signed it for this session."""
    given = GivenSignature(here.key, here.signature)
    raw = sign1.sign(given, DEVICE, here_payload(origin, nonce, here))
    return sign1.verify(sign1.read(raw, DEVICE), here.key)
