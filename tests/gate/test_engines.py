"""Two engines that share no code, on generated policies: they agree, or the difference is a known one and is denied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest

from recorder.core.kinds import Decision
from recorder.core.policy_replay import Artefact, decode
from recorder.gate.cel import Cel
from recorder.gate.engine import Conditions, Engine
from recorder.gate.program import Program, replay
from tests.gate import generated
from tests.gate.rust_cel import RustCel

FIRST, SECOND = Cel(), RustCel()
DIFFER = "engines differ: "
NAN = "No such overload"  # of a program whose types were checked, the second says this of comparisons with NaN only


class Both:
    """Both engines as one: where they differ, a condition goes wrong, and that denies."""

    name = "both"
    version = f"{FIRST.version}, {SECOND.version}"

    def compile(self, variables: Mapping[str, str], conditions: Sequence[str]) -> Conditions:
        return BothConditions(FIRST.compile(variables, conditions), SECOND.compile(variables, conditions))


class BothConditions:
    def __init__(self, first: Conditions, second: Conditions) -> None:
        self.uses = first.uses
        self._engines = (first, second)

    def evaluate(self, values: Mapping[str, object]) -> Sequence[bool | str]:
        pairs = zip(*(engine.evaluate(values) for engine in self._engines), strict=True)
        return [one if same(one, other) else f"{DIFFER}{one!r} or {other!r}" for one, other in pairs]


def same(one: bool | str, other: bool | str) -> bool:
    """Two errors are the same: engines name them differently, and each denies."""
    return one is other or (isinstance(one, str) and isinstance(other, str))


def compared(seeds: range) -> Counter[str]:
    """What became of a policy and a situation for each seed."""
    counts: Counter[str] = Counter()
    for seed in seeds:
        random = Random(seed)
        policy, situation = generated.policy(random), generated.situation(random)
        alone = Program(policy, FIRST)
        one, both = alone.decide(situation), Program(policy, Both()).decide(situation)
        differences = [reason for reason in both.reasons if DIFFER in reason]
        assert all(NAN in reason for reason in differences), (seed, policy.clauses, differences)
        if differences:
            assert both.decision == Decision.REFUSED
        else:
            assert (both.decision, both.clauses) == (one.decision, one.clauses), (seed, policy.clauses)
        data = Artefact(bytes(16), bytes(32), FIRST.name, FIRST.version, one.situation).encode()
        assert replay(decode(data), bytes(32), alone) == one
        counts[one.decision.name] += 1
        counts["difference"] += bool(differences)
        counts.update(weighed.truth for weighed in one.clauses)
    return counts


def test_generated_policies() -> None:
    """Of 300 policies both engines decide alike and replay is identical; every outcome is among them."""
    counts = compared(range(300))
    assert min(counts[name] for name in ("ADMITTED", "REFUSED", "DEVIATED")) >= 5
    assert min(counts[name] for name in ("true", "false", "error")) >= 50


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_generated_policies_at_length() -> None:
    """The same of 10,000 policies."""
    counts = compared(range(1000, 11_000))
    print(counts)
    assert counts["difference"] < 100


KNOWN: list[tuple[str, dict[str, Any], bool | str, bool | str]] = [
    # condition, values, the first engine, the second one
    ("size(a.s) == 1", {"a.s": "𝄞"}, True, False),  # CEL counts code points
    ("-a.i < 0", {"a.i": -(2**63)}, "overflow", True),
    ("a.d / a.d > 1.0", {"a.d": 0.0}, False, NAN),  # comparisons with NaN are false
]


@pytest.mark.parametrize(("condition", "values", "one", "other"), KNOWN)
def test_known_differences(condition: str, values: dict[str, Any], one: bool | str, other: bool | str) -> None:
    """What the engines are known to do differently; the first does what the CEL specification says."""
    types = {"a.s": "string", "a.i": "int", "a.d": "double"}
    engines: list[tuple[Engine, bool | str]] = [(FIRST, one), (SECOND, other)]
    for engine, wanted in engines:
        found = engine.compile(types, [condition]).evaluate(values)[0]
        assert found == wanted or (isinstance(found, str) and found.startswith(str(wanted)))
    assert DIFFER in str(Both().compile(types, [condition]).evaluate(values)[0])
