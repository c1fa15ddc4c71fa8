"""Step 11 over lineages: what was decided about is what is recorded, and decisions come to the same again."""

from __future__ import annotations

from typing import Any

import pytest

from recorder.core.policy_replay import artefact_hash, decode
from tests.core.governed import found, outcome, report
from tests.gated_builder import GatedBuilder


def relabelled(**facts: Any) -> Any:
    """A lie about what was consumed, with an artefact and a hash that agree."""

    def lie(why: dict[str, Any]) -> None:
        was = decode(why["artefact"])
        changed = {name: value for name, value in {**was.situation.facts, **facts}.items() if value is not None}
        raw = was._replace(situation=was.situation._replace(facts=changed)).encode()
        why.update(artefact=raw, replay=artefact_hash(raw))

    return lie


def lie_of(why: dict[str, Any], **changed: Any) -> None:
    why.update(changed)


@pytest.mark.parametrize(
    ("lying", "error"),
    [
        (relabelled(**{"what.duration_ms": 21}), "replay_mismatch"),
        (relabelled(**{"what.duration_ms": None}), "replay_mismatch"),
        (relabelled(**{"who.task": "t"}), "replay_mismatch"),
        (relabelled(**{"act.stage": "executed"}), "replay_mismatch"),
        (relabelled(**{"act.class": "grip"}), "replay_mismatch"),
        (relabelled(**{"act.max_commits": 3}), "replay_mismatch"),
        (relabelled(**{"act.valid_ms": 3}), "replay_mismatch"),
        (relabelled(**{"act.actuators": ["elbow"]}), "replay_mismatch"),
        (relabelled(**{"what.later": 1}), "replay_mismatch"),
        (lambda why: lie_of(why, replay=bytes(32)), "replay_mismatch"),
        (lambda why: lie_of(why, inputs=[]), "replay_mismatch"),
        (lambda why: lie_of(why, evaluator="cel-expr-python 9"), "replay_mismatch"),
        (lambda why: why["inputs"][0].update(at_mono_ns=1), "replay_mismatch"),
        (lambda why: why["inputs"][0].update(value=True), "replay_mismatch"),
        (lambda why: why["inputs"][0].update(signed=True), "replay_mismatch"),
        (lambda why: why["clauses"].pop(), "replay_differs"),
        (lambda why: lie_of(why, counterfactual={"without": [], "decision": "admitted"}), "replay_differs"),
        (lambda why: why["clauses"][0].update(truth="true"), "replay_differs"),
        (lambda why: lie_of(why, reasons=["other: clause x"]), "replay_differs"),
        (lambda why: lie_of(why, deviation={"committed": "slow"}), "replay_differs"),
    ],
)
def test_what_was_decided_about_is_what_is_recorded(lying: Any, error: str) -> None:
    """Each fact, each input, each clause."""
    lineage = GatedBuilder().ready()
    lineage.gated()
    cycle = lineage.gated(lying=lying)
    assert (cycle.carrier, error) in found(lineage)
    assert {seq for seq, _ in found(lineage)} == {cycle.carrier}


def test_the_artefact_is_of_the_bundle_in_force() -> None:
    """Of another one it proves nothing."""
    lineage = GatedBuilder().ready()

    def lie(why: dict[str, Any]) -> None:
        raw = decode(why["artefact"])._replace(bundle=bytes(32)).encode()
        why.update(artefact=raw, replay=artefact_hash(raw))

    assert found(lineage) == []
    assert (lineage.gated(lying=lie).carrier, "replay_mismatch") in found(lineage)


def of_another_class(why: dict[str, Any]) -> None:
    was = decode(why["artefact"])
    raw = was._replace(situation=was.situation._replace(action_class="grip")).encode()
    why.update(artefact=raw, replay=artefact_hash(raw))


@pytest.mark.parametrize("lying", [of_another_class, relabelled(**{"what.later": 1})])
def test_what_is_compared_needs_no_engine(lying: Any) -> None:
    """An artefact of something else is found without one."""
    lineage = GatedBuilder().ready()
    cycle = lineage.gated(lying=lying)
    assert found(lineage, programs=None) == [(cycle.carrier, "replay_mismatch")]


@pytest.mark.parametrize("decision", [0, 2])
def test_a_refusal_is_not_recorded_as_something_else(decision: int) -> None:
    """The clauses say no."""
    lineage = GatedBuilder().ready()
    cycle = lineage.gated(force_n=50.0, decision=decision)
    assert found(lineage) == [(cycle.carrier, "replay_differs")]


def test_a_refusal_is_made_again_too() -> None:
    """It has the reasons of the clauses; others may stand beside them."""
    lineage = GatedBuilder().ready()

    def more(why: dict[str, Any]) -> None:
        why["reasons"].append("budget_exhausted: nothing is left")
        why["counterfactual"]["decision"] = "refused"

    lineage.gated(force_n=50.0, lying=more)
    assert found(lineage) == []
    assert outcome(report(lineage), 11) == ("pass", 1)
    cycle = lineage.gated(force_n=50.0, lying=lambda why: lie_of(why, reasons=["other: reason"]))
    assert set(found(lineage)) == {(cycle.carrier, "replay_differs")}


def test_a_refusal_that_nothing_asked_for() -> None:
    """The clauses admit, and no other reason is told."""
    lineage = GatedBuilder().ready()
    cycle = lineage.gated(decision=1)
    assert found(lineage) == [(cycle.carrier, "replay_differs")]


@pytest.mark.parametrize("at", [0, 1])
def test_of_two_inputs_of_one_name_one_was_taken(at: int) -> None:
    """The other one refuses; the recorder is no liar for having recorded both."""
    lineage = GatedBuilder().ready()

    def twice(why: dict[str, Any]) -> None:
        why["inputs"].insert(at, why["inputs"][0] | {"value": 2.0})
        why["reasons"].append("input_malformed: force_n stands twice")
        why["counterfactual"]["decision"] = "refused"

    lineage.gated(force_n=50.0, lying=twice)
    assert found(lineage) == []


@pytest.mark.parametrize(
    "withheld", ["clauses", "reasons", "replay", "evaluator", "inputs", "deviation", "counterfactual"]
)
def test_what_is_withheld_is_not_compared(withheld: str) -> None:
    """The rest is."""
    lineage = GatedBuilder(transport=True, withhold=(withheld,)).ready()
    lineage.gated(magnitude=1.2)
    assert found(lineage) == []
    cycle = lineage.gated(lying=lambda why: lie_of(why, evaluator="other 1", reasons=["other: reason"]))
    assert {seq for seq, _ in found(lineage)} == {cycle.carrier}


def test_an_engine_of_other_words_decides_the_same() -> None:
    """A division by zero denies, whatever it is called."""
    lineage = GatedBuilder().ready()
    lineage.gated(duration_ms=0, lying=lambda why: lie_of(why, reasons=["clause_error: too_quick: x / 0"]))
    assert found(lineage) == []
