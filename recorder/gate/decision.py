"""A decision as a value, and the law by which the clauses of a policy come to one: the first line that holds.

- a condition that went wrong, or a forbid that is true: refused
- a deviate that is true: deviated, as the first of them says
- a permit that is true: admitted
- none of these: refused, `no_permit`

Before that, a situation whose inputs are missing, stale, unsigned or of another type is refused without any clause.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from recorder.core.kinds import Decision
from recorder.core.policy import Clause
from recorder.core.policy_replay import Situation

Truth = Literal["true", "false", "error"]


class Weighed(NamedTuple):
    """One clause and what became of its condition."""

    id: str
    effect: str
    truth: Truth


class Decided(NamedTuple):
    """A decision."""

    decision: Decision  # ADMITTED, REFUSED or DEVIATED
    reasons: list[str]  # `CODE: detail`, of all that decided it
    clauses: list[Weighed]  # of the class, in the policy's order; empty where the situation itself was refused
    deviate_to: str | None
    situation: Situation  # what was consumed, and no more; typed


class Weighable(NamedTuple):
    """A clause, and what it is once its condition was evaluated: made once, for decision after decision."""

    clause: Clause
    true: Weighed
    false: Weighed
    error: Weighed

    @classmethod
    def of(cls, clause: Clause) -> Weighable:
        """Make it."""
        return cls(clause, *(Weighed(clause.id, clause.effect, truth) for truth in get_args(Truth)))


def weigh(clauses: Sequence[Weighable], truths: Sequence[bool | str], situation: Situation) -> Decided:
    """Come to a decision; `truths` are the conditions' in order, a text where one went wrong."""
    weighed = [
        one.false if truth is False else one.true if truth is True else one.error
        for one, truth in zip(clauses, truths, strict=True)
    ]
    # A clause whose condition is false has no say.
    said = [(one.clause, truth) for one, truth in zip(clauses, truths, strict=True) if truth is not False]
    wrong = [f"clause_error: {one.id}: {truth}" for one, truth in said if truth is not True]
    true = [one for one, truth in said if truth is True]
    forbids = [one for one in true if one.effect == "forbid"]
    if wrong or forbids:
        return Decided(Decision.REFUSED, _reasons(forbids) + wrong, weighed, None, situation)
    deviates = [one for one in true if one.effect == "deviate"]
    if deviates:
        return Decided(Decision.DEVIATED, _reasons(deviates), weighed, deviates[0].deviate_to, situation)
    permits = [one for one in true if one.effect == "permit"]
    if permits:
        return Decided(Decision.ADMITTED, _reasons(permits), weighed, None, situation)
    none = f"no_permit: none of the {len(clauses)} clauses of class {situation.action_class} permits it"
    return Decided(Decision.REFUSED, [none], weighed, None, situation)


def _reasons(clauses: Sequence[Clause]) -> list[str]:
    return [f"{one.reason}: clause {one.id}" for one in clauses]
