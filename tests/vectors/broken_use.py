"""Broken lineages, step 6: axes, references, cycles."""

from __future__ import annotations

from typing import Any

from recorder.core.kinds import Kind
from tests.lineage_builder import MS, WHERE, WHY, LineageBuilder
from tests.vectors.breaking import Broken, broken_commit, inside, setting, vector, with_cycle

# --- 6: axes and cycles


@vector
def actuator_axis() -> Broken:
    return broken_commit(setting(6, {1: None}))


@vector
def policy_axis() -> Broken:
    return broken_commit(inside(7, 1, to=None))


@vector
def ref_order() -> Broken:
    lineage = LineageBuilder().setup()
    return Broken(lineage, lineage.control(Kind.MARK, body={}, refs={3: [[None, lineage.seq, bytes(32)]]}))


@vector
def ref_hash() -> Broken:
    lineage = LineageBuilder().setup()
    return Broken(lineage, lineage.control(Kind.MARK, body={}, refs={3: [[None, 1, bytes(32)]]}))


@vector
def request_order() -> Broken:
    lineage, cycle = with_cycle()
    lineage.commit(cycle)
    lineage._counter -= 1
    return Broken(lineage, lineage.commit(cycle))


@vector
def nonce_reused() -> Broken:
    lineage, _ = with_cycle(nonce=bytes(16))
    return Broken(lineage, lineage.cycle(nonce=bytes(16)).carrier)


@vector
def carrier_mismatch() -> Broken:
    return broken_commit(inside(8, 1, to=1))


@vector
def actuator_undeclared() -> Broken:
    lineage = LineageBuilder().setup()
    return Broken(lineage, lineage.event((7,)))


@vector
def schema_undeclared() -> Broken:
    lineage, cycle = with_cycle()
    return Broken(lineage, lineage.rows(cycle, lineage.octets("no schema", 32)))


@vector
def cycle_unknown() -> Broken:
    return broken_commit(inside(9, 1, to=2))


@vector
def cycle_digest() -> Broken:
    return broken_commit(inside(9, 0, to=bytes(32)))


@vector
def cycle_bundle() -> Broken:
    return broken_commit(setting(7, [bytes(32), None]))


@vector
def cycle_policy() -> Broken:
    lineage = LineageBuilder()
    lineage.boot()
    lineage.bundle = lineage.octets("a bundle that no policy entry introduced", 32)
    return Broken(lineage, lineage.cycle().carrier)


@vector
def cycle_os_boot() -> Broken:
    lineage, cycle = with_cycle()
    lineage.stop()
    lineage.boot(new_os_boot=True)
    return Broken(lineage, lineage.commit(cycle))


@vector
def cycle_carried() -> Broken:
    """A cycle goes on after a restart that did not carry it over."""
    lineage, cycle = with_cycle()
    lineage.stop()
    lineage.boot(carried=())
    return Broken(lineage, lineage.commit(cycle))


@vector
def cycle_expired() -> Broken:
    lineage, cycle = with_cycle(valid_ns=10 * MS)
    lineage.commit(cycle)
    lineage.clock.pass_ns(10 * MS)
    return Broken(lineage, lineage.commit(cycle))


@vector
def cycle_commits() -> Broken:
    lineage, cycle = with_cycle(max_commits=4)
    lineage.commit(cycle, (1, 1))
    return Broken(lineage, lineage.rows(cycle, lineage.schema(), 3))


@vector
def cycle_actuator() -> Broken:
    lineage, cycle = with_cycle(actuators=(1,))
    return Broken(lineage, lineage.commit(cycle, (1, 2)))


@vector
def cycle_class() -> Broken:
    return broken_commit(setting(13, ["braking", "standard"]))


@vector
def cycle_ended() -> Broken:
    lineage, cycle = with_cycle()
    lineage.end(cycle)
    return Broken(lineage, lineage.commit(cycle))


@vector
def stage_order() -> Broken:
    """Executed without having been witnessed."""
    lineage, cycle = with_cycle(stage=1)
    lineage.end(cycle, "stage: executed")
    return Broken(lineage, lineage.cycle(stage=3, after=cycle.carrier).carrier)


@vector
def stage_changed() -> Broken:
    """Decided about half the way, and witnessed about all of it."""

    def why(magnitude: float) -> dict[str, Any]:
        return {**WHY, "contemplated": {"what": {"mode": "position", "magnitude": magnitude}, "where": WHERE}}

    lineage, cycle = with_cycle(stage=1, why=why(0.5))
    lineage.end(cycle, "stage: witnessed")
    return Broken(lineage, lineage.cycle(stage=2, after=cycle.carrier, why=why(1.0)).carrier)
