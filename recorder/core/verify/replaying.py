"""Step 11: decisions made again, of what they consumed, and held against what was recorded (FORMAT.md section 9).

The facts of an artefact must be those of the header and the claims, so that nothing was decided about another act; and
the same clauses must come to the same decision.  What evaluates them comes in as a port: an engine is no part of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol

from recorder.core import cbor, policy_replay
from recorder.core.decided import Decided
from recorder.core.errors import FormatError, Misuse
from recorder.core.header import Header
from recorder.core.kinds import Decision, Stage
from recorder.core.policy_replay import Artefact, Given, Situation
from recorder.core.policy_terms import FACTS, typed
from recorder.core.verify.acts import contemplated
from recorder.core.verify.comparing import NS_PER_MS, inputs_named, is_taken, of_artefact, of_decision, same
from recorder.core.verify.found import Found
from recorder.core.verify.held import Family
from recorder.core.verify.under import Deciding

_SHOWN, _DETAIL = 100, 400  # characters of a value, and of a difference


class Program(Protocol):
    """A policy made ready to decide."""

    def decide(self, asked: Situation) -> Decided:
        """Decide about one act of one class.

        Raises:
            Misuse: the policy does not gate the class.

        """
        ...

    def without(self, decided: Any, left_out: Collection[str]) -> Decision:  # noqa: ANN401 -- its own kind of Decided
        """What had been decided if these clauses, by their ids, were none of the policy's."""
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
    try:
        artefact = policy_replay.decode(raw)
    except FormatError as error:
        found(error.error, seq, error.detail)
        return Replayed(0, 1)
    for difference in of_artefact(header, why, artefact, raw):
        found("replay_mismatch", seq, str(difference)[:_DETAIL])
    asked, differing = _asked(header, why, deciding, artefact)
    for detail in differing:
        found("replay_mismatch", seq, detail)
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
    for difference in of_decision(header, why, decided, partial(program.without, decided), in_full=False):
        found("replay_differs", seq, str(difference)[:_DETAIL])
    return Replayed(1, 0)


def _asked(header: Header, why: Family, deciding: Deciding, artefact: Artefact) -> tuple[Situation, list[str]]:
    """What is to be decided about, by the record, and by the artefact where that is silent; and where they differ."""
    differing = []
    of = artefact.situation
    known = _facts(header, why, deciding)
    facts = {**of.facts, **known}
    for name, value in of.facts.items():
        if name not in FACTS:
            differing.append(f"fact {name[:_SHOWN]} is none that a clause may speak of")
        elif name in known and not same(_typed(known[name], FACTS[name].type), value):
            differing.append(f"fact {name} is {_short(value)}, recorded is {_short(known[name])}")
    inputs = dict(of.inputs)
    if "inputs" in why.values or not why.hides("inputs"):
        items = why.values.get("inputs")
        inputs = _inputs(items, header.time.mono_ns, of.inputs)
        differing += [f"input {name[:_SHOWN]}: nothing shows that it is signed" for name in _unshown(items)]
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


def _inputs(items: object, now_mono_ns: int, consumed: Mapping[str, Given]) -> dict[str, Given]:
    """The inputs of a why by name, of several of one name that which was consumed.

    What could not be taken does not say whether it is signed, and is left out.
    """
    inputs: dict[str, Given] = {}
    for item in items if isinstance(items, list) else ():
        match item:
            case {"name": str(name), "value": value, "signed": bool(signed)} if name not in inputs:
                given = consumed.get(name)
                if given is not None and any(is_taken(now_mono_ns, one, given) for one in inputs_named(items, name)):
                    inputs[name] = given
                    continue
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


def _typed(value: Any, wanted: str) -> Any:  # noqa: ANN401 -- a claim
    """As a decision consumes it: of the variable's type, or as it is where it cannot be."""
    found = typed(value, wanted)
    return value if found is None else found


def _short(value: object) -> str:
    return repr(value)[:_SHOWN]
