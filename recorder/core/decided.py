"""A decision as its readers see it, whatever evaluated it, and what had been decided without the clauses that did."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

from recorder.core.kinds import Decision
from recorder.core.policy_replay import Situation

Without = Callable[[Collection[str]], Decision]  # what had been decided if these clauses, by their ids, were not there

_DECIDING = {
    Decision.REFUSED: frozenset({("forbid", "true"), ("forbid", "error"), ("permit", "error"), ("deviate", "error")}),
    Decision.DEVIATED: frozenset({("deviate", "true")}),
    Decision.ADMITTED: frozenset({("permit", "true")}),
}


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


def counterfactual(decided: Decided, without: Without, *, refused_anyway: bool) -> dict[str, Any]:
    """The claim `counterfactual`: what had been decided without the clauses that did.

    Args:
        decided: by a program.
        without: of that program.
        refused_anyway: for reasons that are no clause's; then no clause that would permit it has decided either.

    """
    if not decided.clauses or (refused_anyway and decided.decision != Decision.REFUSED):
        return {"without": [], "decision": name_of(Decision.REFUSED)}
    deciding = _DECIDING[decided.decision]
    left_out = [one.id for one in decided.clauses if one.truth != "false" and (one.effect, one.truth) in deciding]
    then = Decision.REFUSED if refused_anyway else without(left_out)
    return {"without": left_out, "decision": name_of(then)}


def name_of(decision: Decision) -> str:
    """As claims have it."""
    return decision.name.lower()
