"""Kinds of entry, and the shapes of what the keys of a header hold (FORMAT.md section 2).

Each shape is a type; `msgspec.convert` checks a decoded value against it, exactly (no text for numbers, no numbers
for booleans, no missing or extra elements).  `format.cddl` says the same in CDDL, and a test compares the two.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, NamedTuple

from msgspec import Meta

Uint = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
Bytes16 = Annotated[bytes, Meta(min_length=16, max_length=16)]
Request = Bytes16  # 8-byte session ‖ u64be counter
Name = Annotated[str, Meta(min_length=1, max_length=256)]
ReferenceType = Annotated[int, Meta(ge=1, le=4)]
Reason = Annotated[str, Meta(min_length=1, max_length=1024)]
ABSENT = -1  # an optional trailing element that is not there
UNCLASSED = "unclassed"  # names in a deletion entry the class of entries that have no key 13
UNCLASSIFIED = "unclassified"  # retention class of what is of an action class that no table knew


class Kind(IntEnum):
    """Header key 2."""

    BOOT = 1
    STOP = 2
    EPOCH = 3
    ACTUATION = 4
    REFUSAL = 5
    CONFIRMATION = 6
    OBSERVATION = 7
    POLICY = 8
    CREDENTIAL = 9
    CONTROL_TRANSITION = 10
    EVIDENCE = 11
    GAP = 12
    DELETION = 13
    REDACTION = 14
    EXTRACTION = 15
    FAULT = 16
    CYCLE_END = 17
    ACTUATOR = 18
    SCHEMA = 19
    CLOCK_STEP = 20
    ABANDON = 21
    HOLD = 22
    MARK = 23
    CYCLE = 24


_NAMES = {int(kind): kind.name.lower() for kind in Kind}
IDENTITY_SIGNED = frozenset({Kind.BOOT, Kind.EPOCH})  # all other kinds are signed by the epoch key in force


def kind_name(kind: int) -> str:
    """A kind in words, also one of a later version."""
    return _NAMES.get(kind, f"kind {kind}")


class Stage(IntEnum):
    """Header key 14."""

    DIRECT = 0
    TENTATIVE = 1
    WITNESSED = 2
    EXECUTED = 3
    ABORTED = 4


class Decision(IntEnum):
    """Header key 16."""

    ADMITTED = 0
    REFUSED = 1
    DEVIATED = 2
    EXTERNAL = 3
    UNGATED = 4
    OUTSIDE_GRANT = 5


class RefType(IntEnum):
    """Keys of header key 12."""

    STAGE_PREDECESSOR = 1
    CONFIRMS = 2
    USES = 3
    SUPERSEDES = 4


class Time(NamedTuple):
    """Header key 5: the recorder's own clocks when the entry was made."""

    utc_ns: Uint
    mono_ns: Uint  # CLOCK_BOOTTIME
    boot: Positive  # daemon starts of this origin so far, this one included
    quality: Annotated[int, Meta(ge=0, le=3)]  # 0 unknown, 1 free-running, 2 NTP or PTP, 3 GNSS or signed time
    error_us: Uint | None


class Axis(NamedTuple):
    """A predecessor on the actuator or the policy axis."""

    seq: Uint
    hash: Hash


class PolicyAxis(NamedTuple):
    """Header key 7; both null where nothing gated the entry."""

    bundle: Hash | None
    previous: Axis | None


class Shared(NamedTuple):
    """Header keys 8 and 9: a family digest and the entry that carries its claims."""

    digest: Hash
    carrier: Uint


class Commit(NamedTuple):
    """One commit of key 10."""

    actuator: Uint
    what: Hash
    where: Hash
    at_mono_ns: Uint  # the controller's claim
    request: Request


class Rows(NamedTuple):
    """One rows message of key 10: `count` commits."""

    actuator: Uint
    schema: Hash
    count: Positive  # type: ignore[assignment]  # hides tuple.count
    rows_root: Hash
    what: Hash
    where: Hash
    at_mono_ns: tuple[Uint, Uint]
    request: Request


class Ref(NamedTuple):
    """A reference to an entry, a commit of it, or a row of that."""

    origin: str | None  # None: this origin, then seq is lower than ours
    seq: Uint
    hash: Hash
    index: Uint = ABSENT  # type: ignore[assignment]  # hides tuple.index
    row: Uint = ABSENT


class ActionClass(NamedTuple):
    """Header key 13."""

    action_class: Name
    retention_class: Name


class Bounds(NamedTuple):
    """Header key 17: what a cycle admits."""

    not_after_mono_ns: Uint
    max_commits: Positive
    actuators: Annotated[list[Uint], Meta(min_length=1)]
    action_classes: Annotated[list[Name], Meta(min_length=1)]


class Witnesses(NamedTuple):
    """Header key 18: witnesses asked for, before anyone has signed."""

    k: Positive  # wanted; fewer are chosen where there were not as many, or nobody
    within_ms: Uint
    rule: Name
    chosen: Hash
    before: Annotated[int, Meta(ge=1, le=1)] = 0  # 1: nobody acts before k have signed; absent otherwise
