"""A recorder under a signed policy: what is opened and committed under a delegation, and what is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from recorder.client import NotRecorded, Recorder, Refused
from recorder.core import grant, observation, policy, revocation
from recorder.core.credential import Credential
from recorder.core.entry import decode
from recorder.core.kinds import Decision, Kind, RefType, Stage
from recorder.core.observation import Observation
from recorder.core.scope import Counts, Role
from tests import credential_builder as builder
from tests import fleet
from tests.daemon.sound import verify
from tests.policies import clause
from tests.running import Running, lineage_of, origin_of, records_of

ROLES: tuple[tuple[str, Role], ...] = (("planner", "evaluator"), ("lidar", "inspector"))
FORCE: list[dict[str, Any]] = [{"name": "force_n", "value": 10.0, "unit": "N"}]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running(fleet.make(tmp_path / "state")) as served:
        yield served
    verify(served.state)


@pytest.fixture
def recorder(running: Running) -> Iterator[Recorder]:
    with Recorder(running.socket, timeout_ms=60_000, who={"operator": "ann"}) as connected:
        yield connected


def opening(recorder: Recorder, given: Credential, **changed: Any) -> Any:
    asked: dict[str, Any] = {
        "what": fleet.WHAT,
        "where": {},
        "inputs": FORCE,
        "delegation": given.hash,
        "actuators": ["arm"],
        "action_classes": ["motion"],
        "valid_ms": 20_000,
    }
    return recorder.open_cycle(**(asked | changed))


def headers(running: Running) -> list[Any]:
    running.stop()
    return [decode(raw).header for raw, _ in records_of(running.state)]


def test_what_a_policy_admits_is_recorded_as_admitted(running: Running, recorder: Recorder) -> None:
    delegation = fleet.put_in_force(recorder, running.state)
    cycle = opening(recorder, delegation)
    assert cycle.commit("arm", what=fleet.WHAT).outcome == "admitted"
    found = headers(running)
    assert [one.decision for one in found if one.kind == Kind.CYCLE] == [Decision.ADMITTED]
    assert [one.decision for one in found if one.kind == Kind.ACTUATION] == [Decision.ADMITTED]


def test_what_a_clause_forbids_is_refused_on_record(running: Running, recorder: Recorder) -> None:
    delegation = fleet.put_in_force(recorder, running.state)
    with pytest.raises(Refused, match="over_limit: clause force"):
        opening(recorder, delegation, inputs=[{"name": "force_n", "value": 51.0, "unit": "N"}])
    (refusal,) = [one for one in headers(running) if one.kind == Kind.REFUSAL]
    assert refusal.control.reasons == ["over_limit: clause force"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"delegation": None, "who": {"delegation": None}}, "delegation_missing"),
        ({"delegation": b"x" * 32}, "parent_unknown"),
        ({"inputs": []}, "input_missing: force_n"),
        ({"inputs": [{"name": "force_n", "value": "ten", "unit": "N"}]}, "input_type: force_n"),
        ({"what": {**fleet.WHAT, "magnitude": 2.1}}, "delegation_uncovered: limits"),
        ({"action_classes": ["motion", "emergency_stop"]}, "class_mixed"),
        ({"stage": Stage.WITNESSED}, "stage_skipped"),
    ],
)
def test_an_opening_is_refused(running: Running, recorder: Recorder, changed: dict[str, Any], reason: str) -> None:
    delegation = fleet.put_in_force(recorder, running.state)
    with pytest.raises(Refused, match=reason):
        opening(recorder, delegation, **changed)
    assert not [one for one in headers(running) if one.kind == Kind.CYCLE]


def test_another_platforms_delegation_is_worth_nothing_here(running: Running, recorder: Recorder) -> None:
    fleet.put_in_force(recorder, running.state)
    links = fleet.chain(running.state, key=builder.signer("arm-8").public_key)
    for link in links:
        fleet.install(recorder, credential=link.signed.raw)
    with pytest.raises(Refused, match="delegation_holder"):
        opening(recorder, links[-1])


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"magnitude": 1.01}, "beyond_contemplated: magnitude"),
        ({"mode": "torque"}, "beyond_contemplated: mode"),
        ({"target": "joint2"}, "beyond_contemplated: target"),
        ({"unit": "N"}, "beyond_contemplated: unit"),
        ({"reversibility": "irreversible"}, "beyond_contemplated: reversibility"),
    ],
)
def test_a_commit_keeps_to_what_was_decided_about(
    running: Running, recorder: Recorder, what: dict[str, Any], reason: str
) -> None:
    cycle = opening(recorder, fleet.put_in_force(recorder, running.state))
    assert cycle.commit("arm", what=fleet.WHAT).durable
    with pytest.raises(Refused, match=reason):
        cycle.commit("arm", what={**fleet.WHAT, **what})


def test_a_budget_is_spent_across_cycles_and_restarts(running: Running, recorder: Recorder) -> None:
    scope = builder.rescoped(fleet.SCOPE, counts=Counts(3, 3600))
    delegation = fleet.put_in_force(recorder, running.state, scope=scope)
    first = opening(recorder, delegation)
    assert first.max_commits == 3  # cut to what is left
    first.commit("arm", what=fleet.WHAT)
    second = opening(recorder, delegation)
    assert second.max_commits == 2
    second.commit("arm", what=fleet.WHAT)
    running.kill()
    running.restart()
    first.commit("arm", what=fleet.WHAT)
    with pytest.raises(Refused, match="budget_exhausted: 3 commits"):
        second.commit("arm", what=fleet.WHAT)
    with pytest.raises(Refused, match="budget_exhausted"):
        opening(recorder, delegation)


def test_a_budget_of_time_is_spent_by_what_is_granted(running: Running, recorder: Recorder) -> None:
    scope = builder.rescoped(fleet.SCOPE, counts=Counts(1000, 30))
    delegation = fleet.put_in_force(recorder, running.state, scope=scope)
    first = opening(recorder, delegation)
    second = opening(recorder, delegation)  # overlaps: only what the first does not cover is spent
    assert second.not_after_mono_ns - first.not_after_mono_ns < 10_000_000_000
    third = opening(recorder, delegation, valid_ms=60_000)
    assert third.not_after_mono_ns - first.not_after_mono_ns == 10_000_000_000  # 30 s from the first opening
    assert opening(recorder, delegation, valid_ms=60_000).not_after_mono_ns == third.not_after_mono_ns


def test_a_budget_of_time_comes_to_its_end(running: Running, recorder: Recorder) -> None:
    scope = builder.rescoped(fleet.SCOPE, counts=Counts(1000, 1))
    delegation = fleet.put_in_force(recorder, running.state, scope=scope)
    cycle = opening(recorder, delegation)
    with pytest.raises(Refused, match="budget_exhausted"):
        while time.clock_gettime_ns(time.CLOCK_BOOTTIME) < cycle.not_after_mono_ns + 60_000_000_000:
            opening(recorder, delegation).close()


def test_a_revocation_ends_what_rests_on_it_and_survives_a_restart(running: Running, recorder: Recorder) -> None:
    delegation = fleet.put_in_force(recorder, running.state)
    cycle = opening(recorder, delegation)
    cycle.commit("arm", what=fleet.WHAT)
    listed = revocation.make(1, [revocation.Revoked(delegation.hash, 0, "tablet lost")], builder.signer("acme/root"))
    fleet.install(recorder, revocation=listed)
    with pytest.raises(Refused, match="cycle_unknown"):
        cycle.commit("arm", what=fleet.WHAT)
    for _ in range(2):
        with pytest.raises(Refused, match="credential_revoked"):
            opening(recorder, delegation)
        running.kill()
        running.restart()
    ends = [one.control for one in headers(running) if one.kind == Kind.CYCLE_END]
    assert [end.reason for end in ends] == [f"credential_revoked: {delegation.hash.hex()[:8]}"]


def test_a_policy_of_an_issuer_who_was_revoked_beforehand_is_refused(running: Running, recorder: Recorder) -> None:
    """The list came before the credential that it revokes, by an authority above it: it acts all the same, as in verify."""
    now = int(time.time())
    times: dict[str, Any] = {"not_before_s": now - 3600, "expires_s": now + 3600, "issued_s": now}
    chief = builder.from_root("chief", role="authority", scope=builder.EVERYTHING, **times)
    site = builder.delegated(chief, "site", role="authority", **times)
    said = replace(policy.read(fleet.bundle()).policy, issuer=site.hash)
    fleet.install(recorder, credential=chief.signed.raw)
    listed = revocation.make(1, [revocation.Revoked(site.hash, 0, "left the fleet")], builder.signer("chief"))
    fleet.install(recorder, revocation=listed)
    fleet.install(recorder, credential=site.signed.raw)
    with pytest.raises(NotRecorded, match="credential_revoked"):
        fleet.install(recorder, kind=Kind.POLICY, bundle=policy.sign(said, builder.signer("site")))


def test_a_policy_is_followed_by_a_newer_one_and_by_nothing_else(running: Running, recorder: Recorder) -> None:
    fleet.put_in_force(recorder, running.state, version=2)
    for raw, error in (
        (fleet.bundle(version=1), "policy_older"),
        (fleet.bundle(version=2), "policy_older"),
        (fleet.bundle(version=3, by="somebody"), "policy_signature"),
        (fleet.bundle(clause("input.force_n > 'a'"), version=3), "policy_unfit: clause limit: 1:"),
        (b"nonsense", "policy_malformed"),
    ):
        with pytest.raises(NotRecorded, match=error):
            fleet.install(recorder, kind=Kind.POLICY, bundle=raw)
    newer = fleet.bundle(clause("input.force_n > 5.0", identifier="lower"), version=3)
    fleet.install(recorder, kind=Kind.POLICY, bundle=newer)
    delegation = fleet.chain(running.state)
    for link in delegation:
        fleet.install(recorder, credential=link.signed.raw)
    with pytest.raises(Refused, match="clause lower"):
        opening(recorder, delegation[-1])
    running.kill()
    running.restart()
    with pytest.raises(Refused, match="clause lower"):  # and after a start it is still in force
        opening(recorder, delegation[-1])


def test_a_deviation_is_committed_as_the_policy_says(running: Running, recorder: Recorder) -> None:
    slower = clause("input.force_n > 20.0", "deviate", "slower", deviate_to='"half the speed"')
    delegation = fleet.put_in_force(recorder, running.state, slower)
    cycle = opening(recorder, delegation, inputs=[{"name": "force_n", "value": 21.0, "unit": "N"}])
    with pytest.raises(Refused, match=r"beyond_contemplated: what\.committed is not stated"):
        cycle.commit("arm", what=fleet.WHAT)
    half = {**fleet.WHAT, "magnitude": 0.5, "committed": "half the speed"}
    assert cycle.commit("arm", what=half).outcome == "deviated"


def test_stages_follow_each_other_and_are_decided_anew(running: Running, recorder: Recorder) -> None:
    careful = clause('act.stage == "executed" && input.force_n > 20.0', identifier="careful")
    delegation = fleet.put_in_force(recorder, running.state, careful)
    tentative = opening(recorder, delegation, stage=Stage.TENTATIVE)
    with pytest.raises(Refused, match="stage_skipped"):
        opening(recorder, delegation, stage=Stage.EXECUTED, predecessor=tentative)
    with pytest.raises(Refused, match="stage_changed"):
        other = {**fleet.WHAT, "magnitude": 0.5}
        opening(recorder, delegation, stage=Stage.WITNESSED, predecessor=tentative, what=other)
    witnessed = opening(recorder, delegation, stage=Stage.WITNESSED, predecessor=tentative)
    with pytest.raises(Refused, match="stage_unknown"):
        opening(recorder, delegation, stage=Stage.WITNESSED, predecessor=tentative)
    heavy = [{"name": "force_n", "value": 21.0, "unit": "N"}]
    with pytest.raises(Refused, match="clause careful"):
        opening(recorder, delegation, stage=Stage.EXECUTED, predecessor=witnessed, inputs=heavy)
    executed = opening(recorder, delegation, stage=Stage.EXECUTED, predecessor=witnessed)
    executed.commit("arm", what=fleet.WHAT)
    found = headers(running)
    staged = [one for one in found if one.kind == Kind.CYCLE]
    assert [one.stage for one in staged] == [Stage.TENTATIVE, Stage.WITNESSED, Stage.EXECUTED]
    assert [one.refs[RefType.STAGE_PREDECESSOR][0].seq for one in staged[1:]] == [one.seq for one in staged[:2]]
    assert [one.stage for one in found if one.kind == Kind.ACTUATION] == [Stage.EXECUTED]


def test_an_abort_is_never_refused(running: Running, recorder: Recorder) -> None:
    delegation = fleet.put_in_force(recorder, running.state)
    tentative = opening(recorder, delegation, stage=Stage.TENTATIVE)
    tentative.abort(what=fleet.WHAT, reason="person in the cell")
    recorder.flush(30)
    found = headers(running)
    (aborted,) = [one for one in found if one.kind == Kind.ACTUATION]
    assert (aborted.stage, aborted.decision) == (Stage.ABORTED, Decision.UNGATED)
    assert aborted.refs[RefType.STAGE_PREDECESSOR][0].seq == tentative.seq
    assert [one.control.reason for one in found if one.kind == Kind.CYCLE_END] == ["stage: aborted"]


def test_what_an_evaluator_granted_once_and_an_observer_signed(running: Running, recorder: Recorder) -> None:
    delegation = fleet.put_in_force(recorder, running.state)
    now = int(time.time())
    times = {"not_before_s": now - 3600, "expires_s": now + 3600, "issued_s": now}
    planner, lidar = (builder.from_root(name, role=role, **times) for name, role in ROLES)
    for one in (planner, lidar):
        fleet.install(recorder, credential=one.signed.raw)
    at_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    says = Observation("force_n", 10.0, "N", None, time.time_ns(), at_ns, 1, None, lidar.hash)
    inputs = [{"name": "force_n", "observation": observation.make(says, builder.signer("lidar"))}]
    opening(recorder, delegation, inputs=inputs).commit("arm", what=fleet.WHAT)
    os_boot = bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", ""))
    granted = grant.Grant(
        origin_of(lineage_of(running.state)), os_boot, bytes(16), planner.hash, "motion", ("arm",), 10, at_ns + 60 * 10**9, delegation.hash,
        grant.contemplated_hash(fleet.WHAT, {}), grant.inputs_hash(inputs), "admitted",
    )  # fmt: skip
    raw = grant.make(granted, builder.signer("planner"))
    cycle = opening(recorder, delegation, inputs=inputs, grant=raw, max_commits=10)
    assert cycle.commit("arm", what=fleet.WHAT).outcome == "external"
    for nonce in (b"1" * 16, b"2" * 16):  # their cycles end long before the grants do
        again = grant.make(granted._replace(nonce=nonce), builder.signer("planner"))
        opening(recorder, delegation, inputs=inputs, grant=again, max_commits=10, valid_ms=1)
    for _ in range(2):
        for nonce in (bytes(16), b"1" * 16, b"2" * 16):
            again = grant.make(granted._replace(nonce=nonce), builder.signer("planner"))
            with pytest.raises(Refused, match="nonce_reused"):
                opening(recorder, delegation, inputs=inputs, grant=again, max_commits=10)
        running.kill()
        running.restart()


def test_rows_beyond_the_grant_are_stored_and_marked(running: Running, recorder: Recorder) -> None:
    delegation = fleet.put_in_force(recorder, running.state)
    cycle = opening(recorder, delegation)
    for magnitude in (1.0, 1.5):
        stream = cycle.stream("arm", fields=[("q", "<f4", 1, "rad")], what={**fleet.WHAT, "magnitude": magnitude})
        stream.record([1.0])
        recorder.flush(30)
    found = [one.decision for one in headers(running) if one.kind == Kind.ACTUATION]
    assert found == [Decision.ADMITTED, Decision.OUTSIDE_GRANT]


def test_without_a_policy_nothing_is_opened_where_one_is_required(tmp_path: Path) -> None:
    state = fleet.make(tmp_path / "state")
    path = state / "recorder.toml"
    path.write_text(path.read_text().replace("[recorder]", "[recorder]\nrequire_policy = true"))
    with Running(state) as running, Recorder(running.socket, timeout_ms=60_000, who={"operator": "ann"}) as recorder:
        with pytest.raises(Refused, match="policy_missing"):
            opening(recorder, fleet.chain(state)[-1])
        opening(recorder, fleet.put_in_force(recorder, state))
