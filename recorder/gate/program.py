"""A policy made ready to decide: for each gated class its clauses, compiled together, and what they consume."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from recorder.core.errors import Misuse
from recorder.core.kinds import Decision
from recorder.core.policy import Clause, Fault, Input, Policy
from recorder.core.policy_replay import Artefact, Given, Situation
from recorder.core.policy_terms import FACTS, GIVEN, INPUT, environment, typed
from recorder.gate.decision import Decided, Weighable, weigh
from recorder.gate.engine import Conditions, Engine, Unfit

# The recorder reads its clock once for all that is waiting: what comes in meanwhile is of a moment later.
AHEAD_MAX_MS = 100

_TRUTHS: dict[str, bool | str] = {"true": True, "error": "error"}


class PlacedFault(NamedTuple):
    """A fault of a policy; `at` is line and column in the condition of its clause."""

    fault: Fault
    at: tuple[int, int] | None = None


class _Class(NamedTuple):
    """What decides about one class."""

    clauses: list[Weighable]
    conditions: Conditions
    inputs: list[tuple[str, Input, str | None, str | None]]  # name, terms, its two variables where they are mentioned
    facts: list[tuple[str, str, bool, str | None]]  # name, type, whether it is mentioned, its `given.` if mentioned


class Program:
    """Decides under one policy; holds nothing between decisions."""

    def __init__(self, policy: Policy, engine: Engine) -> None:
        """Compile the policy.

        Raises:
            Unfit: conditions that the engine refuses, by the index of their clause.

        """
        self.engine = engine
        types = environment(policy)
        whole = engine.compile(types, [clause.when for clause in policy.clauses])
        self._used = frozenset[str]().union(*whole.uses)
        self._policy = policy
        self._classes: dict[str, _Class] = {}
        # Nothing is recorded meanwhile, and classes often share all their clauses.
        compiled = {tuple(clause.id for clause in policy.clauses): whole}
        for name, rules in policy.classes.items():
            if rules.gated:
                clauses = [clause for clause in policy.clauses if clause.governs(name)]
                ids = tuple(clause.id for clause in clauses)
                if ids not in compiled:
                    compiled[ids] = engine.compile(types, [clause.when for clause in clauses])
                self._classes[name] = _class(policy, clauses, compiled[ids], types)

    def idle(self) -> Iterator[Fault]:
        """Inputs that no clause mentions: a decision would not consume them, and their author thinks that it does."""
        for name in self._policy.inputs:
            if not self._used & {INPUT + name, GIVEN + INPUT + name}:
                yield Fault(f"[input.{name}] is used by no clause")

    def decide(self, asked: Situation) -> Decided:
        """Decide about one act of one class.

        Args:
            asked: inputs and facts, at least those that the class's clauses mention; others are left aside.

        Raises:
            Misuse: the class is none of the policy's, or not gated: there is nothing to decide.

        """
        of = self._of(asked)
        values, reasons, situation = _take(of, asked)
        if reasons:
            return Decided(Decision.REFUSED, reasons, [], None, situation)
        return weigh(of.clauses, of.conditions.evaluate(values), situation)

    def defer(self, asked: Situation) -> Decided:
        """As `decide` where an external evaluator has decided: inputs and facts must be right, no clause is evaluated.

        Raises:
            Misuse: as `decide`.

        """
        _, reasons, situation = _take(self._of(asked), asked)
        if reasons:
            return Decided(Decision.REFUSED, reasons, [], None, situation)
        return Decided(Decision.EXTERNAL, ["granted: by an external evaluator"], [], None, situation)

    def without(self, decided: Decided, left_out: Collection[str]) -> Decision:
        """What had been decided if these clauses, by their ids, were none of the policy's."""
        clauses = self._of(decided.situation).clauses
        # A clause whose condition is false has no say, so only the others are weighed.
        kept = [
            (clause, _TRUTHS[one.truth])
            for clause, one in zip(clauses, decided.clauses, strict=True)
            if one.truth != "false" and one.id not in left_out
        ]
        return weigh([one for one, _ in kept], [truth for _, truth in kept], decided.situation).decision

    def _of(self, asked: Situation) -> _Class:
        of = self._classes.get(asked.action_class)
        if of is None:
            raise Misuse(f"class {asked.action_class[:64]} is not gated by this policy: ask only about those that are")
        return of


def _class(policy: Policy, clauses: list[Clause], conditions: Conditions, types: Mapping[str, str]) -> _Class:
    used = frozenset[str]().union(*conditions.uses)

    def mentioned(variable: str) -> str | None:
        return variable if variable in used else None

    inputs = [
        (name, terms, mentioned(INPUT + name), mentioned(GIVEN + INPUT + name)) for name, terms in policy.inputs.items()
    ]
    facts = [(name, types[name], name in used, mentioned(GIVEN + name)) for name in FACTS]
    return _Class(
        [*map(Weighable.of, clauses)],
        conditions,
        [item for item in inputs if item[2] or item[3]],
        [item for item in facts if item[2] or item[3]],
    )


def _take(of: _Class, asked: Situation) -> tuple[dict[str, object], list[str], Situation]:
    """The values of variables, what is wrong with one, and what is consumed."""
    values: dict[str, object] = {}
    reasons: list[str] = []
    inputs = _take_inputs(of, asked.inputs, values, reasons)
    facts = _take_facts(of, asked.facts, values, reasons)
    return values, reasons, Situation(asked.action_class, inputs, facts)


def _take_inputs(
    of: _Class, asked: Mapping[str, Given], values: dict[str, object], reasons: list[str]
) -> dict[str, Given]:
    """The inputs that are consumed, typed; their variables go to `values`, what is wrong with one to `reasons`."""
    taken: dict[str, Given] = {}
    for name, terms, variable, is_given in of.inputs:
        given = asked.get(name)
        if given is None:
            if terms.required:
                reasons.append(f"input_missing: {name}")
            if is_given:
                values[is_given] = False
            continue
        value = typed(given.value, terms.type)
        if value is None:
            reasons.append(f"input_type: {name} is asked for as {terms.type}")
        elif given.value is not value:
            given = given._replace(value=value)
        taken[name] = given
        if reason := _reason_against(name, terms, given):
            reasons.append(reason)
        if variable:
            values[variable] = value
        if is_given:
            values[is_given] = True
    return taken


def _reason_against(name: str, terms: Input, given: Given) -> str | None:
    if given.unit != terms.unit:
        return f"input_unit: {name} is in {given.unit[:64]!r}, and asked for in {terms.unit!r}"
    if terms.signed and not given.signed:
        return f"input_unsigned: {name}"
    if terms.max_age_ms is None:
        return None
    if given.age_ms is None:
        return f"input_stale: {name} says no time, and at most {terms.max_age_ms} ms are asked for"
    if given.age_ms < -AHEAD_MAX_MS:
        return f"input_ahead: {name} is of a time {-given.age_ms} ms to come"
    if given.age_ms > terms.max_age_ms:
        return f"input_stale: {name} is {given.age_ms} ms old, over {terms.max_age_ms}"
    return None


def _take_facts(of: _Class, asked: Mapping[str, Any], values: dict[str, object], reasons: list[str]) -> dict[str, Any]:
    """As `_take_inputs`, of the facts; null is absent."""
    taken: dict[str, Any] = {}
    for name, wanted, is_mentioned, is_given in of.facts:
        found = asked.get(name)
        if is_given:
            values[is_given] = found is not None
        if found is None:
            continue
        value = typed(found, wanted)
        if value is None:
            reasons.append(f"fact_type: {name} is asked for as {wanted}")
            taken[name] = found
            continue
        taken[name] = value
        if is_mentioned:
            values[name] = value
    return taken


def compile_faults(policy: Policy, engine: Engine) -> list[PlacedFault]:
    """What an engine finds wrong with a policy; empty where it can be put in force."""
    try:
        program = Program(policy, engine)
    except Unfit as error:
        return [PlacedFault(Fault(one.text, one.condition), (one.line, one.column)) for one in error.faults]
    return [PlacedFault(fault) for fault in program.idle()]


def replay(artefact: Artefact, bundle: bytes, program: Program) -> Decided:
    """Make a decision again: the function that made it, on what it consumed.

    Args:
        artefact: of the decision.
        bundle: hash of the bundle that `program` is compiled of.
        program: of any engine; `artefact` says which one decided.

    Raises:
        Misuse: the decision was made under another bundle.

    """
    if artefact.bundle != bundle:
        raise Misuse(f"decided under bundle {artefact.bundle.hex()[:16]}, not {bundle.hex()[:16]}")
    return program.decide(artefact.situation)
