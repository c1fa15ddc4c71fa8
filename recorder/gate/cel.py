"""CEL by Google's C++ implementation (cel-expr-python, extra `[gate]`), not loaded before a bundle is compiled.

Conditions are evaluated as one list expression, which costs a third of one call each.  Where that goes wrong, each is
evaluated alone, to name the one that did.  The engine bounds what a condition may cost: 10,000 steps of comprehensions,
nesting of 32, and regular expressions without backtracking.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib import metadata
from typing import Any

from recorder.core.errors import Misuse
from recorder.gate.engine import ConditionFault, Unfit

PACKAGE = "cel-expr-python"
_FAULT = re.compile(r"^(?:[A-Z_]+: )?ERROR: <input>:(-?[0-9]+):(-?[0-9]+): (.*)$", re.MULTILINE)
_STATUS = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]\s*$")
# The engine's words for what can go wrong, and ours, which replay compares: its next version may choose others.
_ERRORS = (
    ("divide by zero", "division by zero"),
    ("modulus by zero", "division by zero"),
    ("Iteration budget exceeded", "budget exhausted"),
    ("overflow", "overflow"),
    ("out of range", "overflow"),
    ("out of int64 range", "overflow"),
    ("Index error", "no such index"),
    ("index out of bounds", "no such index"),
    ("Key not found", "no such key"),
)
_ABSENT = re.compile(r'No value with name "([^"]+)" found')


class Cel:
    """The engine."""

    name = PACKAGE

    def __init__(self) -> None:
        """Load the library.

        Raises:
            Misuse: it is not installed.

        """
        try:
            from cel_expr_python import cel  # noqa: PLC0415 -- an extra
        except ImportError:
            raise Misuse("policies need a CEL engine: pip install 'lineage-recorder[gate]'") from None
        self._cel = cel

    @cached_property
    def version(self) -> str:
        """Of the installed package."""
        return metadata.version(PACKAGE)

    def compile(self, variables: Mapping[str, str], conditions: Sequence[str]) -> CelConditions:
        """Compile conditions; see `engine.Engine`."""
        cel = self._cel
        simple = {"bool": cel.Type.BOOL, "int": cel.Type.INT, "double": cel.Type.DOUBLE, "string": cel.Type.STRING}
        types = simple | {f"list<{name}>": cel.Type.List(kind) for name, kind in simple.items()}
        environment = cel.NewEnv(variables={name: types[kind] for name, kind in variables.items()})
        single: list[Any] = []
        faults: list[ConditionFault] = []
        for index, condition in enumerate(conditions):
            try:
                compiled = environment.compile(condition)
                environment.compile(_listed([condition]))  # a list nests deeper
            except RuntimeError as error:
                faults += _faults(index, str(error))
                continue
            if compiled.return_type() != cel.Type.BOOL:
                kind = compiled.return_type().name().lower()
                faults.append(ConditionFault(index, 1, 1, f"a condition is a bool, and this is of type {kind}"))
            single.append(compiled)
        if faults:
            raise Unfit(faults)
        known = variables.keys()
        uses = [frozenset(references(compiled.serialize()) & known) for compiled in single]
        return CelConditions(environment, environment.compile(_listed(conditions)), single, uses)


class CelConditions:
    """Compiled conditions."""

    def __init__(self, environment: Any, together: Any, single: list[Any], uses: list[frozenset[str]]) -> None:  # noqa: ANN401 -- the library's objects: it ships stubs without py.typed
        self.uses = uses
        self._environment = environment
        self._together = together
        self._single = single

    def evaluate(self, values: Mapping[str, object]) -> Sequence[bool | str]:
        """Evaluate all; see `engine.Conditions`."""
        activation = self._environment.Activation(values)
        try:
            truths = self._together.eval(activation).plain_value()
        except Exception:  # noqa: BLE001 -- foreign code: whatever it raises, each condition alone will say
            truths = None
        if isinstance(truths, list) and len(truths) == len(self._single) and set(map(type, truths)) <= {bool}:
            return truths
        return [_alone(one, activation) for one in self._single]


def _alone(condition: Any, activation: Any) -> bool | str:  # noqa: ANN401 -- the same
    try:
        found = condition.eval(activation)
        truth = found.plain_value()
    except Exception as error:  # noqa: BLE001 -- foreign code: whatever it raises is an error of the condition, and denies
        return _worded(str(error))
    if type(truth) is bool:
        return truth
    return _worded(str(found.value()))


def _worded(error: str) -> str:
    if absent := _ABSENT.search(error):
        return f"no value of {absent[1]}"
    for theirs, ours in _ERRORS:
        if theirs in error:
            return ours
    return " ".join(_STATUS.sub("", error).split())[:200] or "an error without a name"


def _listed(conditions: Sequence[str]) -> str:
    """One expression of all; the line feed ends a comment that a condition may end in."""
    return "[" + ",".join(f"({condition}\n)" for condition in conditions) + "]"


def _faults(index: int, error: str) -> Iterator[ConditionFault]:
    found = [(max(int(line), 1), max(int(column), 1), text) for line, column, text in _FAULT.findall(error)]
    for line, column, text in found or [(1, 1, _STATUS.sub("", error))]:
        yield ConditionFault(index, line, column, " ".join(text.replace(" (in container '')", "").split()))


def references(serialised: bytes) -> frozenset[str]:
    """Every name that a compiled expression refers to, out of its CheckedExpr in an Any (cel/expr/checked.proto).

    Of CheckedExpr only `reference_map` (2) is read, of its entries the value (2), of a Reference its name (1).
    """
    names: set[str] = set()
    for checked in _fields(serialised, 2):
        for entry in _fields(checked, 2):
            for reference in _fields(entry, 2):
                names.update(name.decode() for name in _fields(reference, 1))
    return frozenset(names)


def _fields(message: bytes, wanted: int) -> Iterator[bytes]:
    """The length-delimited fields of this number in a protobuf message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        wire = key & 7
        if wire == 0:
            _, at = _varint(message, at)
        elif wire == 1:
            at += 8
        elif wire == 5:
            at += 4
        else:
            size, at = _varint(message, at)
            if key >> 3 == wanted:
                yield message[at : at + size]
            at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
