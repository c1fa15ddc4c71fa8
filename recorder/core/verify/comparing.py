"""A decision that was made again, held against what was recorded of it: the one comparison of `replay` and `verify`.

What an artefact says is held against the why beside it (`of_artefact`), and what comes out again against header and why
(`of_decision`).  A claim that is withheld is not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from recorder.core import policy_replay
from recorder.core.decided import Decided, Weighed, Without, counterfactual
from recorder.core.header import Header
from recorder.core.kinds import Decision, Kind
from recorder.core.policy_replay import Artefact, Given
from recorder.core.verify.held import Family

NS_PER_MS = 1_000_000
REASON_MAX = 1024  # of a reason in control
COMPARED = frozenset({"replay", "evaluator", "reasons", "clauses", "deviation", "inputs", "counterfactual"})
_ERROR = "clause_error: "


class Difference(NamedTuple):
    """Where the two part."""

    part: str
    recorded: Any
    replayed: Any

    def __str__(self) -> str:
        return f"{self.part}: recorded {_word(self.recorded)}, replayed {_word(self.replayed)}"


def of_artefact(header: Header, why: Family, artefact: Artefact, raw: bytes) -> Iterator[Difference]:
    """What the entry and its why say of the artefact, of these bytes, and what it says of itself."""
    assert header.policy_axis is not None
    assert header.classes is not None
    values = why.values
    if not why.hides("replay") and values.get("replay") != (found := policy_replay.artefact_hash(raw)):
        yield Difference("replay", values.get("replay"), found)
    if artefact.bundle != header.policy_axis.bundle:
        yield Difference("bundle", header.policy_axis.bundle, artefact.bundle)
    if artefact.situation.action_class != header.classes.action_class:
        yield Difference("class", header.classes.action_class, artefact.situation.action_class)
    named = f"{artefact.engine} {artefact.engine_version}"
    if not why.hides("evaluator") and values.get("evaluator") != named:
        yield Difference("evaluator", values.get("evaluator"), named)
    if not why.hides("inputs"):
        for name, given in artefact.situation.inputs.items():
            items = inputs_named(values.get("inputs"), name)
            if not any(is_taken(header.time.mono_ns, item, given) for item in items):
                said = list(_told(header.time.mono_ns, items[0], given)) if items else None
                yield Difference(f"input {name}", said, list(given))


def inputs_named(said: object, name: str) -> list[Mapping[str, Any]]:
    """The inputs of a why with this name: of several, one may have been taken and the others refused."""
    items = said if isinstance(said, list) else []
    return [one for one in items if isinstance(one, dict) and one.get("name") == name]


def is_taken(decided_ns: int, item: Mapping[str, Any], given: Given) -> bool:
    """Whether an input of a why, which people read, is what was decided by."""
    told = _told(decided_ns, item, given)
    return same(told.value, given.value) and told[1:] == given[1:]


def _told(decided_ns: int, item: Mapping[str, Any], given: Given) -> Given:
    """What an input says; a signed one may be older by UTC, of which the why does not say the time."""
    at_ns, is_signed = item.get("at_mono_ns"), item.get("signed") is True
    age_ms = (decided_ns - at_ns) // NS_PER_MS if type(at_ns) is int else None
    if is_signed and given.age_ms is not None:
        age_ms = max(given.age_ms, age_ms or given.age_ms)
    return Given(item.get("value"), item.get("unit") or "", age_ms, is_signed)


def others(header: Header, again: Decided, *, in_full: bool) -> list[str]:
    """What an opening was refused for beside the policy, or without it; nothing for a cycle."""
    if header.kind != Kind.REFUSAL:
        return []
    policys = {_cut(one, in_full=in_full)[:REASON_MAX] for one in again.reasons}
    return [one for one in (_cut(one, in_full=in_full) for one in header.control.reasons) if one not in policys]


def of_decision(
    header: Header, why: Family, again: Decided, without: Without, *, in_full: bool
) -> Iterator[Difference]:
    """The decision, its reasons, the truth of each clause, what was done instead, and what had been without them.

    Args:
        header: of the cycle, or the refusal of one.
        why: its own.
        again: what came out.
        without: of the program that it came out of.
        in_full: an engine's words for an error are compared too.

    """
    values = why.values
    reasons = [_cut(one, in_full=in_full) for one in again.reasons]
    stated = values.get("reasons")
    recorded = [_cut(one, in_full=in_full) for one in stated] if isinstance(stated, list) else stated
    if header.kind == Kind.REFUSAL:
        given = [_cut(one, in_full=in_full) for one in header.control.reasons]
        beside = others(header, again, in_full=in_full)
        if again.decision != Decision.REFUSED and not beside:
            yield Difference("decision", "refused", again.decision.name.lower())
        if again.decision == Decision.REFUSED and not {one[:REASON_MAX] for one in reasons} <= set(given):
            yield Difference("reasons of the refusal", given, reasons)
        if again.decision != Decision.REFUSED and beside:
            reasons = []  # why it was permitted is not told where it was refused all the same
        if isinstance(recorded, list):
            recorded = [one for one in recorded if one in reasons or one[:REASON_MAX] not in beside]
    elif again.decision != header.decision:
        yield Difference("decision", Decision(header.decision or 0).name.lower(), again.decision.name.lower())
    if not why.hides("reasons") and recorded != reasons:
        yield Difference("reasons", recorded, reasons)
    if not why.hides("clauses"):
        yield from _of_the_clauses(values.get("clauses"), again.clauses)
    if not why.hides("deviation"):
        yield from _of_the_deviation(values.get("deviation"), again, is_made=header.decision == Decision.DEVIATED)
    if "counterfactual" in values:
        beside = others(header, again, in_full=in_full)
        then = counterfactual(again, without, refused_anyway=bool(beside))
        if values["counterfactual"] != then:
            yield Difference("counterfactual", values["counterfactual"], then)


def _cut(reason: Any, *, in_full: bool) -> str:  # noqa: ANN401 -- a claim
    """A reason as it is compared: the error of a clause in another engine's words is the same error."""
    text = str(reason)
    return text if in_full or not text.startswith(_ERROR) else ":".join(text.split(":", 2)[:2])


def _of_the_clauses(said: object, again: Sequence[Weighed]) -> Iterator[Difference]:
    items = said if isinstance(said, list) else [said]
    if any(_is_no_clause(item) for item in items):
        yield Difference("clauses", said, [_clause(one) for one in again])
        return
    recorded = {item["id"]: f"{item['effect']} {item['truth']}" for item in items if isinstance(item, dict)}
    replayed = {one.id: f"{one.effect} {one.truth}" for one in again}
    for name in dict.fromkeys([*recorded, *replayed]):
        if recorded.get(name) != replayed.get(name):
            yield Difference(f"clause {name}", recorded.get(name), replayed.get(name))
    if len(items) != len(again):
        yield Difference("clauses", len(items), len(again))


def _clause(one: Weighed) -> dict[str, str]:
    return {"id": one.id, "effect": one.effect, "truth": one.truth}


def _is_no_clause(item: object) -> bool:
    """Whether this is no clause as a why tells it."""
    return not (isinstance(item, dict) and all(isinstance(item.get(key), str) for key in ("id", "effect", "truth")))


def _of_the_deviation(said: object, again: Decided, *, is_made: bool) -> Iterator[Difference]:
    clause = next((one.id for one in again.clauses if (one.effect, one.truth) == ("deviate", "true")), None)
    replayed = [again.deviate_to, clause] if again.decision == Decision.DEVIATED and is_made else None
    recorded = [said.get("committed"), said.get("clause")] if isinstance(said, dict) else said
    if recorded != replayed:
        yield Difference("deviation", recorded, replayed)


def same(one: object, other: object) -> bool:
    """Equal, a whole number also to the double that encoders may shorten to it; a bool only to a bool."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _word(value: Any) -> str:  # noqa: ANN401 -- of a claim
    if isinstance(value, bytes):
        return value.hex()
    return "none" if value is None else str(value)
