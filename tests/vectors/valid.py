"""The valid lineages among the vectors."""

from __future__ import annotations

from hashlib import sha256

from recorder.core.chosen import Choice
from recorder.core.deviceframe import Event, Observation
from recorder.core.kinds import Kind
from recorder.core.matrix import Issuer, issue
from tests.batches import Bench
from tests.credential_builder import BEGIN_S, DEPOT, ROOT, delegated, issued, rescoped, signer, terms
from tests.gated_builder import SCOPE, GatedBuilder, cell, evaluator
from tests.lineage_builder import MS, LineageBuilder
from tests.vectors import observations
from tests.vectors.broken_devices import bench


def minimal() -> LineageBuilder:
    """A boot, the introduction of a policy and an actuator, one cycle, one commit, a stop."""
    lineage = LineageBuilder().setup(1)
    lineage.commit(lineage.cycle())
    lineage.stop()
    return lineage


def every_kind() -> LineageBuilder:
    """Each kind once or more, and one of which this version knows nothing."""
    lineage = LineageBuilder().setup(1, 2)
    schema = lineage.schema()
    cycle = lineage.cycle((1, 2), nonce=lineage.octets("decision", 16))
    commit = lineage.commit(cycle, (1, 2))
    lineage.rows(cycle, schema)
    refusal = lineage.refuse(cycle)
    lineage.refuse_opening()
    lineage.event((2,))
    digest = sha256(b"the COSE_Sign1 of the actuator").digest()
    device = Bench(lineage)
    device.batch(device.reached(commit, 1))
    lineage.control(Kind.OBSERVATION, digest, body={"battery_v": 23.5}, refs={3: [["acme/arm-8/ff", 4, digest]]})
    signed = observations.made()
    lineage.control(Kind.OBSERVATION, sha256(signed).digest(), body={"observation": signed})
    lineage.control(Kind.CREDENTIAL, digest)
    lineage.control(Kind.CONTROL_TRANSITION, body={"asked": "j.doe", "in_control": "j.doe", "means": None})
    lineage.control(Kind.EVIDENCE, body={"cosignatures": []})
    lineage.control(Kind.REDACTION, [commit], digest)
    lineage.control(Kind.EXTRACTION, [[0, commit]], None, digest)
    lineage.control(Kind.FAULT, "refusals repeated", [refusal, 3, lineage.request(), lineage.request()])
    lineage.control(Kind.ABANDON, [lineage.request()])
    lineage.control(Kind.DELETION, 0, commit, "footage", None)
    lineage.control(Kind.HOLD, 0, None, "add", body={"reason": "incident 12"})
    lineage.control(Kind.MARK, body={"note": "heard a noise"})
    before_ns = lineage.clock.utc_ns
    lineage.clock.utc_ns += 200 * MS
    lineage.control(Kind.CLOCK_STEP, before_ns, lineage.clock.utc_ns, "ntp")
    body, held = lineage.family("body", {"later": True})
    lineage.add(99, {11: body}, {11: held})
    lineage.new_epoch()
    lineage.end(cycle)
    lineage.stop()
    return lineage


def rows_and_singles() -> LineageBuilder:
    """Rows and single commits of one cycle, on two actuators."""
    lineage = LineageBuilder().setup(1, 2)
    schema = lineage.schema()
    cycle = lineage.cycle((1, 2))
    lineage.rows(cycle, schema, 5)
    lineage.commit(cycle, (2,))
    lineage.rows(cycle, schema, 1, actuator=2)
    lineage.commit(cycle, (1, 2, 1))
    lineage.end(cycle)
    lineage.stop()
    return lineage


def restarts() -> LineageBuilder:
    """A clean stop within one OS boot that carries a cycle over, and a start of the machine that does not."""
    lineage = LineageBuilder().setup(1)
    cycle = lineage.cycle()
    lineage.commit(cycle)
    lineage.stop()
    lineage.boot()
    lineage.commit(cycle)
    lineage.new_epoch()
    lineage.commit(cycle)
    lineage.stop()
    lineage.boot(new_os_boot=True)
    lineage.commit(lineage.cycle())
    return lineage


def asked() -> LineageBuilder:
    """Commits that ask for witnesses: as many as they want, fewer, and nobody, since nobody could be asked."""
    lineage = LineageBuilder().setup(1)
    cycle = lineage.cycle()
    kids = [lineage.octets(name, 8) for name in ("w1", "w2", "w3")]
    for count in (3, 1, 0):
        lineage.asking(cycle, Choice(lineage.octets(f"salt {count}", 16), kids[:count]), 3)
    lineage.end(cycle)
    return lineage


def events() -> LineageBuilder:
    """Emergency stops without a cycle, before any policy, and what happened outside a grant."""
    lineage = LineageBuilder()
    lineage.boot()
    lineage.actuator(1)
    lineage.event()
    lineage.policy()
    cycle = lineage.cycle(max_commits=1)
    lineage.commit(cycle)
    lineage.event()
    lineage.commit(cycle, decision=5)
    lineage.end(cycle)
    return lineage


def transport() -> LineageBuilder:
    """Claims in transport, the operator and the position withheld."""
    lineage = LineageBuilder(transport=True, withhold=("operator", "position_m")).setup(1)
    cycle = lineage.cycle()
    lineage.commit(cycle)
    lineage.rows(cycle, lineage.schema())
    return lineage


def deleted() -> LineageBuilder:
    """Claims that are gone, and the deletion entry that accounts for them."""
    lineage = LineageBuilder().setup(1)
    cycle = lineage.cycle()
    first = lineage.commit(cycle)
    last = lineage.commit(cycle)
    lineage.commit(cycle)
    lineage.control(Kind.DELETION, first, last, "standard", None)
    for seq in (first, last):
        lineage.records[seq] = lineage.records[seq]._replace(claims=None)
    return lineage


def declared_loss() -> LineageBuilder:
    """A gap and an unclean stop: usable, completeness lossy."""
    lineage = LineageBuilder().setup(1)
    lineage.control(Kind.GAP, [1], 12, [lineage.clock.mono_ns - 9 * MS, lineage.clock.mono_ns], "ring overflow")
    lineage.boot()
    return lineage


def staged() -> LineageBuilder:
    """An act made ready in stages and executed, and another one aborted."""
    lineage = LineageBuilder().setup(1, 2)
    first = lineage.cycle((1, 2), stage=1)
    lineage.commit(first)
    lineage.end(first, "stage: witnessed")
    second = lineage.cycle((1, 2), stage=2, after=first.carrier)
    lineage.commit(second)
    third = lineage.cycle((1,), stage=3, after=second.carrier)
    lineage.end(second, "stage: executed")
    lineage.commit(third)
    lineage.end(third)
    given_up = lineage.cycle((2,), stage=1)
    lineage.event((2,), reason="a person came near", aborts=given_up.carrier)
    lineage.end(given_up, "stage: aborted")
    return lineage


def decided() -> LineageBuilder:
    """Cycles decided under a signed policy: admitted, refused, deviated, and granted by an external evaluator.

    All under a delegation by an issuer that the root recognises, who is revoked at the end.
    """
    lineage = GatedBuilder().begin()
    granting = rescoped(SCOPE, delegations=3, roles=frozenset({"operator"}))
    lineage.bring(matrix=issue(1, BEGIN_S, [Issuer(signer(DEPOT).public_key, DEPOT, granting)], signer(ROOT.name)))
    ann = issued(DEPOT, terms("ann", DEPOT, scope=SCOPE))
    lineage.hold(ann, delegated(ann, "arm-7", key=lineage.identity.public_key))
    lineage.govern()
    cycle = lineage.gated((1, 2))
    lineage.commit(cycle, (1, 2))
    lineage.rows(cycle, lineage.schema())
    lineage.end(cycle)
    lineage.gated(force_n=50.0)
    deviated = lineage.gated(magnitude=1.2)
    lineage.doing = {"committed": "slow"}
    lineage.commit(deviated, decision=2)
    lineage.doing = {}
    planner = evaluator()
    lineage.bring(credential=planner.signed.raw)
    lineage.commit(lineage.gated(grant_by=planner), decision=3)
    lineage.revoke(ann, by=DEPOT)
    lineage.govern(cell(version=4))
    lineage.stop()
    return lineage


def confirmed() -> LineageBuilder:
    """A device confirms what its credential lets it speak for, in three batches; one commit is given up instead."""
    lineage, device = bench(confirmation="by its own device")
    cycle = lineage.gated(max_commits=3)
    first, second, _ = (lineage.commit(cycle) for _ in range(3))
    given_up = lineage.octets("session", 8) + lineage._counter.to_bytes(8, "big")
    device.batch(Event(3, []), device.reached(first))
    device.batch(Observation([(9, 41.7)]))
    device.batch(device.reached(second, value=-0.25))
    lineage.control(Kind.ABANDON, [given_up])
    lineage.stop()
    return lineage


VALID = (
    minimal,
    every_kind,
    rows_and_singles,
    restarts,
    events,
    asked,
    transport,
    deleted,
    declared_loss,
    staged,
    decided,
    confirmed,
)
