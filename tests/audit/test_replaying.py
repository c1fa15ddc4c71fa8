"""Recorded decisions made again: the same, or where they part; and what has no artefact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from recorder.audit import replaying
from recorder.audit.check import silent
from recorder.audit.redecide import PROGRAMS_MAX, Programs, Redecided, redecide
from recorder.audit.replaying import decision_of, replay_decisions
from recorder.audit.source import Held
from recorder.audit.span import Span
from recorder.core import cbor
from recorder.core.errors import FormatError, Misuse
from recorder.core.ids import entry_id
from recorder.core.kinds import Kind
from recorder.core.policy_replay import Artefact, Situation
from recorder.gate.cel import Cel
from tests.audit.decided import Change, DecidedBuilder
from tests.audit.test_upstream import opened
from tests.gate import generated
from tests.gate.rust_cel import RustCel, RustConditions
from tests.gate.test_engines import NAN
from tests.lineage_builder import MS, LineageBuilder
from tests.policies import clause, moving, small
from tests.vectors.policies import SITUATIONS
from tests.vectors.valid import decided as gated

PROGRAMS = Programs(Cel())


def replayed(
    lineage: LineageBuilder, tmp_path: Path, where: str = "state", span: Span | None = None, workers: int = 1
) -> tuple[list[Redecided], Counter[str]]:
    listed: list[Redecided] = []
    with opened(where, lineage, tmp_path) as source:
        counts = replay_decisions(source, span or Span(0, lineage.seq - 1), listed.append, silent, workers)
    return listed, counts


def decided(situation: Situation | None = None, change: Change | None = None, **options: Any) -> Redecided:
    """One decision under the example policy, recorded with a change and made again."""
    lineage = DecidedBuilder().begin()
    seq = lineage.ask(situation or moving(), change, **options)
    return redecide(lineage.recorded(seq), PROGRAMS)


# --- The same


@pytest.mark.parametrize("name", SITUATIONS)
def test_what_was_recorded_as_decided_comes_out_the_same(name: str) -> None:
    """Admitted, deviated, refused for each reason; nothing is told beside it."""
    found = decided(moving(**SITUATIONS[name]))
    assert (found.outcome, found.differences, found.told) == ("same", [], [])
    assert found.decision == ("refused" if "refused" in name or "forbid before" in name else found.decision)


@pytest.mark.parametrize("where", ["state", "running", "bundle"])
@pytest.mark.parametrize("workers", [1, 2])
def test_all_decisions_of_a_lineage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, workers: int) -> None:
    """Wherever it lies, by one process or several, under two policies; in order, and counted."""
    monkeypatch.setattr(replaying, "ALONE_DECISIONS", 0)
    lineage = DecidedBuilder().begin()
    seqs = [lineage.ask(moving(**changed)) for changed in SITUATIONS.values()]
    lineage.enforce(small())
    seqs += [lineage.ask(moving()) for _ in range(300)]
    lineage.commit(lineage.cycle(why={"evaluator": "elsewhere"}, nonce=bytes(16)))
    listed, counts = replayed(lineage, tmp_path, where, workers=workers)
    assert [one.seq for one in listed[:-1]] == seqs
    assert counts == {"same": len(seqs), "external": 1}
    assert {one.decision for one in listed} == {"admitted", "refused", "deviated", "external"}


def test_a_span_needs_the_policy_below_it(tmp_path: Path) -> None:
    """And no decision outside it."""
    lineage = DecidedBuilder().begin()
    seqs = [lineage.ask(moving()) for _ in range(4)]
    listed, counts = replayed(lineage, tmp_path, span=Span(seqs[1], seqs[2]))
    assert ([one.seq for one in listed], counts) == (seqs[1:3], {"same": 2})


def test_more_is_refused_than_the_policy_refuses() -> None:
    """A delegation that does not cover the act refuses what the policy admits: told, no difference."""
    found = decided(reasons=("delegation_uncovered: magnitude",))
    assert (found.outcome, found.told) == (
        "same", ["refused for more than the policy: delegation_uncovered: magnitude"],
    )  # fmt: skip
    assert decided(moving(lidar__nearest=0.7), reasons=("budget_exhausted",)).outcome == "same"
    found = decided(moving(lidar__nearest=0.4), reasons=("budget_exhausted",))
    assert (found.outcome, found.told) == ("same", ["refused for more than the policy: budget_exhausted"])


def test_a_signed_input_may_be_older_by_utc() -> None:
    """Its time by UTC is in the observation alone; younger than its monotonic time says it cannot be."""
    for age_ms, outcome in ((12, "same"), (10, "same"), (9, "different")):
        nearest = moving().inputs["lidar.nearest"]._replace(signed=True, age_ms=age_ms)
        asked = moving(lidar__nearest=nearest)

        def change(why: dict[str, Any], by_ms: int = age_ms - 10) -> None:
            why["inputs"][0]["at_mono_ns"] += by_ms * MS

        assert decided(asked, change).outcome == outcome


def test_of_two_inputs_of_one_name_either_may_have_been_taken() -> None:
    """The other one was refused, and is told as it was sent."""
    found = decided(ADMITTED, lambda why: why["inputs"].insert(0, {"name": "lidar.nearest", "entry": "1-00000000"}))
    assert found.outcome == "same"


# --- Different

ADMITTED, DEVIATED, REFUSED = moving(), moving(lidar__nearest=0.7), moving(lidar__nearest=0.4)


def _setting(**values: Any) -> Change:
    return lambda claims: claims.update(values)


def _clause(at: int, **values: Any) -> Change:
    return lambda why: why["clauses"][at].update(values)


def _input(at: int, **values: Any) -> Change:
    return lambda why: why["inputs"][at].update(values)


@pytest.mark.parametrize(
    ("situation", "change", "part"),
    [
        (ADMITTED, _setting(reasons=["allowed: clause other"]), "reasons"),
        (ADMITTED, _setting(reasons=None), "reasons"),
        (ADMITTED, _clause(0, truth="true"), "clause separation.reject"),
        (ADMITTED, _clause(0, effect="permit"), "clause separation.reject"),
        (ADMITTED, _clause(0, id="other"), "clause other"),
        (ADMITTED, lambda why: why["clauses"].append(dict(why["clauses"][0])), "clauses"),
        (ADMITTED, lambda why: why["clauses"].pop(), "clause motion.named"),
        (ADMITTED, _setting(clauses=["workspace"]), "clauses"),
        (ADMITTED, _setting(clauses=None), "clauses"),
        (ADMITTED, _setting(deviation={"committed": "slow", "clause": "slow-near"}), "deviation"),
        (DEVIATED, lambda why: why["deviation"].update(committed="faster"), "deviation"),
        (DEVIATED, lambda why: why["deviation"].update(clause="other"), "deviation"),
        (DEVIATED, lambda why: why.pop("deviation"), "deviation"),
        (ADMITTED, _setting(counterfactual={"without": [], "decision": "refused"}), "counterfactual"),
        (DEVIATED, lambda why: why["counterfactual"].update(decision="deviated"), "counterfactual"),
        (REFUSED, _setting(counterfactual=None), "counterfactual"),
        (ADMITTED, _setting(replay=bytes(32)), "replay"),
        (ADMITTED, lambda why: why.pop("replay"), "replay"),
        (ADMITTED, _setting(evaluator="planner/2"), "evaluator"),
        (ADMITTED, _input(0, value=9.0), "input lidar.nearest"),
        (ADMITTED, _input(0, unit="km"), "input lidar.nearest"),
        (ADMITTED, _input(0, signed=True), "input lidar.nearest"),
        (ADMITTED, _input(0, at_mono_ns=1), "input lidar.nearest"),
        (ADMITTED, _setting(inputs=[]), "input lidar.nearest"),
        (ADMITTED, _setting(inputs=None), "input lidar.nearest"),
        (ADMITTED, _setting(artefact="text"), "artefact"),
        (ADMITTED, lambda why: why.pop("artefact"), "artefact"),
        (ADMITTED, _setting(artefact=b"\x80"), "artefact"),
        (REFUSED, _setting(reasons=[]), "reasons"),
    ],
)
def test_what_was_recorded_otherwise_is_named(situation: Situation, change: Change, part: str) -> None:
    """Whatever of a why does not follow from its artefact."""
    found = decided(situation, change)
    assert found.outcome == "different"
    assert part in [one.part for one in found.differences]
    if part not in ("artefact", "reasons", "clauses") and not part.startswith("clause "):
        assert {one.part for one in found.differences} <= {part, *(f"input {name}" for name in situation.inputs)}


def test_an_artefact_of_another_story_is_named() -> None:
    """Another decision, another class, another bundle than the entry says."""
    changed = ADMITTED._replace(
        inputs={**ADMITTED.inputs, "lidar.nearest": ADMITTED.inputs["lidar.nearest"]._replace(value=0.4)}
    )
    found = decided(artefact=_setting(situation=changed))
    parts = {one.part: (one.recorded, one.replayed) for one in found.differences}
    assert parts["decision"] == ("admitted", "refused")
    assert {"reasons", "input lidar.nearest"} <= parts.keys()
    found = decided(artefact=_setting(situation=ADMITTED._replace(action_class="braking")))
    assert [one.part for one in found.differences] == ["class", "policy"]
    found = decided(artefact=_setting(bundle=bytes(32)))
    assert [one.part for one in found.differences] == ["bundle", "policy"]


def test_a_refusal_that_the_policy_did_not_ask_for_is_a_difference() -> None:
    """It gives the policy's reasons, and the artefact is admitted; or it keeps one of them back."""
    lineage = DecidedBuilder().begin()
    program, asked = lineage.program, lineage.program.decide(ADMITTED)
    artefact = Artefact(
        bytes(16), lineage.bundle, lineage.engine.name, lineage.engine.version, asked.situation
    ).encode()
    seq = lineage.refuse_opening(lineage.why(asked, artefact, ADMITTED), asked.reasons)
    assert [one.part for one in redecide(lineage.recorded(seq), PROGRAMS).differences] == ["decision"]
    refused = program.decide(REFUSED)
    artefact = Artefact(
        bytes(16), lineage.bundle, lineage.engine.name, lineage.engine.version, refused.situation
    ).encode()
    seq = lineage.refuse_opening(lineage.why(refused, artefact, REFUSED), ["something else"])
    assert [one.part for one in redecide(lineage.recorded(seq), PROGRAMS).differences] == ["reasons of the refusal"]


def test_claims_of_another_digest_are_a_difference() -> None:
    """Whoever writes another why beside the entry is found by the entry."""
    lineage = DecidedBuilder().begin()
    seq, other = lineage.ask(ADMITTED), lineage.ask(DEVIATED)
    forged = lineage.recorded(seq)._replace(claims=lineage.records[other].claims)
    found = redecide(forged, PROGRAMS)
    assert [one.part for one in found.differences] == ["why"]
    found = redecide(lineage.recorded(seq)._replace(claims=b"\xff"), PROGRAMS)
    assert (found.outcome, found.differences[0].recorded) == ("different", "unreadable")


def test_a_bundle_that_cannot_be_read_or_compiled_is_a_difference() -> None:
    """It was in force, they say."""
    lineage = DecidedBuilder().begin()
    seq = lineage.ask(ADMITTED)
    found = redecide(lineage.recorded(seq)._replace(bundle=lineage.signed[:-1]), PROGRAMS)
    assert [one.part for one in found.differences] == ["policy"]


WEIRD: list[Any] = [
    None,
    1,
    "text",
    b"x",
    [],
    [1],
    [[]],
    [{}],
    [{"name": []}],
    [{"id": 1}],
    {},
    {"committed": []},
    {"clause": 1},
]


@pytest.mark.parametrize("key", ["reasons", "clauses", "inputs", "deviation", "evaluator", "replay", "artefact"])
@pytest.mark.parametrize("value", WEIRD, ids=repr)
def test_claims_of_any_shape_are_compared(key: str, value: Any) -> None:
    """Whoever made the lineage may have written what he liked; nothing is raised."""
    is_same = key == "deviation" and value is None
    assert decided(ADMITTED, _setting(**{key: value})).outcome == ("same" if is_same else "different")


@pytest.mark.parametrize("record", [1, [], {}, {8: []}, *({9: family} for family in WEIRD)], ids=repr)
def test_records_of_any_shape_are_read(record: Any) -> None:
    """What stands beside an entry is not signed."""
    lineage = DecidedBuilder().begin()
    recorded = lineage.recorded(lineage.ask(ADMITTED))._replace(claims=cbor.encode(record))
    assert redecide(recorded, PROGRAMS).outcome == "different"


# --- Stages


def since(lineage: DecidedBuilder, seq: int, **changed: Any) -> dict[str, Any]:
    """What a stage says of the one before, if a clause came out otherwise between DEVIATED and ADMITTED."""
    said = {
        "predecessor": str(entry_id(lineage.hash_of(seq), seq)),
        "decision": "deviated",
        "changed": ["separation.slow"],
    }
    return {"post_evaluation": {**said, **changed}}


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        ({}, "same"),
        ({"changed": []}, "different"),
        ({"decision": "admitted"}, "different"),
        ({"predecessor": "1-00"}, "different"),
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_what_changed_since_the_stage_before(tmp_path: Path, changed: Any, outcome: str, *, alone: bool) -> None:
    """Made again from both decisions, also where only the later one is asked about."""
    lineage = DecidedBuilder().begin()
    first = lineage.ask(DEVIATED, stage=1)
    second = lineage.ask(ADMITTED, _setting(**since(lineage, first, **changed)), stage=2, after=first)
    listed, _ = replayed(lineage, tmp_path, span=Span(second, second) if alone else None)
    assert (listed[-1].seq, listed[-1].outcome) == (second, outcome)
    assert [one.part for one in listed[-1].differences] == ([] if outcome == "same" else ["post_evaluation"])
    assert len(listed) == (1 if alone else 2)


def test_a_stage_that_says_nothing_of_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A difference; unless the one before is too far below to be held against it."""
    lineage = DecidedBuilder().begin()
    first, _ = lineage.ask(DEVIATED, stage=1), lineage.ask(DEVIATED, stage=1)
    lineage.ask(ADMITTED, stage=2, after=first)
    assert replayed(lineage, tmp_path)[0][-1].outcome == "different"
    monkeypatch.setattr(replaying, "STAGED_KEPT", 1)
    assert replayed(lineage, tmp_path / "again")[0][-1].outcome == "same"


# --- Without artefact


def test_what_has_no_artefact_is_told_apart(tmp_path: Path) -> None:
    """The configured table, an evaluator elsewhere, what is withheld, what was refused before."""
    lineage = DecidedBuilder(transport=True, withhold=("artefact",)).begin()
    withheld = lineage.ask(ADMITTED)
    lineage.withhold = ()
    refused = lineage.refuse_opening()
    elsewhere = lineage.cycle(nonce=bytes(16)).carrier
    gone = lineage.ask(ADMITTED)
    lineage.control(Kind.DELETION, gone, gone, "standard", None)
    lineage.records[gone] = lineage.records[gone]._replace(claims=None)
    lineage.policy(b"\xa0 a table")
    table = [lineage.cycle().carrier, lineage.cycle(nonce=bytes([1]) * 16).carrier, lineage.refuse_opening()]
    lineage.bundle = bytes(32)  # of which no entry says what it is
    unknown = lineage.cycle().carrier
    listed, counts = replayed(lineage, tmp_path)
    assert counts == {"withheld": 3, "unasked": 1, "external": 1, "table": 3}
    assert {one.seq: one.outcome for one in listed} == {
        withheld: "withheld", refused: "unasked", elsewhere: "external", gone: "withheld",
        **dict.fromkeys(table, "table"), unknown: "withheld",
    }  # fmt: skip
    assert [one.told for one in listed if one.outcome == "withheld"] == [
        ["the artefact is withheld"], ["the why is not here"], ["the policy is not here"],
    ]  # fmt: skip


def test_what_else_is_withheld_is_not_compared() -> None:
    """And is told."""
    lineage = DecidedBuilder(transport=True, withhold=("inputs", "clauses", "reasons")).begin()
    found = redecide(lineage.recorded(lineage.ask(DEVIATED)), PROGRAMS)
    assert (found.outcome, found.told) == ("same", ["withheld, so not compared: clauses, inputs, reasons"])
    lineage = DecidedBuilder(transport=True).begin()
    whole = lineage.ask(DEVIATED)
    record = cbor.decode(lineage.records[whole].claims or b"")
    assert redecide(lineage.recorded(whole)._replace(claims=cbor.encode(record)), PROGRAMS).outcome == "same"


def test_what_cannot_be_read_is_counted(tmp_path: Path) -> None:
    """An entry of bytes that are none, and one that stands in another's place."""
    lineage = DecidedBuilder().begin()
    seq = lineage.ask(ADMITTED)
    lineage.append(b"\x00" * 100)
    lineage.append(lineage.records[seq].raw, lineage.records[seq].claims)
    assert replayed(lineage, tmp_path)[1] == {"same": 1, "unread": 2}


# --- Which decision


def test_a_commit_stands_on_its_cycle() -> None:
    """So does what was refused under it; an event and a mark stand on none."""
    lineage = DecidedBuilder().begin()
    cycle = lineage.cycle()
    seqs = [cycle.carrier, lineage.commit(cycle), lineage.refuse(cycle), lineage.refuse_opening()]
    held = [Held(seq, lineage.records[seq].raw, b"") for seq in range(lineage.seq)]
    assert [decision_of(held[seq]) for seq in seqs] == [cycle.carrier, cycle.carrier, cycle.carrier, seqs[-1]]
    for seq in (1, lineage.event()):
        with pytest.raises(Misuse, match="stands on no decision"):
            decision_of(Held(seq, lineage.records[seq].raw, b""))
    with pytest.raises(FormatError):
        decision_of(Held(0, b"\x00", b""))


# --- Engines


class Renamed(Cel):
    """The same engine in its next version, which words an error otherwise."""

    version = "99"


def test_another_version_of_the_engine_is_told() -> None:
    """What goes wrong may be worded otherwise; a decision may not come out otherwise."""
    lineage = DecidedBuilder().begin()
    wrong = moving(where__frame=None)
    seq = lineage.ask(wrong, lambda why: why["reasons"].__setitem__(0, why["reasons"][0] + " in other words"))
    assert redecide(lineage.recorded(seq), PROGRAMS).outcome == "different"
    lineage.records[seq] = lineage.records[lineage.ask(wrong)]
    found = redecide(lineage.recorded(seq + 1), Programs(Renamed()))
    assert (found.outcome, len(found.told)) == ("same", 1)
    assert "replayed by cel-expr-python 99" in found.told[0]


class Second(RustCel):
    """The second engine, told by the first which variables a condition mentions: it cannot tell itself."""

    def compile(self, variables: Mapping[str, str], conditions: Sequence[str]) -> RustConditions:
        compiled = super().compile(variables, conditions)
        compiled.uses = list(Cel().compile(variables, conditions).uses)
        return compiled


def test_a_recorded_list_of_decisions_by_two_engines(tmp_path: Path) -> None:
    """Of 40 generated policies with 5 decisions each, a second engine in another language comes to the same ones."""
    lineage = DecidedBuilder()
    lineage.boot()
    lineage.actuator(1)
    programs = [Programs(Cel()), Programs(Second())]
    outcomes: list[Counter[str]] = [Counter(), Counter()]
    for seed in range(40):
        random = Random(seed)
        said = generated.policy(random)
        if all(one.effect == "forbid" for one in said.clauses):
            continue  # nobody could sign it
        lineage.enforce(said)
        for _ in range(5):
            situation = generated.situation(random)
            recorded = lineage.recorded(lineage.ask(situation))
            found = [redecide(recorded, one) for one in programs]
            assert (found[0].outcome, found[0].told) == ("same", [])
            again = programs[1].of(lineage.signed)[1].decide(situation)
            assert found[1].outcome == "same" or any(NAN in one for one in again.reasons), found[1].differences
            for one, counted in zip(found, outcomes, strict=True):
                counted[one.outcome] += 1
    assert outcomes[0]["same"] >= 150
    assert outcomes[1]["same"] >= 0.95 * outcomes[0]["same"]
    assert replayed(lineage, tmp_path)[1] == outcomes[0]


def test_only_the_last_bundles_are_kept() -> None:
    """Of as many policies as there may be."""
    lineage = DecidedBuilder().begin()
    programs = Programs(Cel())
    for number in range(PROGRAMS_MAX + 3):
        lineage.enforce(small(clause(f"input.force_n > {number}.0")))
        programs.of(lineage.signed)
    assert len(programs._compiled) == PROGRAMS_MAX


def test_the_decisions_of_the_vectors_come_out_the_same(tmp_path: Path) -> None:
    """As another builder wrote them, of an earlier version of the engine; a grant is told apart."""
    listed, counts = replayed(gated(), tmp_path)
    assert counts == {"same": 3, "external": 1}
    assert all("decided by cel-expr-python 0.1.2" in one.told[0] for one in listed if one.outcome == "same")
