"""One recorded decision, made again from what it consumed, and held against what was recorded of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from recorder.core import cbor, claims, policy, policy_replay
from recorder.core.entry import Entry, decode_in_order
from recorder.core.errors import FormatError, Misuse
from recorder.core.ids import entry_id
from recorder.core.kinds import Decision, Kind
from recorder.core.policy_replay import Artefact
from recorder.core.sign1 import SIGNED
from recorder.gate.cel import Cel
from recorder.gate.decision import Decided, Weighed
from recorder.gate.engine import Engine, Unfit
from recorder.gate.inputs import NS_PER_MS
from recorder.gate.program import Program, replay

PROGRAMS_MAX = 8  # bundles that a process keeps compiled; the cycles of one follow each other
REASON_MAX = 1024  # of a reason in control
_WHY = 9

Outcome = Literal["same", "different", "external", "table", "withheld", "unasked"]


class Recorded(NamedTuple):
    """A decision as it lies there, and what it was made under."""

    seq: int
    raw: bytes  # of the entry: a cycle or a refused opening
    claims: bytes | None
    bundle: bytes | None  # of the policy entry that its key 7 names; None where that is not here


class Programs:
    """Bundles compiled by one engine, the last few of them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._compiled: dict[bytes, tuple[bytes, Program]] = {}

    def of(self, bundle: bytes) -> tuple[bytes, Program]:
        """A bundle's hash, and what decides under it.

        Raises:
            FormatError: policy_malformed.
            Unfit: conditions that the engine refuses.

        """
        if bundle not in self._compiled:
            read = policy.read(bundle)
            self._compiled[bundle] = read.hash, Program(read.policy, self.engine)
            if len(self._compiled) > PROGRAMS_MAX:
                del self._compiled[next(iter(self._compiled))]
        return self._compiled[bundle]


@lru_cache(maxsize=1)
def own_programs() -> Programs:
    """By the engine that the recorder decides by, loaded once in a process.

    Raises:
        Misuse: it is not installed.

    """
    return Programs(Cel())


class Difference(NamedTuple):
    """Where the two part."""

    part: str
    recorded: Any
    replayed: Any

    def __str__(self) -> str:
        return f"{self.part}: recorded {_word(self.recorded)}, replayed {_word(self.replayed)}"


class Redecided(NamedTuple):
    """What became of it."""

    seq: int
    id: str
    kind: str
    decision: str  # as recorded
    outcome: Outcome
    differences: list[Difference]
    told: list[str]  # what is no difference, but belongs to the answer
    clauses: list[Weighed]  # as replayed


def redecide(recorded: Recorded, programs: Programs | None = None) -> Redecided:
    """Make one decision again.

    Args:
        recorded: an entry that can be read, of kind cycle or refusal, that carries its why.
        programs: by whose engine; the recorder's own if left out.

    Raises:
        Misuse: no engine is installed.

    """
    entry = decode_in_order(recorded.raw)
    header = entry.header
    assert header.decision is not None
    base = Redecided(
        recorded.seq, str(entry_id(entry.hash, recorded.seq)), Kind(header.kind).name.lower(),
        Decision(header.decision).name.lower(), "same", [], [], [],
    )  # fmt: skip
    if recorded.bundle is not None and not recorded.bundle.startswith(SIGNED):
        return base._replace(outcome="table")
    if header.decision == Decision.EXTERNAL:
        return base._replace(outcome="external")
    if recorded.claims is None or recorded.bundle is None:
        gone = "the policy" if recorded.bundle is None else "the why"
        return base._replace(outcome="withheld", told=[f"{gone} is not here"])
    try:
        family = cbor.decode(recorded.claims)[_WHY]
        assert header.why is not None
        if claims.digest_of("why", family) != header.why.digest:
            return _differing(base, [Difference("why", header.why.digest, "claims of another digest")])
        why, hidden = claims.disclosed("why", family), set(claims.withheld(family))
    except (FormatError, LookupError, TypeError) as error:
        return _differing(base, [Difference("why", "unreadable", str(error))])
    if {"artefact", claims.WHOLE} & hidden:
        return base._replace(outcome="withheld", told=["the artefact is withheld"])
    if "artefact" not in why and header.kind == Kind.REFUSAL:
        return base._replace(outcome="unasked")
    return _held_against(base, entry, why, hidden, recorded.bundle, programs or own_programs())


def _held_against(
    base: Redecided, entry: Entry, why: Mapping[str, Any], hidden: set[str], bundle: bytes, programs: Programs
) -> Redecided:
    data = why.get("artefact")
    if not isinstance(data, bytes):
        return _differing(base, [Difference("artefact", data, "bytes, of every decision under a policy bundle")])
    try:
        artefact = policy_replay.decode(data)
    except FormatError as error:
        return _differing(base, [Difference("artefact", str(error), None)])
    differences = list(_of_the_artefact(entry, why, hidden, artefact, data))
    try:
        digest, program = programs.of(bundle)
        again = replay(artefact, digest, program)
    except (FormatError, Unfit, Misuse) as error:
        return _differing(base, [*differences, Difference("policy", None, str(error))])
    engine = programs.engine
    is_same_engine = (engine.name, engine.version) == (artefact.engine, artefact.engine_version)
    told = [] if is_same_engine else [_told_engine(artefact, engine)]
    told += [f"withheld, so not compared: {', '.join(sorted(hidden & _COMPARED))}"] if hidden & _COMPARED else []
    differences += _of_the_decision(entry, why, hidden, again, told, in_full=is_same_engine)
    outcome: Outcome = "different" if differences else "same"
    return base._replace(outcome=outcome, differences=differences, told=told, clauses=again.clauses)


_COMPARED = frozenset({"replay", "evaluator", "reasons", "clauses", "deviation", "inputs"})


def _told_engine(artefact: Artefact, engine: Engine) -> str:
    return (
        f"decided by {artefact.engine} {artefact.engine_version}, replayed by {engine.name} {engine.version}: "
        "texts of errors are not compared"
    )


def _of_the_artefact(
    entry: Entry, why: Mapping[str, Any], hidden: set[str], artefact: Artefact, data: bytes
) -> Iterator[Difference]:
    """What the entry and its why say of the artefact, and what it says of itself."""
    header = entry.header
    assert header.policy_axis is not None
    assert header.classes is not None
    if "replay" not in hidden and why.get("replay") != (found := policy_replay.artefact_hash(data)):
        yield Difference("replay", why.get("replay"), found)
    if artefact.bundle != header.policy_axis.bundle:
        yield Difference("bundle", header.policy_axis.bundle, artefact.bundle)
    if artefact.situation.action_class != header.classes.action_class:
        yield Difference("class", header.classes.action_class, artefact.situation.action_class)
    named = f"{artefact.engine} {artefact.engine_version}"
    if "evaluator" not in hidden and why.get("evaluator") != named:
        yield Difference("evaluator", why.get("evaluator"), named)
    if "inputs" not in hidden:
        yield from _of_the_inputs(header.time.mono_ns, why.get("inputs"), artefact)


def _of_the_inputs(decided_ns: int, said: object, artefact: Artefact) -> Iterator[Difference]:
    """The inputs that people read against those that were decided by."""
    items = [one for one in said if isinstance(one, dict)] if isinstance(said, list) else []
    for name, given in artefact.situation.inputs.items():
        told = [_told_input(decided_ns, item, given.age_ms) for item in items if item.get("name") == name]
        if list(given) not in told:
            yield Difference(f"input {name}", told[0] if told else None, list(given))


def _told_input(decided_ns: int, item: Mapping[str, Any], given_ms: int | None) -> list[Any]:
    """Value, unit, age and signature; a signed one may be older by UTC, of which the why does not say the time."""
    at_ns, is_signed = item.get("at_mono_ns"), item.get("signed") is True
    age_ms = (decided_ns - at_ns) // NS_PER_MS if isinstance(at_ns, int) else None
    if is_signed and given_ms is not None:
        age_ms = max(given_ms, age_ms or given_ms)
    return [item.get("value"), item.get("unit") or "", age_ms, is_signed]


def _of_the_decision(
    entry: Entry, why: Mapping[str, Any], hidden: set[str], again: Decided, told: list[str], *, in_full: bool
) -> Iterator[Difference]:
    """The decision, its reasons, the truth of each clause, what was done instead."""
    header = entry.header
    reasons = [_cut(one, in_full=in_full) for one in again.reasons]
    stated = why.get("reasons")
    recorded = [_cut(one, in_full=in_full) for one in stated] if isinstance(stated, list) else stated
    if header.kind == Kind.REFUSAL:
        given = [_cut(one, in_full=in_full) for one in header.control.reasons]
        policys = [one[:REASON_MAX] for one in reasons]
        others = [one for one in given if one not in policys]
        if others:
            told.append(f"refused for more than the policy: {'; '.join(others)}")
        if again.decision != Decision.REFUSED and not others:
            yield Difference("decision", "refused", again.decision.name.lower())
        if again.decision == Decision.REFUSED and not set(policys) <= set(given):
            yield Difference("reasons of the refusal", given, reasons)
        if again.decision != Decision.REFUSED and others:
            reasons = []  # why it was permitted is not told where it was refused all the same
        if isinstance(recorded, list):
            recorded = [one for one in recorded if one in reasons or one[:REASON_MAX] not in others]
    elif again.decision != header.decision:
        yield Difference("decision", Decision(header.decision or 0).name.lower(), again.decision.name.lower())
    if "reasons" not in hidden and recorded != reasons:
        yield Difference("reasons", recorded, reasons)
    if "clauses" not in hidden:
        yield from _of_the_clauses(why.get("clauses"), again.clauses)
    if "deviation" not in hidden:
        yield from _of_the_deviation(why.get("deviation"), again, is_made=header.decision == Decision.DEVIATED)


def _cut(reason: Any, *, in_full: bool) -> str:  # noqa: ANN401 -- a claim
    """A reason as it is compared: the error of a clause in another engine's words is the same error."""
    text = str(reason)
    return text if in_full or not text.startswith("clause_error: ") else ":".join(text.split(":", 2)[:2])


def _of_the_clauses(said: object, again: Sequence[Weighed]) -> Iterator[Difference]:
    items = said if isinstance(said, list) else [said]
    if any(_is_no_clause(item) for item in items):
        yield Difference("clauses", said, [one._asdict() for one in again])
        return
    recorded = {item["id"]: f"{item['effect']} {item['truth']}" for item in items if isinstance(item, dict)}
    replayed = {one.id: f"{one.effect} {one.truth}" for one in again}
    for name in dict.fromkeys([*recorded, *replayed]):
        if recorded.get(name) != replayed.get(name):
            yield Difference(f"clause {name}", recorded.get(name), replayed.get(name))
    if len(items) != len(again):
        yield Difference("clauses", len(items), len(again))


def _is_no_clause(item: object) -> bool:
    """Whether this is no clause as a why tells it."""
    return not (isinstance(item, dict) and all(isinstance(item.get(key), str) for key in ("id", "effect", "truth")))


def _of_the_deviation(said: object, again: Decided, *, is_made: bool) -> Iterator[Difference]:
    clause = next((one.id for one in again.clauses if (one.effect, one.truth) == ("deviate", "true")), None)
    replayed = [again.deviate_to, clause] if again.decision == Decision.DEVIATED and is_made else None
    recorded = [said.get("committed"), said.get("clause")] if isinstance(said, dict) else said
    if recorded != replayed:
        yield Difference("deviation", recorded, replayed)


def _differing(base: Redecided, differences: list[Difference]) -> Redecided:
    return base._replace(outcome="different", differences=differences)


def _word(value: Any) -> str:  # noqa: ANN401 -- of a claim
    if isinstance(value, bytes):
        return value.hex()
    return "none" if value is None else str(value)
