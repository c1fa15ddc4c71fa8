"""A decision in words, and claims of other shapes left as they are."""

from __future__ import annotations

from typing import Any

import pytest

from recorder.audit.decisions import decided
from recorder.audit.describe import values_of
from recorder.core.entry import decode
from tests.audit.decided import DELEGATION, DecidedBuilder
from tests.lineage_builder import MS, LineageBuilder
from tests.policies import moving


def told(lineage: LineageBuilder, seq: int) -> tuple[list[str], dict[str, Any]]:
    record = lineage.records[seq]
    return decided(decode(record.raw).header, values_of(record.claims or b"")["why"])


def test_admitted() -> None:
    """By which clauses, on which inputs, and what would have been without them."""
    lineage = DecidedBuilder().begin()
    seq = lineage.ask(moving(), lambda why: why.update(alternatives_truncated=True, alternatives_total=4000))
    lines, left = told(lineage, seq)
    assert lines[:3] == [
        "admitted by clause motion.named",
        "reasons: within_limits: clause motion.named",
        "evaluated by cel-expr-python 0.1.3",
    ]
    assert "clause motion.named (permit): true" in lines
    assert "clause separation.reject (forbid): false" in lines
    assert "without clause motion.named it would have been refused" in lines
    assert "1 of 4,000 alternatives recorded" in lines
    assert "input lidar.nearest: 2.0 m, 10 ms old, not signed" in lines
    assert lines[-1] == f"`lineage replay {seq}` makes it again"
    assert left.keys() == {"contemplated", "alternatives"}


def test_deviated_refused_and_elsewhere() -> None:
    """To what instead of what, by which clause, under which credential; the reasons; by whom."""
    lineage = DecidedBuilder().begin()
    lines, left = told(lineage, lineage.ask(moving(lidar__nearest=0.7)))
    assert lines[0] == (
        "deviated to the same move at half the speed instead of position by clause separation.slow "
        f"under credential {DELEGATION.hex()[:16]}"
    )
    assert "deviation" not in left
    lines, _ = told(lineage, lineage.ask(moving(lidar__nearest=0.4), reasons=("budget_exhausted",)))
    assert lines[0] == "refused: budget_exhausted; separation_below_reject: clause separation.reject"
    lines, _ = told(lineage, lineage.cycle(nonce=bytes(16)).carrier)
    assert lines == ["external: decided elsewhere", "evaluated by planner/2"]


def test_a_later_stage() -> None:
    """Which stage of what, after which decision, and which clauses came out otherwise."""
    lineage = DecidedBuilder().begin()
    first = lineage.ask(moving(), stage=1)
    again = {"predecessor": f"{first}-00000000", "decision": "admitted", "changed": ["speed.limit"]}
    lines, _ = told(lineage, lineage.ask(moving(), lambda why: why.update(post_evaluation=again), stage=2, after=first))
    assert "stage witnessed of position" in lines
    assert f"decided anew after {first}-00000000 (admitted): clause speed.limit came out otherwise" in lines


def test_an_input_that_came_with_the_message_is_not_younger_than_it() -> None:
    """It is stamped between the recorder's reading of the clock and the message; truth is said as in a policy."""
    lineage = LineageBuilder().setup(1)
    one = {"name": "enabled", "value": True, "at_mono_ns": lineage.clock.mono_ns + MS + 1}
    seq = lineage.cycle(why={"inputs": [one]}).carrier
    assert told(lineage, seq)[0][1] == "input enabled: true, 0 ms old"


def test_a_signed_input_says_by_whom() -> None:
    """And of which entry it is."""
    lineage = LineageBuilder().setup(1)
    one = {"name": "lidar", "value": 2.0, "signed": True, "entry": "5-00000000", "credential": b"\x01" * 32}
    seq = lineage.cycle(why={"inputs": [{**one, "at_mono_ns": lineage.clock.mono_ns - 4 * MS}]}).carrier
    assert told(lineage, seq)[0] == [
        "admitted",
        f"input lidar: 2.0, 5 ms old, signed, entry 5-00000000, credential {'01' * 8}",
    ]


@pytest.mark.parametrize("key", ["clauses", "inputs", "deviation", "counterfactual", "post_evaluation", "evaluator"])
@pytest.mark.parametrize("value", [None, 1, "text", [1], [{}], {}, {"without": 1}, {"changed": 1}, [{"id": 1}]])
def test_claims_of_another_shape_stay(key: str, value: Any) -> None:
    """A controller may write what it likes under these names; it is told as it is."""
    lineage = LineageBuilder().setup(1)
    lines, left = told(lineage, lineage.cycle(why={key: value}).carrier)
    is_told = key == "evaluator" and value == "text"
    assert lines == ["admitted", *(["evaluated by text"] if is_told else [])]
    assert left == ({} if is_told else {key: value})


def test_what_is_no_decision() -> None:
    """An event has a why and no decision."""
    lineage = LineageBuilder().setup(1)
    assert told(lineage, lineage.event()) == ([], {"valid_for_ms": 500, "reason": "emergency stop"})
