"""What the gate asks of an engine for conditions: one narrow port, so that a second one can be held against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from recorder.core.errors import LineageError


class ConditionFault(NamedTuple):
    """Why a condition cannot be compiled, and where: line and column from 1, in code points."""

    condition: int  # index
    line: int
    column: int
    text: str


class Unfit(LineageError):
    """Conditions that the engine refuses."""

    def __init__(self, faults: Sequence[ConditionFault]) -> None:
        super().__init__("; ".join(f"condition {one.condition}, {one.line}:{one.column}: {one.text}" for one in faults))
        self.faults = list(faults)


class Conditions(Protocol):
    """Conditions that were compiled together."""

    @property
    def uses(self) -> Sequence[frozenset[str]]:
        """For each condition the variables that it mentions."""
        ...

    def evaluate(self, values: Mapping[str, object]) -> Sequence[bool | str]:
        """For each condition its truth, or what went wrong: an error text; nothing is raised.

        A condition that uses a variable which `values` lacks goes wrong.  The same values always give the same results.
        """
        ...


class Engine(Protocol):
    """A language of conditions, with static types."""

    @property
    def name(self) -> str:
        """Of the implementation, as replay artefacts have it."""
        ...

    @property
    def version(self) -> str:
        """Of the implementation."""
        ...

    def compile(self, variables: Mapping[str, str], conditions: Sequence[str]) -> Conditions:
        """Compile conditions of type bool over these variables (`core.policy_terms.environment`).

        Raises:
            Unfit: unknown names, type errors, syntax: every condition that has one.

        """
        ...
