"""Kinds of entry: which header keys each requires and permits, and the shape of its control (FORMAT.md section 3).

Each shape is a type; `msgspec.convert` checks a decoded value against it, exactly (no text for numbers, no numbers
for booleans, no missing or extra elements).  `format.cddl` says the same in CDDL, and a test compares the two.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any, Literal, NamedTuple

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


class Previous(NamedTuple):
    """An earlier incarnation of this platform, named by a boot entry."""

    origin: Name
    size: Uint  # entries known to have been in it
    root: Hash | None  # of its tree at that size; None where nothing of it could be read


class Boot(NamedTuple):
    """Control of a boot entry."""

    identity_key: Hash
    epoch_key: Hash
    nonce: Bytes16
    credential: Hash | None
    previous: list[Previous]
    confirmed_by: Literal["witness", "counter"] | None
    os_boot: Bytes16  # /proc/sys/kernel/random/boot_id
    carried: list[tuple[Uint, Uint]]  # open cycles that go on: carrier seq, commits made


class Stop(NamedTuple):
    """Control of a stop entry."""

    reason: Reason


class Epoch(NamedTuple):
    """Control of an epoch entry."""

    epoch_key: Hash


class Refusal(NamedTuple):
    """Control of a refusal; the request stands here where key 10 does not name it."""

    request: Request | None
    reasons: Annotated[list[Reason], Meta(min_length=1)]


class CycleOpening(NamedTuple):
    """Control of a cycle entry."""

    request: Request
    nonce: Bytes16 | None  # of an external decision that came from elsewhere than the requesting session


class Fact(NamedTuple):
    """Control of confirmation, observation, policy, credential: the SHA-256 of the signed thing itself."""

    digest: Hash


class Gap(NamedTuple):
    """Control of a gap: what was not recorded."""

    actuators: list[Uint]
    count: Uint | None  # type: ignore[assignment]  # commits or rows lost; None where nobody counted
    at_mono_ns: tuple[Uint, Uint] | None
    reason: Reason


class Deletion(NamedTuple):
    """Control of a deletion: claims of these entries were destroyed afterwards."""

    first: Uint
    last: Uint
    retention_class: Name
    authorisation: Hash | None


class Redaction(NamedTuple):
    """Control of a redaction."""

    targets: Annotated[list[Uint], Meta(min_length=1)]
    authorisation: Hash


class Extraction(NamedTuple):
    """Control of an extraction: who carried away what."""

    ranges: Annotated[list[tuple[Uint, Uint]], Meta(min_length=1)]  # first and last seq
    authorisation: Hash | None
    manifest: Hash


class Fault(NamedTuple):
    """Control of a fault of the recorder itself, or of refusals that were repeated."""

    fault: Reason
    facts: list[Any]


class CycleEnd(NamedTuple):
    """Control of a cycle end."""

    carrier: Uint
    commits: Uint
    reason: Reason


class Actuator(NamedTuple):
    """Control of an actuator entry; the name is a claim, so that it can be withheld."""

    number: Uint


class Schema(NamedTuple):
    """Control of a schema entry."""

    fields: Annotated[list[list[Any]], Meta(min_length=1)]


class ClockStep(NamedTuple):
    """Control of a clock step: UTC as it would have been, as it is, and who stepped it if known."""

    before_utc_ns: Uint
    after_utc_ns: Uint
    source: Reason


class Abandon(NamedTuple):
    """Control of an abandon: requests whose controller gave up before it had an answer."""

    requests: Annotated[list[Request], Meta(min_length=1)]


class Hold(NamedTuple):
    """Control of a legal hold; the reason is a claim."""

    first: Uint
    last: Uint | None
    action: Literal["add", "release"]


class KindRule(NamedTuple):
    """Header keys beside 1 to 5 that a kind requires and permits, and the type of its control."""

    required: frozenset[int]
    permitted: frozenset[int]
    control: Any = None


def _rule(required: set[int], optional: set[int] | None = None, control: Any = None) -> KindRule:  # noqa: ANN401 -- a type
    return KindRule(frozenset(required), frozenset(required | (optional or set()) | {12}), control)


RULES: dict[int, KindRule] = {
    Kind.BOOT: _rule({15}, control=Boot),
    Kind.STOP: _rule({15}, control=Stop),
    Kind.EPOCH: _rule({15}, control=Epoch),
    Kind.ACTUATION: _rule({6, 7, 8, 9, 10, 13, 14, 16}, {18}),
    Kind.REFUSAL: _rule({7, 8, 9, 13, 14, 15, 16}, {6, 10}, control=Refusal),
    Kind.CONFIRMATION: _rule({11, 12, 15}, control=Fact),
    Kind.OBSERVATION: _rule({11}, {15}, control=Fact),
    Kind.POLICY: _rule({11, 15}, control=Fact),
    Kind.CREDENTIAL: _rule({15}, {11}, control=Fact),
    Kind.CONTROL_TRANSITION: _rule({11}),
    Kind.EVIDENCE: _rule({11}),
    Kind.GAP: _rule({15}, {11}, control=Gap),
    Kind.DELETION: _rule({15}, control=Deletion),
    Kind.REDACTION: _rule({15}, control=Redaction),
    Kind.EXTRACTION: _rule({15}, {11}, control=Extraction),
    Kind.FAULT: _rule({15}, control=Fault),
    Kind.CYCLE_END: _rule({15}, control=CycleEnd),
    Kind.ACTUATOR: _rule({11, 15}, control=Actuator),
    Kind.SCHEMA: _rule({15}, control=Schema),
    Kind.CLOCK_STEP: _rule({15}, control=ClockStep),
    Kind.ABANDON: _rule({15}, control=Abandon),
    Kind.HOLD: _rule({11, 15}, control=Hold),
    Kind.MARK: _rule({11}),
    Kind.CYCLE: _rule({7, 8, 9, 13, 14, 15, 16, 17}, control=CycleOpening),
}

IDENTITY_SIGNED = frozenset({Kind.BOOT, Kind.EPOCH})  # all other kinds are signed by the epoch key in force
