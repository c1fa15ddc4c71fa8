"""The engine: what it refuses and where, what goes wrong at run time, what a condition mentions."""

from __future__ import annotations

import subprocess
import sys

import pytest

from recorder.gate.cel import PACKAGE, Cel
from recorder.gate.engine import ConditionFault, Unfit

TYPES = {"a.d": "double", "a.i": "int", "a.s": "string", "a.l": "list<double>", "a.b": "bool", "given.a.d": "bool"}
VALUES = {"a.d": 2.0, "a.i": 1, "a.s": "xx(", "a.l": [1.0] * 200, "a.b": True}
ENGINE = Cel()
DEEP = "Expression recursion limit exceeded. limit: 32"


@pytest.mark.parametrize(
    ("condition", "line", "column", "text"),
    [
        ("a.nope > 1.0", 1, 2, "undeclared reference to 'a.nope'"),
        ("a.b &&\n  a.nope", 2, 4, "undeclared reference to 'a.nope'"),
        ("a.d > 1", 1, 5, "found no matching overload for '_>_' applied to '(double, int)'"),
        ("a.s == '€' && a.s.foo()", 1, 22, "undeclared reference to 'foo'"),
        ("a.d", 1, 1, "a condition is a bool, and this is of type double"),
        ("a.b)", 1, 4, "Syntax error: extraneous input ')' expecting <EOF>"),
        ("a.b), (a.b", 1, 4, "Syntax error: mismatched input ')' expecting <EOF>"),
        ("!" + "(" * 40 + "a.b" + ")" * 40, 1, 1, DEEP),
    ],
)
def test_what_is_refused(condition: str, line: int, column: int, text: str) -> None:
    """Unknown names, type errors, syntax and too deep nesting are refused, with the place, beside conditions that are right."""
    with pytest.raises(Unfit) as refused:
        ENGINE.compile(TYPES, ["true", condition])
    assert refused.value.faults == [ConditionFault(1, line, column, text)]


def test_every_fault_is_told() -> None:
    """An author hears of all faults at once, of several conditions and of several in one."""
    with pytest.raises(Unfit) as refused:
        ENGINE.compile(TYPES, ["a.x && a.y", "a.b", "a.z"])
    assert [(one.condition, one.column) for one in refused.value.faults] == [(0, 2), (0, 9), (2, 2)]


@pytest.mark.parametrize(
    ("condition", "error"),
    [
        ("a.i / 0 == 1", "division by zero"),
        ("a.i % 0 == 1", "division by zero"),
        ("a.l[200] > 1.0", "no such index"),
        ("a.l.exists(x, a.l.exists(y, x + y < -1.0))", "budget exhausted"),
        ("a.i + 9223372036854775807 > 0", "overflow"),
        ("int(a.d * 1e30) > 1", "overflow"),
        ("{'k': 1}[a.s] == 1", "no such key"),
        ("double(a.s) > 1.0", "cannot convert string to double"),
        ("a.s.matches(a.s)", "invalid regular expression: missing ): xx("),
        ("given.a.d", "no value of given.a.d"),
    ],
)
def test_what_goes_wrong_is_an_error_text(condition: str, error: str) -> None:
    """An error of one condition is its own result: those beside it are as they would be without it."""
    compiled = ENGINE.compile(TYPES, ["a.d > 1.0", condition, "a.i > 1"])
    assert list(compiled.evaluate(VALUES)) == [True, error, False]


@pytest.mark.parametrize("value", ["x", None, object(), [], "\ud800"])
def test_values_of_another_type_go_wrong(value: object) -> None:
    """What the library refuses to convert is an error of the conditions that use it, never an exception."""
    first, second = ENGINE.compile(TYPES, ["a.d > 1.0 || a.s == 'q'", "a.b"]).evaluate(
        {"a.d": value, "a.s": value, "a.b": True}
    )
    assert isinstance(first, str)
    assert second is True


def test_errors_that_cannot_change_a_result_are_left_aside() -> None:
    """CEL's && and || are commutative in this: `given.X && X > 1.0` is false where X is absent, in either order."""
    compiled = ENGINE.compile(TYPES, ["given.a.d && a.d > 1.0", "a.d > 1.0 && given.a.d", "a.i / 0 == 1 || true"])
    assert list(compiled.evaluate({"given.a.d": False, "a.i": 1})) == [False, False, True]


def test_a_comment_does_not_swallow_the_next_condition() -> None:
    """Conditions are compiled into one expression, each for itself."""
    assert list(ENGINE.compile(TYPES, ["a.b // and", "false // or", "a.b"]).evaluate(VALUES)) == [True, False, True]


@pytest.mark.parametrize(
    ("condition", "mentioned"),
    [
        ("true", set()),
        ("a . d > 1.0 && a // why\n.b", {"a.d", "a.b"}),
        ("'a.d' == a.s", {"a.s"}),
        ("given.a.d && a.l.exists(x, x > a.d) && 'x'.matches(a.s)", {"given.a.d", "a.l", "a.d", "a.s"}),
        ("[1, 2].map(a, a * 2).size() == a.i", {"a.i"}),
    ],
)  # fmt: skip
def test_what_a_condition_mentions(condition: str, mentioned: set[str]) -> None:
    """The variables of a condition are read out of what the engine compiled: without one of them it does not compile."""
    assert set(ENGINE.compile(TYPES, [condition]).uses[0]) == mentioned
    for name in TYPES:
        rest = {other: kind for other, kind in TYPES.items() if other != name}
        if name in mentioned:
            with pytest.raises(Unfit):
                ENGINE.compile(rest, [condition])
        else:
            ENGINE.compile(rest, [condition])


def test_a_condition_that_nests_as_deep_as_it_may_alone() -> None:
    """Among others it lies two levels deeper: refused at check, and not when the bundle is put in force."""
    for depth in range(20, 40):
        condition = "(" * depth + "a.b" + ")" * depth
        try:
            compiled = ENGINE.compile(TYPES, ["a.b", condition])
        except Unfit as refused:
            assert depth > 25
            assert [(one.condition, one.text) for one in refused.faults] == [(1, DEEP)]
        else:
            assert list(compiled.evaluate(VALUES)) == [True, True]


def test_no_conditions() -> None:
    """A policy without clauses is compiled too."""
    assert list(ENGINE.compile(TYPES, []).evaluate({})) == []


def test_the_engine_names_itself() -> None:
    """A replay artefact says what decided."""
    assert ENGINE.name == PACKAGE == "cel-expr-python"
    assert ENGINE.version.count(".") >= 1


def test_the_library_is_not_loaded_before_it_is_needed() -> None:
    """The gate's modules cost no daemon 4 MB: the library comes with the first engine that is made."""
    program = (
        "import sys, recorder.daemon, recorder.gate.program, recorder.gate.cel as gate\n"
        "before = 'cel_expr_python' in sys.modules\ngate.Cel()\nprint(before, 'cel_expr_python' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
