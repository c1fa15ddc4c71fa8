"""Step 11: decisions made again, of what they consumed, and held against what was recorded (FORMAT.md section 9).

The facts of an artefact must be those of the header and the claims, so that nothing was decided about another act; and
the same clauses must come to the same decision.  What evaluates them comes in as a port: an engine is no part of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple, Protocol

from recorder.core import cbor, policy_replay
from recorder.core.entry import Header
from recorder.core.errors import FormatError, Misuse
from recorder.core.kinds import Decision, Kind, Stage
from recorder.core.policy_replay import Artefact, Given, Situation
from recorder.core.policy_terms import FACTS, typed
from recorder.core.verify.acts import contemplated
from recorder.core.verify.found import Found
from recorder.core.verify.held import Family
from recorder.core.verify.under import Deciding

NS_PER_MS = 1_000_000
_ERROR = "clause_error: "
_SHOWN = 100


class Weighed(Protocol):
    """One clause and what became of its condition."""

    @property
    def id(self) -> str:
        """Of the clause."""
        ...

    @property
    def effect(self) -> str:
        """That it asks for."""
        ...

    @property
    def truth(self) -> str:
        """Of its condition: true, false or error."""
        ...


class Decided(Protocol):
    """A decision that was made again."""

    @property
    def decision(self) -> Decision:
        """ADMITTED, REFUSED or DEVIATED."""
        ...

    @property
    def reasons(self) -> list[str]:
        """All that decided it."""
        ...

    @property
    def clauses(self) -> Sequence[Weighed]:
        """What became of each clause of the class."""
        ...

    @property
    def deviate_to(self) -> str | None:
        """What to do instead."""
        ...

    @property
    def situation(self) -> Situation:
        """What was consumed, and no more."""
        ...


class Program(Protocol):
    """A policy made ready to decide."""

    def decide(self, asked: Situation) -> Decided:
        """Decide about one act of one class.

        Raises:
            Misuse: the policy does not gate the class.

        """
        ...


class Programs(Protocol):
    """Policies made ready by an engine."""

    def of(self, bundle: bytes) -> Program | None:
        """The program of a bundle, by its exact bytes; None where no engine is here, or it refuses the conditions."""
        ...


class Replayed(NamedTuple):
    """How many decisions were made again, and how many could not be."""

    done: int
    left: int


def check_replay(header: Header, why: Family, deciding: Deciding, programs: Programs | None, found: Found) -> Replayed:
    """Make the decision of a cycle, or of its refusal, again."""
    seq = header.seq
    raw = why.values.get("artefact")
    if not isinstance(raw, bytes):
        return Replayed(0, int(why.hides("artefact")))
    if why.values.get("replay") != policy_replay.artefact_hash(raw) and not why.hides("replay"):
        found("replay_mismatch", seq, "the claim replay is not the hash of the artefact")
    try:
        artefact = policy_replay.decode(raw)
    except FormatError as error:
        found(error.error, seq, error.detail)
        return Replayed(0, 1)
    asked, differing = _asked(header, why, deciding, artefact)
    for difference in differing:
        found("replay_mismatch", seq, difference)
    program = None if programs is None else programs.of(deciding.bundle)
    if program is None:
        return Replayed(0, 1)
    try:
        decided = program.decide(asked)
    except Misuse as error:
        found("replay_mismatch", seq, str(error))
        return Replayed(1, 0)
    consumed, of = decided.situation, artefact.situation
    for part, ours, theirs in (("facts", consumed.facts, of.facts), ("inputs", consumed.inputs, of.inputs)):
        if names := sorted(set(ours) ^ set(theirs)):
            detail = f"{part} are consumed by one of artefact and decision: {', '.join(names)[:_SHOWN]}"
            found("replay_mismatch", seq, detail)
    for difference in _differences(header, why.values, decided):
        found("replay_differs", seq, difference)
    return Replayed(1, 0)


def _asked(header: Header, why: Family, deciding: Deciding, artefact: Artefact) -> tuple[Situation, list[str]]:
    """What is to be decided about, by the record, and by the artefact where that is silent; and where they differ."""
    differing = []
    axis, of = header.policy_axis, artefact.situation
    if axis is None or artefact.bundle != axis.bundle:
        differing.append(f"the artefact is of bundle {artefact.bundle.hex()[:16]}, key 7 of another")
    assert header.classes is not None
    if of.action_class != header.classes.action_class:
        ours = header.classes.action_class[:_SHOWN]
        differing.append(f"the artefact is of class {of.action_class}, key 13 of {ours}")
    known = _facts(header, why, deciding)
    facts = {**of.facts, **known}
    for name, value in of.facts.items():
        if name not in FACTS:
            differing.append(f"fact {name[:_SHOWN]} is none that a clause may speak of")
        elif name in known and not _same(_typed(known[name], FACTS[name].type), value):
            differing.append(f"fact {name} is {_short(value)}, recorded is {_short(known[name])}")
    inputs = dict(of.inputs)
    if "inputs" in why.values or not why.hides("inputs"):
        items = why.values.get("inputs")
        inputs = _inputs(items, header.time.mono_ns)
        differing += [f"input {name[:_SHOWN]}: nothing shows that it is signed" for name in _unshown(items)]
        for name, given in of.inputs.items():
            if difference := _input_difference(given, inputs.get(name)):
                differing.append(f"input {name}: {difference}")
            elif name in inputs:
                inputs[name] = inputs[name]._replace(age_ms=given.age_ms)
    there = {name: value for name, value in facts.items() if value is not None}
    return Situation(of.action_class, inputs, there), differing


def _facts(header: Header, why: Family, deciding: Deciding) -> dict[str, Any]:
    """Facts that the record says; null where it says that there is none."""
    assert header.classes is not None
    facts: dict[str, Any] = {"act.class": header.classes.action_class}
    if header.stage is not None:
        facts["act.stage"] = Stage(header.stage).name.lower()
    if header.bounds is not None:
        facts["act.max_commits"] = header.bounds.max_commits
        facts["act.valid_ms"] = (header.bounds.not_after_mono_ns - header.time.mono_ns) // NS_PER_MS
        if None not in deciding.names:
            facts["act.actuators"] = list(deciding.names)  # in the order of the bounds, which is that of the request
    act = contemplated(why.values)
    families: list[tuple[str, Mapping[str, Any] | None]] = [
        ("who", None if deciding.who is None else cbor.load(deciding.who)),
        ("what", None if act is None else act[0]),
        ("where", None if act is None else act[1]),
    ]
    for family, claims in families:
        if claims is not None:
            names = (name for name in FACTS if name.startswith(f"{family}."))
            facts.update({name: claims.get(name.removeprefix(f"{family}.")) for name in names})
    return facts


def _inputs(items: object, now_mono_ns: int) -> dict[str, Given]:
    """The inputs of a why by name; what could not be taken does not say whether it is signed, and is left out."""
    inputs = {}
    for item in items if isinstance(items, list) else ():
        match item:
            case {"name": str(name), "value": value, "signed": bool(signed)}:
                at_mono_ns = item.get("at_mono_ns")
                age_ms = (now_mono_ns - at_mono_ns) // NS_PER_MS if type(at_mono_ns) is int else None
                inputs[name] = Given(value, item.get("unit") or "", age_ms, signed)
    return inputs


def _unshown(items: object) -> Iterator[str]:
    """Inputs that are said to be signed, with neither the observation nor the entry that has it."""
    for item in items if isinstance(items, list) else ():
        match item:
            case {"signed": True, "observation": _} | {"signed": True, "entry": _}:
                pass
            case {"signed": True}:
                yield str(item.get("name"))


def _input_difference(given: Given, recorded: Given | None) -> str | None:
    if recorded is None:
        return "the why has none"
    if not _same(given.value, recorded.value):
        return f"{_short(given.value)}, recorded is {_short(recorded.value)}"
    if given._replace(value=None) != recorded._replace(value=None, age_ms=_age(given, recorded)):
        return f"unit, age and signature are {_short([*given[1:]])}, recorded are {_short([*recorded[1:]])}"
    return None


def _age(given: Given, recorded: Given) -> int | None:
    """What is signed may be older than its monotonic time says: the observer's UTC counts too."""
    if recorded.signed and given.age_ms is not None:
        return max(given.age_ms, recorded.age_ms or given.age_ms)
    return recorded.age_ms


def _differences(header: Header, why: Mapping[str, Any], decided: Decided) -> Iterator[str]:
    """In what a decision differs from the one that was recorded."""
    refused = header.kind == Kind.REFUSAL
    if decided.decision != header.decision and not refused:
        yield f"the decision is {decided.decision.name.lower()}, recorded is {_named(header.decision)}"
    recorded = why.get("clauses")
    clauses = [{"id": one.id, "effect": one.effect, "truth": one.truth} for one in decided.clauses]
    for ours, theirs in zip_longest(clauses, recorded if isinstance(recorded, list) else ()):
        if ours != theirs:
            yield f"clause {_short(ours)}, recorded is {_short(theirs)}"
            break
    reasons = why.get("reasons")
    stated = [_unworded(one) for one in reasons] if isinstance(reasons, list) else []
    again = [_unworded(one) for one in decided.reasons]
    if refused:  # for other reasons besides, or alone
        again = [one for one in again if one not in stated] if decided.decision == Decision.REFUSED else []
        stated = []
    if again != stated:
        yield f"reasons {_short(again)}, recorded are {_short(stated)}"
    match why.get("deviation"):
        case {"committed": committed}:
            pass
        case _:
            committed = None
    if not refused and decided.deviate_to != committed:
        yield f"it deviates to {_short(decided.deviate_to)}, recorded is {_short(committed)}"


def _unworded(reason: object) -> object:
    """A reason without an engine's words for an error, which another version may choose otherwise."""
    if isinstance(reason, str) and reason.startswith(_ERROR):
        return _ERROR + reason.removeprefix(_ERROR).partition(": ")[0]
    return reason


def _typed(value: Any, wanted: str) -> Any:  # noqa: ANN401 -- a claim
    """As a decision consumes it: of the variable's type, or as it is where it cannot be."""
    found = typed(value, wanted)
    return value if found is None else found


def _same(one: object, other: object) -> bool:
    """Equal, a whole number also to the double that encoders may shorten to it; a bool only to a bool."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _named(decision: int | None) -> str:
    return "none" if decision is None else Decision(decision).name.lower()


def _short(value: object) -> str:
    return repr(value)[:_SHOWN]
