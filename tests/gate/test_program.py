"""Decisions: the law of clauses, what a situation must have, the example policy, and replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import pytest

from recorder.core import policy, policy_replay
from recorder.core.errors import Misuse
from recorder.core.kinds import Decision
from recorder.core.policy_replay import Artefact, Given, Situation
from recorder.core.policy_source import parse
from recorder.gate.cel import Cel, CelConditions
from recorder.gate.decision import Decided
from recorder.gate.program import AHEAD_MAX_MS, Program, compile_faults, replay
from tests.policies import clause, example, moving, small, source

ENGINE = Cel()
EXAMPLE = Program(example().policy, ENGINE)
GENTLE = Given(10.0, "N", 5, signed=True)


def decided(*clauses: str, inputs: dict[str, Given] | None = None, **facts: Any) -> Decided:
    """What the small policy with these clauses decides; facts with dots as two underscores."""
    named = {name.replace("__", "."): value for name, value in facts.items()}
    situation = Situation("motion", {"force_n": GENTLE} if inputs is None else inputs, named)
    return Program(small(*clauses), ENGINE).decide(situation)


@pytest.mark.parametrize(
    ("changed", "decision", "reasons", "deviate_to"),
    [
        ({}, Decision.ADMITTED, ["within_limits: clause motion.named"], None),
        ({"what__magnitude": 50.0, "what__unit": "N"}, Decision.ADMITTED, ["within_limits: clause motion.named"], None),
        ({"what__magnitude": 61.0, "what__unit": "N"}, Decision.REFUSED, ["force_over_limit: clause force.limit"], None),
        ({"what__magnitude": 2.5}, Decision.REFUSED, ["speed_over_limit: clause speed.limit"], None),
        ({"lidar__nearest": 0.49}, Decision.REFUSED, ["separation_below_reject: clause separation.reject"], None),
        ({"lidar__nearest": 0.5}, Decision.DEVIATED, ["separation_below_slow: clause separation.slow"], "the same move at half the speed"),
        ({"lidar__nearest": 0.5, "what__magnitude": 0.7}, Decision.ADMITTED, ["within_limits: clause motion.named"], None),
        ({"stick__enabled": False}, Decision.REFUSED, ["enabling_switch_released: clause operator.enable"], None),
        ({"where__position_m": [0.3, 0.1, -0.1]}, Decision.REFUSED, ["outside_reach: clause reach.limits"], None),
        ({"where__position_m": None}, Decision.REFUSED, ["outside_reach: clause reach.limits"], None),
        ({"what__magnitude": None}, Decision.REFUSED, ["no_permit: none of the 7 clauses of class motion permits it"], None),
        ({"what__unit": "furlong"}, Decision.REFUSED, ["no_permit: none of the 7 clauses of class motion permits it"], None),
    ],
)  # fmt: skip
def test_the_example(changed: dict[str, Any], decision: Decision, reasons: list[str], deviate_to: str | None) -> None:
    """The shipped policy admits, refuses and deviates where its limits say, at them and beyond them."""
    found = EXAMPLE.decide(moving(**changed))
    assert (found.decision, found.reasons, found.deviate_to) == (decision, reasons, deviate_to)
    assert [one.id for one in found.clauses] == [one.id for one in example().policy.clauses]


FORBID, DEVIATE = clause("true"), clause("true", "deviate", "slower", deviate_to='"slower"')
BROKEN = clause("act.valid_ms / act.max_commits > 0", identifier="broken")


@pytest.mark.parametrize(
    ("clauses", "decision", "reasons"),
    [
        ((), Decision.ADMITTED, ["allowed: clause allow"]),
        ((DEVIATE,), Decision.DEVIATED, ["over_limit: clause slower"]),
        ((DEVIATE, FORBID), Decision.REFUSED, ["over_limit: clause limit"]),
        ((FORBID, DEVIATE), Decision.REFUSED, ["over_limit: clause limit"]),
        ((BROKEN,), Decision.REFUSED, ["clause_error: broken: division by zero"]),
        ((DEVIATE, BROKEN), Decision.REFUSED, ["clause_error: broken: division by zero"]),
        ((BROKEN, FORBID), Decision.REFUSED, ["over_limit: clause limit", "clause_error: broken: division by zero"]),
    ],
)
def test_the_law(clauses: tuple[str, ...], decision: Decision, reasons: list[str]) -> None:
    """A forbid goes before a deviate, that before a permit, whatever their order; a condition that goes wrong denies."""
    found = decided(*clauses, act__valid_ms=5, act__max_commits=0)
    assert (found.decision, found.reasons) == (decision, reasons)


def test_clauses_are_told_in_order() -> None:
    """A decision tells of each clause of its class whether it was true, false or went wrong."""
    found = decided(clause("false", identifier="no"), BROKEN, FORBID, act__valid_ms=5, act__max_commits=0)
    assert found.clauses == [
        ("no", "forbid", "false"), ("broken", "forbid", "error"), ("limit", "forbid", "true"), ("allow", "permit", "true"),
    ]  # fmt: skip


def test_the_first_deviate_says_what_to_do() -> None:
    """Of several deviates that are true the first one is followed, and all are named."""
    found = decided(DEVIATE, clause("true", "deviate", "stop", deviate_to='"stop"'))
    assert found.deviate_to == "slower"
    assert found.reasons == ["over_limit: clause slower", "over_limit: clause stop"]


def test_an_absent_value_denies_unless_it_is_asked_for_first() -> None:
    """`given.X && X` is false where X is absent; X alone goes wrong, and that denies."""
    asked, alone = clause("given.what.magnitude && what.magnitude > 5.0"), clause("what.magnitude > 5.0")
    assert decided(asked).decision == Decision.ADMITTED
    assert decided(asked, what__magnitude=6).decision == Decision.REFUSED
    assert decided(alone).reasons == ["clause_error: limit: no value of what.magnitude"]


def test_an_exhausted_budget_denies() -> None:
    """A condition that would take too many steps goes wrong after some milliseconds, and that denies."""
    greedy = "where.position_m.exists(a, where.position_m.exists(b, a + b < 0.0))"
    found = decided(clause(greedy), where__position_m=[1.0] * 300)
    assert (found.decision, found.reasons) == (Decision.REFUSED, ["clause_error: limit: budget exhausted"])


TERMS = '[input.force_n]\ntype = "double"\nunit = "N"\nmax_age_ms = 100\nsigned = true\n'


@pytest.mark.parametrize(
    ("given", "reasons"),
    [
        (GENTLE._replace(age_ms=100), None),
        (GENTLE._replace(age_ms=-AHEAD_MAX_MS), None),
        (GENTLE._replace(value=10), None),
        (None, ["input_missing: force_n"]),
        (GENTLE._replace(age_ms=101), ["input_stale: force_n is 101 ms old, over 100"]),
        (GENTLE._replace(age_ms=None), ["input_stale: force_n says no time, and at most 100 ms are asked for"]),
        (GENTLE._replace(age_ms=-AHEAD_MAX_MS - 1), ["input_ahead: force_n is of a time 101 ms to come"]),
        (GENTLE._replace(signed=False), ["input_unsigned: force_n"]),
        (GENTLE._replace(unit="lbf"), ["input_unit: force_n is in 'lbf', and asked for in 'N'"]),
        (GENTLE._replace(value="10"), ["input_type: force_n is asked for as double"]),
        (GENTLE._replace(value=True), ["input_type: force_n is asked for as double"]),
        (GENTLE._replace(value=None), ["input_type: force_n is asked for as double"]),
    ],
)  # fmt: skip
def test_what_an_input_must_be(given: Given | None, reasons: list[str] | None) -> None:
    """An input that is missing, stale, ahead of the clock, unsigned, in another unit or of another type is refused."""
    program = Program(small(clause("input.force_n > 50.0"), inputs=TERMS), ENGINE)
    found = program.decide(Situation("motion", {} if given is None else {"force_n": given}, {}))
    assert found.reasons == (reasons or ["allowed: clause allow"])
    assert found.decision == (Decision.REFUSED if reasons else Decision.ADMITTED)
    assert bool(found.clauses) != bool(reasons)


def test_an_optional_input_may_be_absent_and_must_be_right_where_it_is_there() -> None:
    """Without it `given` is false; a stale one is not taken for an absent one."""
    program = Program(
        small(clause("given.input.force_n && input.force_n > 50.0"), inputs=TERMS + "required = false\n"), ENGINE
    )
    assert program.decide(Situation("motion", {}, {})).decision == Decision.ADMITTED
    found = program.decide(Situation("motion", {"force_n": GENTLE._replace(age_ms=500)}, {}))
    assert found.reasons == ["input_stale: force_n is 500 ms old, over 100"]


@pytest.mark.parametrize("value", ["60", True, 60.0, [60], 2**63])
def test_a_claim_of_another_type_is_not_an_absent_one(value: Any) -> None:
    """What is there under a name and cannot be read refuses: else a text for a number would pass a guarded limit."""
    limit = clause("given.what.duration_ms && what.duration_ms > 50")
    assert decided(limit, what__duration_ms=value).reasons == ["fact_type: what.duration_ms is asked for as int"]


def test_long_values_are_refused() -> None:
    """Conditions may copy what they read, so texts and lists have a greatest length."""
    named, there = clause("who.task == 'x'"), clause("size(where.position_m) > 2000")
    assert decided(named, who__task="t" * 4096).decision == Decision.ADMITTED
    assert decided(named, who__task="t" * 4097).reasons == ["fact_type: who.task is asked for as string"]
    assert decided(there, where__position_m=[0.0] * 1024).decision == Decision.ADMITTED
    assert decided(there, where__position_m=[0.0] * 1025).decision == Decision.REFUSED


def test_only_what_is_consumed_is_told() -> None:
    """A decision names the inputs and facts that its class's clauses mention, typed, and no others."""
    other = Given(1, "s", 0, signed=False)
    found = decided(
        clause("input.force_n > 50.0 && what.magnitude > 1.0"),
        inputs={"force_n": GENTLE._replace(value=10), "other": other},
        what__magnitude=2,
        who__task="t",
    )
    assert found.situation == Situation("motion", {"force_n": GENTLE}, {"what.magnitude": 2.0})
    assert type(found.situation.facts["what.magnitude"]) is float


def test_clauses_of_other_classes_are_left_aside() -> None:
    """A clause decides only about its classes."""
    classes = '[class.grip]\ngated = true\non_unavailable = "hold"\n'
    program = Program(small(clause("true", classes='["grip"]'), inputs=classes), ENGINE)
    assert program.decide(Situation("motion", {}, {})).decision == Decision.ADMITTED
    assert program.decide(Situation("grip", {}, {})).decision == Decision.REFUSED


@pytest.mark.parametrize("action_class", ["braking", "unknown"])
def test_there_is_nothing_to_decide_about_what_is_not_gated(action_class: str) -> None:
    """Asking about an ungated or unknown class is the caller's mistake, and does not come back as admitted."""
    with pytest.raises(Misuse, match="is not gated by this policy"):
        Program(small(), ENGINE).decide(Situation(action_class, {}, {}))


def test_unused_inputs_are_a_fault() -> None:
    """An input that no clause mentions would not be consumed, and its author thinks that it is."""
    assert [fault.fault.text for fault in compile_faults(small(), ENGINE)] == ["[input.force_n] is used by no clause"]
    assert compile_faults(small(clause("given.input.force_n"), inputs=TERMS + "required = false\n"), ENGINE) == []
    assert compile_faults(example().policy, ENGINE) == []


@pytest.mark.parametrize(
    "changed", [{}, {"lidar__nearest": 0.3}, {"lidar__nearest": 0.7}, {"lidar__nearest": None}, {"stick__speed": "x"}]
)
def test_replay_makes_the_same_decision(changed: dict[str, Any]) -> None:
    """A decision is made again from the bytes of its artefact and of its bundle, whether it admitted, deviated or refused."""
    bundle = sha256(policy.encode(example().policy)).digest()
    made = EXAMPLE.decide(moving(**changed))
    data = Artefact(bytes(16), bundle, ENGINE.name, ENGINE.version, made.situation).encode()
    again = replay(policy_replay.decode(data), bundle, Program(policy.decode(policy.encode(example().policy)), Cel()))
    assert again == made


def test_replay_under_another_bundle_is_refused() -> None:
    """An artefact names its bundle: another one would tell what would be decided, not what was."""
    artefact = Artefact(bytes(16), bytes(32), ENGINE.name, ENGINE.version, moving())
    with pytest.raises(Misuse, match="decided under bundle"):
        replay(artefact, b"\1" * 32, EXAMPLE)


def test_altered_inputs_show_in_replay() -> None:
    """Whoever alters an input afterwards gets another decision, or another hash."""
    made = EXAMPLE.decide(moving(lidar__nearest=0.3))
    altered = Artefact(
        bytes(16), bytes(32), ENGINE.name, ENGINE.version, moving(lidar__nearest=0.6, what__magnitude=0.5)
    )
    assert made.decision == Decision.REFUSED
    assert replay(altered, bytes(32), EXAMPLE).decision == Decision.ADMITTED
    held = altered._replace(situation=made.situation)
    assert policy_replay.artefact_hash(altered.encode()) != policy_replay.artefact_hash(held.encode())


def test_classes_that_share_their_clauses_are_compiled_once() -> None:
    """Nothing is recorded while a policy is installed: 64 conditions take a fifth of a second, for each set of them."""
    compiled: list[int] = []

    class Counting(Cel):
        def compile(self, variables: Mapping[str, str], conditions: Sequence[str]) -> CelConditions:
            compiled.append(len(conditions))
            return super().compile(variables, conditions)

    classes = "".join(f'[class.m{number}]\ngated = true\non_unavailable = "hold"\n' for number in range(9))
    only = clause("input.force_n > 1.0", classes='["m1"]')
    Program(parse(source(only, classes=classes)).policy, Counting())
    assert compiled == [2, 1]
