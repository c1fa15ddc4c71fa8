"""What the gate judges, recorded as it states it, comes out the same when it is made again."""

from __future__ import annotations

from typing import Any

import pytest

from recorder.audit.redecide import Programs, Recorded, redecide
from recorder.core.kinds import Decision
from tests.gate.opening import ENGINE, FORCE, NOW, asked, ground, judged
from tests.lineage_builder import MS, LineageBuilder

TWICE = {"inputs": [FORCE, {**FORCE, "value": 60.0}]}
MALFORMED = {"inputs": [{"name": "force_n"}, FORCE, 7]}


@pytest.mark.parametrize(
    ("changed", "decision", "remarks"),
    [
        ({}, Decision.ADMITTED, 0),
        ({"why": {"inputs": [{**FORCE, "value": 10}]}}, Decision.ADMITTED, 0),
        ({"why": {"inputs": [{**FORCE, "value": 40.0}]}}, Decision.DEVIATED, 0),
        ({"why": {"inputs": [{**FORCE, "value": 60.0}]}}, Decision.REFUSED, 0),
        ({"why": {"inputs": []}}, Decision.REFUSED, 0),
        ({"why": {"inputs": [{**FORCE, "at_mono_ns": None}]}}, Decision.REFUSED, 0),
        ({"why": TWICE}, Decision.REFUSED, 1),
        ({"why": MALFORMED}, Decision.REFUSED, 1),
        ({"delegation": None}, Decision.REFUSED, 1),
        ({"delegation": None, "why": {"inputs": [{**FORCE, "value": 40.0}]}}, Decision.REFUSED, 1),
        ({"delegation": None, "why": {"inputs": [{**FORCE, "value": 60.0}]}}, Decision.REFUSED, 1),
        ({"act": None}, Decision.REFUSED, 1),
        ({"reasons": ["class_unknown: grip"]}, Decision.REFUSED, 1),
    ],
)
def test_what_the_gate_states_is_replayed(changed: dict[str, Any], decision: Decision, remarks: int) -> None:
    """Admitted, deviated, refused by the policy and by what else there is, which is told."""
    on = ground()
    found = judged(asked(**changed), on)
    assert found.decision == decision
    lineage = LineageBuilder()
    lineage.boot()
    lineage.policy(on.bundle.signed.raw)
    lineage.clock.mono_ns = NOW.mono_ns - MS  # each entry is a millisecond on
    if decision == Decision.REFUSED:
        seq = lineage.refuse_opening(found.why, found.reasons)
    else:
        lineage.breaking(lambda header: header.update({16: int(decision)}))
        seq = lineage.cycle(why=found.why).carrier
    again = redecide(Recorded(seq, *lineage.records[seq], on.bundle.signed.raw), Programs(ENGINE))
    assert (again.outcome, again.differences) == ("same", [])
    assert len(again.told) == remarks
