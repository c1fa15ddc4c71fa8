"""Step 9 over lineages, beside the vectors: edges of time, of budgets, of grants and of the act, and what is no error."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from msgspec.structs import replace

from recorder.core import matrix
from recorder.core.kinds import Kind
from recorder.core.matrix import Issuer
from recorder.core.scope import Counts, Times
from tests.core.governed import found, outcome, report
from tests.credential_builder import (
    BEGIN_S,
    DAY_S,
    DEPOT,
    NS,
    ROOT,
    delegated,
    from_root,
    issued,
    rescoped,
    signer,
    terms,
)
from tests.gated_builder import SCOPE, GatedBuilder, cell, evaluator
from tests.lineage_builder import MS

ERROR_NS = 50_000  # of the builder's clock


def settled(at_utc_ns: int, lineage: GatedBuilder | None = None) -> GatedBuilder:
    """A lineage whose next entry but the policy's is of this UTC, less the error of the clock."""
    lineage = lineage or GatedBuilder()
    lineage.ready()
    lineage.clock.mono_ns += at_utc_ns + ERROR_NS - MS - lineage.clock.utc_ns
    lineage.clock.utc_ns = at_utc_ns + ERROR_NS - MS
    return lineage


@pytest.mark.parametrize(("at_ns", "expired"), [(-1, False), (0, True)])
def test_a_delegation_is_over_at_exp_and_not_a_nanosecond_before(at_ns: int, *, expired: bool) -> None:
    """The floor decides: UTC less the clock's error."""
    lineage = settled((BEGIN_S + DAY_S) * NS + at_ns)
    lineage.gated(valid_ms=0)
    errors = {error for _, error in found(lineage)}
    assert errors == ({"credential_expired", "policy_expired"} if expired else set())


def test_a_cycle_does_not_outlast_its_delegation() -> None:
    """Bounds are cut to the end of the chain, 100 ms aside."""
    lineage = settled((BEGIN_S + DAY_S) * NS - NS)
    lineage.gated(valid_ms=1_000)
    assert found(lineage) == []
    late = lineage.gated(valid_ms=1_200)
    assert found(lineage) == [(late.carrier, "credential_expired")]


def test_a_clock_set_back_revives_nothing() -> None:
    """What was over once stays over, and a revocation acts from its entry on whatever the clock says."""
    lineage = GatedBuilder()
    held = lineage.platform()
    lineage.ready(held)
    before = lineage.gated()
    lineage.commit(before)
    lineage.revoke(held)
    lineage.clock.utc_ns -= 3600 * NS
    lineage.clock.mono_ns += MS
    lineage.control(Kind.CLOCK_STEP, lineage.clock.utc_ns + 3600 * NS, lineage.clock.utc_ns, "ntp")
    after = lineage.gated()
    assert found(lineage) == [(after.carrier, "credential_revoked")]

    lineage = settled((BEGIN_S + DAY_S) * NS)
    lineage.control(Kind.MARK, body={})
    lineage.clock.utc_ns -= 3600 * NS
    lineage.control(Kind.CLOCK_STEP, lineage.clock.utc_ns + 3600 * NS, lineage.clock.utc_ns, "ntp")
    after = lineage.gated(valid_ms=0)
    assert {seq for seq, _ in found(lineage)} == {after.carrier}
    assert "credential_expired" in {error for _, error in found(lineage)}


def test_a_revocation_by_an_issuer_above_acts_and_one_from_beside_does_not() -> None:
    """The depot that issued may revoke; another holder may not, nor the holder itself."""
    lineage = GatedBuilder().begin()
    granting = rescoped(SCOPE, delegations=3, roles=frozenset({"operator"}))
    lineage.bring(
        matrix=matrix.issue(1, BEGIN_S, [Issuer(signer(DEPOT).public_key, DEPOT, granting)], signer(ROOT.name))
    )
    ann = issued(DEPOT, terms("ann", DEPOT, scope=SCOPE))
    lineage.bring(credential=from_root("eve", scope=SCOPE).signed.raw)
    lineage.hold(ann, delegated(ann, "arm-7", key=lineage.identity.public_key))
    lineage.govern()
    lineage.revoke(ann, by="eve")
    lineage.revoke(ann, by="ann")
    lineage.commit(lineage.gated())
    assert found(lineage) == []
    lineage.revoke(ann, by=DEPOT)
    assert found(lineage) == []
    assert found(lineage, roots=()) == []
    assert (lineage.gated().carrier, "credential_revoked") in found(lineage)


def test_a_list_by_nobody_known_is_an_error() -> None:
    """The recorder would have refused it."""
    lineage = GatedBuilder().begin()
    assert found(lineage) == []
    assert (lineage.revoke(from_root("ann"), by="mallory"), "issuer_unknown") in found(lineage)


def test_a_credential_entry_brings_one_thing() -> None:
    """Bytes under two names have one hash."""
    lineage = GatedBuilder().begin()
    raw = from_root("ann").signed.raw
    seq = lineage.control(Kind.CREDENTIAL, sha256(raw).digest(), body={"credential": raw, "matrix": raw})
    assert (seq, "credential_digest") in found(lineage)


def test_an_unknown_root() -> None:
    """By another root than the one that signed, nothing stands."""
    lineage = GatedBuilder().ready()
    cycle = lineage.gated()
    other = type(ROOT).derive("other/root", ROOT.algorithm, signer("other/root").public_key)
    assert (cycle.carrier, "issuer_unknown") in found(lineage, roots=[other])


def test_what_a_recognised_intermediate_issued() -> None:
    """It stands once a matrix names the issuer, no further than that one was recognised, and not before."""
    by = signer(DEPOT).public_key
    granting = rescoped(SCOPE, delegations=3, roles=frozenset({"platform"}))
    recognised = matrix.issue(1, BEGIN_S, [Issuer(by, DEPOT, granting)], signer(ROOT.name))
    lineage = GatedBuilder()
    lineage.ready(lineage.platform(by=DEPOT))
    early = lineage.gated()
    lineage.bring(matrix=recognised)
    lineage.gated()
    lineage.hold(lineage.platform(rescoped(SCOPE, limits={"rad": (-1.5, 1.6)}), by=DEPOT))
    wider = lineage.gated()
    assert found(lineage) == [(early.carrier, "issuer_unknown"), (wider.carrier, "delegation_scope")]


def test_revoked_before_and_after() -> None:
    """What was done before the entry that revokes stands; nothing after it does, under whichever cycle."""
    lineage = GatedBuilder()
    held = lineage.platform()
    lineage.ready(held)
    cycle = lineage.gated()
    lineage.commit(cycle)
    lineage.revoke(held)
    after = lineage.commit(cycle)
    again = lineage.gated()
    assert found(lineage) == [(after, "credential_revoked"), (again.carrier, "credential_revoked")]


@pytest.mark.parametrize("commits", [2, 3])
def test_a_budget_of_commits_is_shared_by_cycles_and_restarts(commits: int) -> None:
    """Rows count too, and what is delegated further counts above."""
    lineage = GatedBuilder()
    ann = from_root("ann", scope=rescoped(SCOPE, counts=Counts(4, 3600)))
    lineage.ready(ann, delegated(ann, "arm-7", key=lineage.identity.public_key))
    schema = lineage.schema()
    lineage.rows(lineage.gated(), schema, 2)
    lineage.made.clear()
    lineage.stop()
    lineage.boot()
    lineage.policy(lineage.signed)
    cycle = lineage.gated()
    made = [lineage.commit(cycle) for _ in range(commits)]
    assert found(lineage) == [(seq, "budget_exceeded") for seq in made[2:] for _link in range(2)]


@pytest.mark.parametrize(("seconds", "exceeded"), [(5, False), (4, True)])
def test_a_budget_of_time_counts_an_instant_once(seconds: int, *, exceeded: bool) -> None:
    """Three cycles of two seconds, of which two begin at nearly the same time: a millisecond over four seconds."""
    lineage = GatedBuilder().ready(scope=rescoped(SCOPE, counts=Counts(100, seconds)))
    lineage.gated()
    lineage.gated()
    lineage.clock.pass_ns(4 * NS)
    last = lineage.gated()
    assert found(lineage) == ([(last.carrier, "budget_exceeded")] if exceeded else [])


def test_time_of_an_earlier_os_boot_is_not_covered_twice() -> None:
    """The mark of what is covered does not outlive CLOCK_BOOTTIME."""
    lineage = GatedBuilder().ready(scope=rescoped(SCOPE, counts=Counts(100, 3)))
    lineage.gated()
    lineage.stop()
    lineage.boot(new_os_boot=True)
    lineage.acting(delegation=lineage.platform(scope=rescoped(SCOPE, counts=Counts(100, 3))).hash)
    lineage.policy(lineage.signed)
    assert found(lineage) == []
    last = lineage.gated()
    assert found(lineage) == [(last.carrier, "budget_exceeded")]


def test_the_same_bundle_again_is_no_error_and_an_older_one_or_a_table_is() -> None:
    """Each start writes the bundle in force anew."""
    lineage = GatedBuilder().ready()
    lineage.stop()
    lineage.boot()
    lineage.policy(lineage.signed)
    lineage.govern(cell(version=4))
    assert found(lineage) == []
    rolled_back = lineage.govern(cell(version=3))
    table = lineage.policy()
    assert found(lineage) == [(rolled_back, "policy_older"), (table, "policy_older")]


def test_a_class_that_the_policy_does_not_know_is_not_ungated() -> None:
    """Nothing decided about it."""
    lineage = GatedBuilder().ready()
    cycle = lineage.cycle(classes=("dance",))
    assert (cycle.carrier, "decision_missing") in found(lineage)
    assert "class dance is none of policy cell" in report(lineage).problems[0].detail


def test_an_ungated_class_is_not_judged() -> None:
    """It asks for no delegation."""
    lineage = GatedBuilder().begin()
    lineage.govern()
    lineage.commit(lineage.cycle(classes=("braking",)))
    assert found(lineage) == []
    assert outcome(report(lineage), 9) == ("pass", 1)  # the policy


def test_a_commit_beside_rows_is_judged_as_a_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class that is recorded by rows alone, and an entry with rows and one commit behind them."""
    lineage = GatedBuilder().begin()
    lineage.hold(lineage.platform())
    said = cell()
    lineage.govern(cell(classes=said.classes | {"motion": replace(said.classes["motion"], verbs=["record"])}))
    schema, cycle = lineage.schema(), lineage.gated()
    lineage.rows(cycle, schema)
    assert found(lineage) == []
    whole = lineage._actuation

    def with_a_commit(commits: list[Any], held: list[Any], **rest: Any) -> int:
        more, more_held = lineage._commits((1,))
        return whole([*commits, *more], [*held, *more_held], **rest)

    monkeypatch.setattr(lineage, "_actuation", with_a_commit)
    lineage.made[cycle.carrier] += 1
    mixed = lineage.rows(cycle, schema)
    assert found(lineage) == [(mixed, "verb_not_permitted")]


def test_a_grant_is_used_once() -> None:
    """The same bytes again: its nonce was used."""
    by = evaluator()
    lineage = GatedBuilder().ready()
    lineage.bring(credential=by.signed.raw)
    lineage.gated(grant_by=by, nonce=bytes(16))
    again = lineage.gated(grant_by=by, nonce=bytes(16))
    assert found(lineage) == [(again.carrier, "nonce_reused")]


def test_a_grant_needs_its_nonce_in_control() -> None:
    """Else it could be used again under another."""
    by = evaluator()
    lineage = GatedBuilder().ready()
    lineage.bring(credential=by.signed.raw)
    cycle = lineage.gated(grant_by=by, granting={"nonce": bytes(16)})
    assert found(lineage) == [(cycle.carrier, "grant_beyond")]


@pytest.mark.parametrize(("role", "errors"), [("evaluator", []), ("operator", ["role_mismatch"])])
def test_a_grant_is_an_evaluators(role: Any, errors: list[str]) -> None:
    """Somebody else's signature decides nothing."""
    by = from_root("planner", role=role, scope=SCOPE)
    lineage = GatedBuilder().ready()
    lineage.bring(credential=by.signed.raw)
    cycle = lineage.gated(grant_by=by)
    assert found(lineage) == [(cycle.carrier, error) for error in errors]


@pytest.mark.parametrize(("quality", "errors"), [(2, ["delegation_uncovered"]), (1, [])])
def test_the_hour_counts_where_the_clock_tells_it(quality: int, errors: list[str]) -> None:
    """A delegation for the evening, used in the morning."""
    lineage = GatedBuilder()
    lineage.clock.quality = quality
    lineage.ready(scope=rescoped(SCOPE, times=frozenset({Times(20 * 3600, 22 * 3600, 127)})))
    cycle = lineage.gated()
    assert found(lineage) == [(cycle.carrier, error) for error in errors]
    commit = lineage.commit(cycle)
    assert found(lineage) == [(seq, error) for seq in (cycle.carrier, commit) for error in errors]


@pytest.mark.parametrize(("late_ms", "rows_are_late"), [(-2, False), (0, False), (999, False), (1000, True)])
def test_rows_that_waited_for_company_came_in_time(late_ms: int, rows_are_late: bool) -> None:
    """They are admitted when they come and written up to a second later; a commit is written at once."""
    end_s = BEGIN_S % DAY_S + 3
    lineage = GatedBuilder().ready(scope=rescoped(SCOPE, times=frozenset({Times(0, end_s, 127)})))
    cycle, schema = lineage.gated(valid_ms=10_000), lineage.schema()
    until_ns = (BEGIN_S + 3) * NS + late_ms * MS - lineage.clock.utc_ns - MS  # the next entry is a millisecond later
    lineage.clock.pass_ns(until_ns)
    rows = lineage.rows(cycle, schema)
    assert found(lineage) == [(rows, "delegation_uncovered")] * rows_are_late
    commit = lineage.commit(cycle)
    assert ((commit, "delegation_uncovered") in found(lineage)) == (late_ms >= 0)


def test_decided_elsewhere_needs_a_grant() -> None:
    """The controller's word is none."""
    lineage = GatedBuilder().ready()
    cycle = lineage.gated(decision=3, nonce=bytes(16))
    assert (cycle.carrier, "decision_missing") in found(lineage)


def test_the_same_serial_with_more_scope_is_noted() -> None:
    """Each is worth what it is worth by itself."""
    lineage = GatedBuilder()
    lineage.ready(lineage.platform(serial=bytes(16)), lineage.platform(rescoped(SCOPE, counts=None), serial=bytes(16)))
    lineage.gated()
    assert found(lineage) == []
    assert report(lineage).notes["same_serial"] == 1


def test_a_credential_of_the_same_serial_lends_no_scope() -> None:
    """The narrower one that the cycle names is what counts, though the wider one is here too."""
    lineage = GatedBuilder()
    wide = lineage.platform(rescoped(SCOPE, limits={"rad": (-9.0, 9.0)}), serial=bytes(16))
    lineage.ready(wide, lineage.platform(serial=bytes(16)))
    cycle = lineage.gated(magnitude=-2.0)
    assert found(lineage) == [(cycle.carrier, "delegation_uncovered")]


@pytest.mark.parametrize(
    ("doing", "error"),
    [
        ({"mode": "torque"}, "beyond_contemplated"),
        ({"target": 0.8}, "beyond_contemplated"),
        ({"unit": "m"}, "beyond_contemplated"),
        ({"magnitude": -0.1}, "beyond_contemplated"),
        ({"reversibility": "irreversible"}, "beyond_contemplated"),
        ({"magnitude": 0.25}, None),
    ],
)
def test_commits_lie_within_the_contemplated_act(doing: dict[str, Any], error: str | None) -> None:
    """Part by part."""
    lineage = GatedBuilder().ready()
    cycle = lineage.gated()
    lineage.doing = doing
    seq = lineage.commit(cycle)
    expected = [] if error is None else [(seq, error)]
    assert found(lineage)[: len(expected) or 1] == expected


def test_after_a_deviation_a_commit_says_that_it_does_that_instead() -> None:
    """What was asked for first is beyond it."""
    lineage = GatedBuilder().ready()
    cycle = lineage.gated(magnitude=1.2)
    lineage.doing = {"committed": "slow"}
    lineage.commit(cycle, decision=2)
    lineage.doing = {"committed": "fast"}
    seq = lineage.commit(cycle, decision=2)
    assert found(lineage) == [(seq, "beyond_contemplated")]


def test_what_is_outside_the_grant_is_stored_and_not_judged() -> None:
    """Decision 5 counts nowhere."""
    lineage = GatedBuilder().ready(scope=rescoped(SCOPE, counts=Counts(1, 3600)))
    cycle = lineage.gated()
    lineage.commit(cycle)
    lineage.doing = {"magnitude": 3.0}
    lineage.commit(cycle, decision=5)
    assert found(lineage) == []
