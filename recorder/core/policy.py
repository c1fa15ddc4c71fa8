"""Policy bundles: clauses, inputs and classes of a policy, and the bytes that are signed (FORMAT.md section 9).

Reading a bundle checks its shape and what holds between its parts.  Whether its conditions are CEL, of the types that
their variables have, needs an engine: `recorder.gate` checks it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct, ValidationError, convert, to_builtins

from recorder.core import cbor, sign1
from recorder.core.errors import FormatError
from recorder.core.keys import Signer
from recorder.core.kinds import UNCLASSED, UNCLASSIFIED, Hash, Name, Uint
from recorder.core.limits import UINT64_MAX
from recorder.core.policy_classes import ClassName, ClassRules, RetentionRule, faults_between
from recorder.core.sign1 import POLICY, Sign1

ERROR = POLICY.error
FORMAT: Literal["lineage/policy/1"] = "lineage/policy/1"
ANY: Literal["any"] = "any"
CLAUSES_MAX = 64  # of CONDITION_MAX code points each: what one expression of an engine can hold
CONDITION_MAX = 1024
INPUTS_MAX = 64
CLASSES_MAX = 64

InputName = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*\Z", max_length=63)]
InputType = Literal["bool", "int", "double", "string", "list<double>"]
ClauseId = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9._-]{0,62}\Z")]
Code = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,62}\Z")]
Effect = Literal["permit", "forbid", "deviate"]
Seconds = Annotated[int, Meta(ge=0, le=UINT64_MAX // 10**9)]  # UTC; their nanoseconds fit 64 bits
Condition = Annotated[str, Meta(min_length=1, max_length=CONDITION_MAX)]


class Input(Struct, frozen=True, forbid_unknown_fields=True):
    """What a decision consumes beside the act itself; clauses read it as `input.NAME`."""

    type: InputType
    unit: Annotated[str, Meta(max_length=64)]  # "" where it has none
    required: bool
    max_age_ms: Uint | None
    signed: bool  # by its observer


class Clause(Struct, frozen=True, forbid_unknown_fields=True):
    """One clause: where its condition is true, its effect is asked for."""

    id: ClauseId
    effect: Effect
    classes: Annotated[list[ClassName], Meta(min_length=1)] | Literal["any"]
    when: Condition  # CEL
    reason: Code
    deviate_to: Name | None  # what to do instead; of deviate, and of nothing else

    def governs(self, action_class: str) -> bool:
        """Tell whether it is one of this class's clauses."""
        return self.classes == ANY or action_class in self.classes


class AtRisk(Struct, frozen=True, forbid_unknown_fields=True):
    """What rows may be lost with a power cut."""

    rows_window_ms: Annotated[int, Meta(ge=0, le=1000)]
    at_risk_ms: Annotated[int, Meta(ge=10, le=60_000)]


class Policy(Struct, frozen=True, forbid_unknown_fields=True):
    """The payload of a bundle."""

    format: Literal["lineage/policy/1"]
    name: ClassName
    version: Uint  # of one name: only grows
    nbf: Seconds
    exp: Seconds  # not in force from exactly then
    issuer: Hash | None  # of the issuer's credential; None where a root signs
    engine: Literal["cel"]
    inputs: Annotated[dict[InputName, Input], Meta(max_length=INPUTS_MAX)]
    classes: Annotated[dict[ClassName, ClassRules], Meta(min_length=1, max_length=CLASSES_MAX)]
    clauses: Annotated[list[Clause], Meta(max_length=CLAUSES_MAX)]
    at_risk: AtRisk
    retention: dict[Name, RetentionRule]


class PolicyBundle(NamedTuple):
    """A bundle that was read; reading it has not checked who signed it."""

    signed: Sign1
    hash: bytes  # what key 7 of the entries under it names
    policy: Policy


class Fault(NamedTuple):
    """What is wrong with a policy; `clause` is the index of the clause where it is of one."""

    text: str
    clause: int | None = None


def faults(policy: Policy) -> Iterator[Fault]:
    """What no type of a single part can say."""
    if policy.nbf >= policy.exp:
        yield Fault(f"not before {policy.nbf}, expired at {policy.exp}: never in force")
    for name, rules in policy.classes.items():
        between = faults_between(
            name, gated=rules.gated, on_unavailable=rules.on_unavailable, on_full=rules.disk_full_action
        )
        yield from map(Fault, between)
        if rules.witnesses is not None and rules.witnesses.before and not rules.gated:
            yield Fault(f"[class.{name}] is not gated: what it does cannot wait for witnesses (before)")
        if len(set(rules.verbs)) < len(rules.verbs):
            yield Fault(f"[class.{name}] names a verb twice")
        if rules.gated and not any(one.effect != "forbid" and one.governs(name) for one in policy.clauses):
            yield Fault(f"[class.{name}] is gated and has no permit: nothing of it could ever be admitted")
    kept = {rules.retention for rules in policy.classes.values()} | {UNCLASSED, UNCLASSIFIED}
    for name in sorted(policy.retention.keys() - kept):
        yield Fault(f"[retention.{name}] is of no class: one of {', '.join(sorted(kept))}, or correct the name")
    ids = Counter(clause.id for clause in policy.clauses)
    for index, clause in enumerate(policy.clauses):
        for text in _clause_faults(policy, clause, ids[clause.id]):
            yield Fault(text, index)


def _clause_faults(policy: Policy, clause: Clause, same: int) -> Iterator[str]:
    if same > 1:
        yield f"{same} clauses have this id"
    if (clause.effect == "deviate") != (clause.deviate_to is not None):
        yield "deviate_to says what to do instead: a deviate clause needs it, others have none"
    if clause.classes == ANY:
        return
    for name in clause.classes:
        if name not in policy.classes:
            yield f"class {name} is none of this policy: {', '.join(sorted(policy.classes))}"
        elif not policy.classes[name].gated:
            yield f"class {name} is not gated, so no clause is evaluated for it"
    if len(set(clause.classes)) < len(clause.classes):
        yield "names a class twice"


def encode(policy: Policy) -> bytes:
    """The payload that is signed.

    Raises:
        FormatError: policy_malformed: readers would refuse it.

    """
    try:
        payload = cbor.encode(to_builtins(policy, builtin_types=(bytes,)))
    except FormatError as error:
        raise FormatError(ERROR, error.detail) from None
    decode(payload)
    return payload


def decode(payload: bytes) -> Policy:
    """Read a payload.

    Raises:
        FormatError: policy_malformed.

    """
    try:
        policy = convert(cbor.decode(payload), Policy, builtin_types=(bytes,))
    except FormatError as error:
        raise FormatError(ERROR, error.detail) from None
    except ValidationError as error:
        raise FormatError(ERROR, str(error)) from None
    for text, clause in faults(policy):
        place = "" if clause is None else f"clause {policy.clauses[clause].id}: "
        raise FormatError(ERROR, place + text)
    return policy


def sign(policy: Policy, signer: Signer) -> bytes:
    """Make the bytes of a bundle.

    Raises:
        FormatError: policy_malformed: readers would refuse it.
        Misuse: it is too large.

    """
    return sign1.sign(signer, POLICY, encode(policy))


def read(raw: bytes) -> PolicyBundle:
    """Read a bundle and check its encoding and shape; not who signed it, nor whether he may.

    Raises:
        FormatError: policy_malformed.

    """
    signed = sign1.read(raw, POLICY)
    return PolicyBundle(signed, signed.hash, decode(signed.payload))


def require_newer(new: Policy, old: Policy) -> None:
    """Check that a policy may follow the one in force; issuer and time are for `policy_issue.judge`.

    Raises:
        FormatError: policy_older.

    """
    if new.name != old.name or new.version <= old.version:
        raise FormatError(
            "policy_older", f"{new.name} version {new.version} does not follow {old.name} version {old.version}"
        )
