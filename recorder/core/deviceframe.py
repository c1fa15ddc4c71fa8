"""Frames that an actuator's device numbers, chains and signs (FORMAT.md section 6, "Confirmation").

A frame is deterministic CBOR of at most 128 bytes: a microcontroller writes it with forty lines of C, and whoever reads
a lineage reads it with what reads the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from itertools import pairwise
from typing import Annotated, NamedTuple

from msgspec import Meta, ValidationError, convert

from recorder.core import cbor, merkle
from recorder.core.errors import FormatError
from recorder.core.kinds import Uint

ERROR = "frame_malformed"
VERSION = 1
FRAME_MAX_BYTES = 128
VALUES_MAX = 8
PREV_BYTES = 8
REF_HASH_BYTES = 16
DEVICE_CLAIM = "device"  # of the what of a commit that a device asked for, and of its event: `[kid, boot, seq]`

Kid = Annotated[bytes, Meta(min_length=8, max_length=8)]
Boot = Annotated[int, Meta(ge=1, le=2**32 - 1)]
Code = Annotated[int, Meta(ge=1, le=255)]
Prev = Annotated[bytes, Meta(min_length=PREV_BYTES, max_length=PREV_BYTES)]
RefHash = Annotated[bytes, Meta(min_length=REF_HASH_BYTES, max_length=REF_HASH_BYTES)]
Values = Annotated[list[tuple[Code, int | float]], Meta(max_length=VALUES_MAX)]


class FrameType(IntEnum):
    """Element 1 of a frame."""

    COMMIT_REQUEST = 16
    CONFIRMATION = 17
    EVENT = 18
    OBSERVATION = 19
    FAULT = 20
    DROPPED = 21


class Outcome(IntEnum):
    """What became of a commit, by the device's own account."""

    REACHED = 1
    PARTLY = 2  # it ended short of what was committed
    NOT_MOVED = 3
    REFUSED = 4  # by the device's own limits
    ABORTED = 5
    EXPIRED = 6  # its time was over before it began


class Quantity(NamedTuple):
    """What a value of a frame is a measure of."""

    quantity: str
    unit: str


# FORMAT.md section 6; other numbers are the device's own.
QUANTITIES: dict[int, Quantity] = {
    number: Quantity(*said)
    for number, said in enumerate(
        (
            ("position", "m"), ("angle", "rad"), ("velocity", "m/s"), ("angular_velocity", "rad/s"), ("force", "N"),
            ("torque", "N·m"), ("current", "A"), ("voltage", "V"), ("temperature", "°C"), ("duration", "s"),
            ("pressure", "Pa"), ("flow", "m³/s"), ("ratio", "1"), ("count", "1"), ("acceleration", "m/s²"),
        ),
        1,
    )
}  # fmt: skip


EVENTS = dict(
    enumerate(
        (
            "emergency_stop", "limit_reached", "brake_on", "brake_off", "watchdog", "power_failing", "receipt_late",
            "refused",
        ),
        1,
    )
)  # fmt: skip


def quantity_of(number: int) -> Quantity:
    """What a quantity's number stands for; of those that are a device's own, the number and no unit."""
    return QUANTITIES.get(number) or Quantity(f"quantity_{number}", "none")


class CommitRef(NamedTuple):
    """A commit of the device's log: what a receipt told it."""

    seq: Uint
    place: Uint  # the index in its key 10
    hash: RefHash  # the first 16 bytes of the entry hash


class CommitRequest(NamedTuple):
    """What the device asks to have admitted, under a grant of the host."""

    grant: Uint
    actuator: Uint
    asked: Values
    duration_ms: Uint | None
    confirm_by_ms: Uint | None


class Confirmation(NamedTuple):
    """What the actuator reached."""

    commit: CommitRef
    outcome: Outcome
    reached: Values


class Event(NamedTuple):
    """Something that the firmware did or saw without being asked."""

    event: Code
    values: Values


class Observation(NamedTuple):
    """Readings of the device's own sensors."""

    values: Values


class Fault(NamedTuple):
    """Something wrong with the device itself."""

    fault: Code
    detail: int


class Dropped(NamedTuple):
    """Frames that the device had no room for, before this one and after the one below it."""

    frames: Annotated[int, Meta(ge=1)]
    first_tick_us: Uint
    last_tick_us: Uint


Body = CommitRequest | Confirmation | Event | Observation | Fault | Dropped

_BODIES: dict[int, type[Body]] = {
    FrameType.COMMIT_REQUEST: CommitRequest,
    FrameType.CONFIRMATION: Confirmation,
    FrameType.EVENT: Event,
    FrameType.OBSERVATION: Observation,
    FrameType.FAULT: Fault,
    FrameType.DROPPED: Dropped,
}
_TYPES = {body: FrameType(number) for number, body in _BODIES.items()}


class _Head(NamedTuple):
    kid: Kid
    boot: Boot
    seq: Uint
    tick_us: Uint
    prev: Prev


class Frame(NamedTuple):
    """A frame that was read; reading it has not checked who signed it."""

    raw: bytes
    kid: bytes  # of the device's key
    boot: int  # of the device, counted from 1
    seq: int  # within the boot, from 0, without holes
    tick_us: int  # of the device since it booted; never falls within a boot
    prev: bytes  # the first 8 bytes of the leaf of seq - 1, or of `first_prev`
    body: Body

    @property
    def leaf(self) -> bytes:
        """H(0x00 ‖ frame): what the next frame and the batch's root rest on."""
        return merkle.leaf_hash(self.raw)


def type_of(body: Body) -> FrameType:
    """The type of a frame with this body."""
    return _TYPES[type(body)]


def first_prev(kid: bytes, boot: int) -> bytes:
    """What stands as prev in frame 0 of a boot."""
    return merkle.leaf_hash(cbor.pack([kid, boot]))[:PREV_BYTES]


def make(kid: bytes, boot: int, seq: int, tick_us: int, prev: bytes, body: Body) -> bytes:
    """Make the bytes of a frame.

    Raises:
        FormatError: frame_malformed: readers would refuse it.

    """
    listed = [list(part) if isinstance(part, tuple) else part for part in body]
    raw = cbor.pack([VERSION, int(_TYPES[type(body)]), kid, boot, seq, tick_us, prev, *listed])
    read(raw)
    return raw


def read(raw: bytes) -> Frame:
    """Read a frame and check its encoding and its shape; neither its place nor who signed it.

    Raises:
        FormatError: frame_malformed.

    """
    if len(raw) > FRAME_MAX_BYTES:
        raise FormatError(ERROR, f"a frame of {len(raw)} bytes is over {FRAME_MAX_BYTES}")
    try:
        value = cbor.decode(raw)
    except FormatError as error:
        raise FormatError(ERROR, error.detail) from None
    if not isinstance(value, list) or len(value) < 2 + len(_Head._fields) or type(value[1]) is not int:
        raise FormatError(ERROR, "not a list of version, type, kid, boot, seq, tick, prev and a body")
    if type(value[0]) is not int or value[0] != VERSION or value[1] not in _BODIES:
        raise FormatError(ERROR, f"version {value[0]!r} and type {value[1]} are none of version {VERSION}")
    split = 2 + len(_Head._fields)
    try:
        head = convert(value[2:split], _Head, builtin_types=(bytes,))
        body = convert(value[split:], _BODIES[value[1]], builtin_types=(bytes,))
    except ValidationError as error:
        raise FormatError(ERROR, str(error)) from None
    if isinstance(body, Dropped) and not body.first_tick_us <= body.last_tick_us <= head.tick_us:
        raise FormatError(ERROR, "dropped at times that do not follow each other")
    return Frame(raw, *head, body)


def follow(frames: Sequence[Frame]) -> bool:
    """Tell whether these are frames of one key and boot in order, each naming the one before it."""
    return all(
        (after.kid, after.boot, after.seq) == (before.kid, before.boot, before.seq + 1)
        and after.prev == before.leaf[:PREV_BYTES]
        and after.tick_us >= before.tick_us
        for before, after in pairwise(frames)
    )
