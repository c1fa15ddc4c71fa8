"""The control of each kind of entry, and the header keys that a kind requires and permits (FORMAT.md section 3).

`format.cddl` says the same in CDDL, and a test compares the two.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta

from recorder.core.kinds import Bytes16, Hash, Kind, Name, Reason, Request, Uint


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
