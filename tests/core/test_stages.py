"""Stages: the table of what may follow what, and step 6 on lineages that break one rule each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from recorder.core.entry import decode
from recorder.core.kinds import Stage
from recorder.core.stages import end_reason, successor_error
from recorder.core.verify import verify_lineage
from recorder.core.verify.stages import STAGED_KEPT, Stages
from tests.lineage_builder import MS, ORIGIN, WHERE, WHY, LineageBuilder, OpenCycle
from tests.vectors.valid import staged

LEGAL = {
    (None, Stage.DIRECT), (None, Stage.TENTATIVE), (Stage.TENTATIVE, Stage.WITNESSED), (Stage.TENTATIVE, Stage.ABORTED),
    (Stage.WITNESSED, Stage.EXECUTED), (Stage.WITNESSED, Stage.ABORTED),
}  # fmt: skip


@pytest.mark.parametrize("before", [None, *Stage])
@pytest.mark.parametrize("after", list(Stage))
def test_the_table(before: Stage | None, after: Stage) -> None:
    """Of 30 transitions 6 are legal; a wrong one says what may follow."""
    error = successor_error(before, after)
    assert (error is None) == ((before, after) in LEGAL)
    assert error is None or error.startswith(f"{after.name.lower()} {'after ' if before is not None else 'without '}")


def found(lineage: LineageBuilder) -> dict[str, list[int | None]]:
    report = verify_lineage(ORIGIN, lineage.records)
    errors: dict[str, list[int | None]] = {}
    for one in report.problems:
        errors.setdefault(one.error, []).append(one.seq)
    return errors


def tentative(valid_ns: int = 2_000 * MS) -> tuple[LineageBuilder, OpenCycle]:
    lineage = LineageBuilder().setup(1, 2)
    return lineage, lineage.cycle((1, 2), stage=1, valid_ns=valid_ns)


def test_stages_in_order_pass() -> None:
    """The predecessor's end before the successor or after it, executed and aborted."""
    assert found(staged()) == {}


Rule = Callable[[], tuple[LineageBuilder, int]]


def _without_predecessor() -> tuple[LineageBuilder, int]:
    lineage = LineageBuilder().setup(1)
    return lineage, lineage.cycle(stage=2).carrier


def _direct_with_predecessor() -> tuple[LineageBuilder, int]:
    lineage, first = tentative()
    return lineage, lineage.cycle(after=first.carrier).carrier


def _skipped() -> tuple[LineageBuilder, int]:
    lineage, first = tentative()
    return lineage, lineage.cycle(stage=3, after=first.carrier).carrier


def _after_executed() -> tuple[LineageBuilder, int]:
    lineage, first = tentative()
    second = lineage.cycle(stage=2, after=first.carrier)
    third = lineage.cycle(stage=3, after=second.carrier)
    return lineage, lineage.event(aborts=third.carrier)


def _after_a_direct_one() -> tuple[LineageBuilder, int]:
    lineage = LineageBuilder().setup(1)
    return lineage, lineage.cycle(stage=2, after=lineage.cycle().carrier).carrier


def _two_predecessors() -> tuple[LineageBuilder, int]:
    lineage, first = tentative()
    other = lineage.cycle(stage=1)
    both = {1: [[None, one.carrier, lineage.hash_of(one.carrier)] for one in (first, other)]}
    return lineage, lineage.breaking(lambda header: header.update({12: both})).cycle(stage=2).carrier


def _of_another_log() -> tuple[LineageBuilder, int]:
    lineage, first = tentative()
    elsewhere = {1: [["acme/arm-8/ff", first.carrier, bytes(32)]]}
    return lineage, lineage.breaking(lambda header: header.update({12: elsewhere})).cycle(stage=2).carrier


def _another_class() -> tuple[LineageBuilder, int]:
    lineage, first = tentative()
    return lineage, lineage.cycle(stage=2, after=first.carrier, classes=("grip",)).carrier


def _more_actuators() -> tuple[LineageBuilder, int]:
    lineage = LineageBuilder().setup(1, 2)
    first = lineage.cycle((1,), stage=1)
    return lineage, lineage.cycle((1, 2), stage=2, after=first.carrier).carrier


def _taken_over_before() -> tuple[LineageBuilder, int]:
    lineage, first = tentative()
    lineage.cycle(stage=2, after=first.carrier)
    return lineage, lineage.cycle(stage=2, after=first.carrier).carrier


def _aborted_before() -> tuple[LineageBuilder, int]:
    lineage, first = tentative()
    lineage.event(aborts=first.carrier)
    return lineage, lineage.cycle(stage=2, after=first.carrier).carrier


def _ended_before() -> tuple[LineageBuilder, int]:
    lineage, first = tentative()
    lineage.end(first)
    return lineage, lineage.cycle(stage=2, after=first.carrier).carrier


def _ended_for_another_stage() -> tuple[LineageBuilder, int]:
    lineage, first = tentative()
    lineage.end(first, end_reason(Stage.ABORTED))
    return lineage, lineage.cycle(stage=2, after=first.carrier).carrier


def _over_in_time() -> tuple[LineageBuilder, int]:
    lineage, first = tentative(valid_ns=10 * MS)
    lineage.clock.pass_ns(20 * MS)
    return lineage, lineage.cycle(stage=2, after=first.carrier).carrier


def _of_another_os_boot() -> tuple[LineageBuilder, int]:
    lineage, first = tentative()
    lineage.stop()
    lineage.boot(new_os_boot=True)
    return lineage, lineage.cycle(stage=2, after=first.carrier).carrier


def _not_carried_over() -> tuple[LineageBuilder, int]:
    lineage, first = tentative()
    lineage.stop()
    lineage.boot(carried=())
    return lineage, lineage.cycle(stage=2, after=first.carrier).carrier


def _cycle_that_aborts() -> tuple[LineageBuilder, int]:
    lineage, first = tentative()
    return lineage, lineage.cycle(stage=4, after=first.carrier).carrier


def _commit_of_another_stage() -> tuple[LineageBuilder, int]:
    lineage, first = tentative()
    return lineage, lineage.commit(first._replace(stage=0))


def _staged_commit_of_a_direct_cycle() -> tuple[LineageBuilder, int]:
    lineage = LineageBuilder().setup(1)
    return lineage, lineage.commit(lineage.cycle()._replace(stage=1))


def _commit_with_a_predecessor_of_its_own() -> tuple[LineageBuilder, int]:
    lineage, first = tentative()
    return lineage, lineage.breaking(lambda header: header.update(lineage.after(first.carrier))).commit(first)


def _commit_after_the_successor() -> tuple[LineageBuilder, int]:
    lineage, first = tentative()
    lineage.cycle(stage=2, after=first.carrier)
    return lineage, lineage.commit(first)


def _abort_of_nothing() -> tuple[LineageBuilder, int]:
    lineage = LineageBuilder().setup(1)
    return lineage, lineage.breaking(lambda header: header.update({14: 4})).event()


def _ungated_of_a_stage() -> tuple[LineageBuilder, int]:
    lineage, first = tentative()
    return lineage, lineage.breaking(lambda header: header.update({14: 2, **lineage.after(first.carrier)})).event()


def _direct_event_with_a_predecessor() -> tuple[LineageBuilder, int]:
    lineage, first = tentative()
    return lineage, lineage.breaking(lambda header: header.update(lineage.after(first.carrier))).event()


RULES: list[Rule] = [
    _without_predecessor, _direct_with_predecessor, _skipped, _after_executed, _after_a_direct_one, _two_predecessors,
    _of_another_log, _another_class, _more_actuators, _taken_over_before, _aborted_before, _ended_before,
    _ended_for_another_stage, _over_in_time, _of_another_os_boot, _not_carried_over, _cycle_that_aborts,
    _commit_of_another_stage, _staged_commit_of_a_direct_cycle, _commit_with_a_predecessor_of_its_own,
    _commit_after_the_successor, _abort_of_nothing, _ungated_of_a_stage, _direct_event_with_a_predecessor,
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_a_broken_rule_is_found(rule: Rule) -> None:
    """Once, at the entry that breaks it, and nothing else is."""
    lineage, seq = rule()
    assert found(lineage) == {"stage_order": [seq]}


def test_what_is_not_wrong() -> None:
    """A cycle carried over goes on; an expired one may be aborted; a commit may repeat its cycle's predecessor."""
    lineage, first = tentative()
    lineage.stop()
    lineage.boot()
    second = lineage.cycle(stage=2, after=first.carrier)
    lineage.breaking(lambda header: header.update(lineage.after(first.carrier))).commit(second)
    lineage.end(second, "expired")
    lineage.event(aborts=second.carrier)
    lineage.commit(first, decision=5)  # it happened all the same
    assert found(lineage) == {}


def acting(magnitude: float = 0.5, **where: Any) -> dict[str, Any]:
    """A why that says which act it is about."""
    return {**WHY, "contemplated": {"what": {"mode": "position", "magnitude": magnitude}, "where": {**WHERE, **where}}}


@pytest.mark.parametrize(
    ("after", "withheld", "changed"),
    [
        (acting(), (), False),
        (acting(0.6), (), True),
        (acting(frame="tool"), (), True),
        (WHY, (), False),
        (acting(0.6), ("contemplated",), False),
    ],
)
def test_the_act_stays_the_same(after: dict[str, Any], withheld: tuple[str, ...], *, changed: bool) -> None:
    """What and where, as far as both are disclosed."""
    lineage = LineageBuilder(transport=True, withhold=withheld).setup(1)
    first = lineage.cycle(stage=1, why=acting())
    second = lineage.cycle(stage=2, after=first.carrier, why=after)
    assert found(lineage) == ({"stage_changed": [second.carrier]} if changed else {})


def test_the_act_of_claims_that_are_not_here_is_not_judged() -> None:
    """Nor that of claims of another digest, which step 8 finds."""
    lineage = LineageBuilder().setup(1)
    first = lineage.cycle(stage=1, why=acting())
    lineage.cycle(stage=2, after=first.carrier, why=acting(0.6))
    lineage.records[first.carrier] = lineage.records[first.carrier]._replace(claims=lineage.records[-1].claims)
    assert "claims_mismatch" in found(lineage)
    assert "stage_changed" not in found(lineage)
    lineage.records[first.carrier] = lineage.records[first.carrier]._replace(claims=None)
    assert "stage_changed" not in found(lineage)


def test_what_is_remembered_is_bounded() -> None:
    """Cycles that are over go first; one that may go on stays."""
    problems: list[int | None] = []
    stages = Stages(lambda _error, seq, _detail: problems.append(seq))
    lineage, first = tentative(valid_ns=10**15)
    over = lineage.cycle(stage=1, valid_ns=MS)
    for record in lineage.records:
        stages.check(decode(record.raw).header, record.claims)
    header = decode(lineage.records[over.carrier].raw).header
    for seq in range(100, 100 + STAGED_KEPT):
        stages.check(header._replace(seq=seq, time=header.time._replace(mono_ns=header.time.mono_ns + seq * MS)), None)
    assert len(stages._cycles) <= STAGED_KEPT
    assert first.carrier in stages._cycles
    assert over.carrier not in stages._cycles
    assert problems == []
