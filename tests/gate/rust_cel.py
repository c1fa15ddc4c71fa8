"""A second engine (common-expression-language, in Rust) that shares no code with the first: what both say is CEL.

It has no static types, and takes nested maps where the first takes dotted names; its errors are told by their types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import cel

PACKAGE = "common-expression-language"
ERRORS: list[tuple[type[Exception], str]] = [
    (ZeroDivisionError, "division by zero"),
    (OverflowError, "overflow"),
    (IndexError, "no such index"),
    (KeyError, "no value"),
]


class RustCel:
    """The engine."""

    name = PACKAGE
    version = metadata.version(PACKAGE)

    def compile(self, variables: Mapping[str, str], conditions: Sequence[str]) -> RustConditions:
        return RustConditions([cel.compile(condition) for condition in conditions], frozenset(variables))


class RustConditions:
    """Compiled conditions; every variable counts as mentioned, for this engine only tells the first part of a name."""

    def __init__(self, programs: list[cel.Program], variables: frozenset[str]) -> None:
        self.uses = [variables for _ in programs]
        self._programs = programs

    def evaluate(self, values: Mapping[str, object]) -> Sequence[bool | str]:
        nested = nest(values)
        return [self._alone(program, nested) for program in self._programs]

    def _alone(self, program: cel.Program, nested: dict[str, Any]) -> bool | str:
        try:
            truth = program.execute(nested)
        except (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError) as error:
            return next((ours for kind, ours in ERRORS if isinstance(error, kind)), str(error))
        return truth if isinstance(truth, bool) else f"not a bool: {truth!r}"


def nest(values: Mapping[str, object]) -> dict[str, Any]:
    """Dotted names as maps in maps."""
    root: dict[str, Any] = {}
    for name, value in values.items():
        *way, last = name.split(".")
        place = root
        for part in way:
            place = place.setdefault(part, {})
        place[last] = value
    return root
