"""What steps 9 and 11 leave open, and say so: no roots, no engine, no time, no claims."""

from __future__ import annotations

import pytest

from recorder.core.kinds import Kind
from tests.core.governed import found, outcome, report
from tests.credential_builder import (
    ROOT,
)
from tests.gated_builder import GatedBuilder


def test_without_roots_nothing_is_judged_and_decisions_are_made_again() -> None:
    """The report says how many cycles it is about."""
    lineage = GatedBuilder().begin()
    lineage.govern()
    lineage.gated()
    of = report(lineage, roots=())
    assert of.problems == []
    assert (of.authority, of.notes["authority_unjudged"]) == ("nothing", 1)
    assert (outcome(of, 9), outcome(of, 11)) == (("nothing", 0), ("pass", 1))


def test_without_an_engine_decisions_are_counted() -> None:
    """Step 11 then says nothing, but for what can be compared."""
    lineage = GatedBuilder().ready()
    lineage.gated()
    of = report(lineage, programs=None)
    assert (of.problems, outcome(of, 11), of.notes["decisions_unreplayed"]) == ([], ("nothing", 0), 1)
    altered = lineage.gated(lying=lambda why: why["inputs"][0].update(unit="kN"))
    assert found(lineage, programs=None) == [(altered.carrier, "replay_mismatch")]


def test_a_clock_that_is_not_synchronised_leaves_it_open() -> None:
    """Counted, and no pass."""
    lineage = GatedBuilder()
    lineage.clock.quality = 1
    lineage.ready()
    lineage.commit(lineage.gated())
    of = report(lineage)
    assert (of.problems, of.authority, of.exit_status()) == ([], "indeterminate", 0)
    assert outcome(of, 9) == ("indeterminate", 2)
    assert of.notes["authority_indeterminate"] == 2  # the policy and the cycle


def test_it_passes_where_all_was_judged() -> None:
    """Policy, cycle and commit."""
    lineage = GatedBuilder().ready()
    lineage.commit(lineage.gated())
    of = report(lineage)
    assert (of.problems, of.authority, of.roots) == ([], "pass", [str(ROOT)])
    assert (outcome(of, 9), outcome(of, 11)) == (("pass", 2), ("pass", 1))


@pytest.mark.parametrize("withheld", ["delegation", "contemplated", "magnitude", "inputs"])
def test_what_is_withheld_is_not_judged(withheld: str) -> None:
    """A claim of which only the hash is here says nothing either way."""
    lineage = GatedBuilder(transport=True, withhold=(withheld,)).ready()
    lineage.commit(lineage.gated())
    of = report(lineage)
    assert (of.problems, of.authority) == ([], "indeterminate")
    assert of.notes["authority_unjudged"] + of.notes["acts_unjudged"] >= 1


@pytest.mark.parametrize("at", [0, 1])
def test_what_was_deleted_is_not_judged(at: int) -> None:
    """Claims of the cycle, or of its commit, that a deletion entry accounts for."""
    lineage = GatedBuilder().ready()
    cycle = lineage.gated()
    commit = lineage.commit(cycle)
    seq = (cycle.carrier, commit)[at]
    lineage.control(Kind.DELETION, seq, seq, "standard", bytes(32))
    lineage.records[seq] = lineage.records[seq]._replace(claims=None)
    of = report(lineage)
    assert (of.problems, of.authority) == ([], "indeterminate")
