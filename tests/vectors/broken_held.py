"""Broken lineages, steps 7, 8 and 10: checkpoints, claims, rows, clocks."""

from __future__ import annotations

from typing import Any

from recorder.core.chosen import Choice
from recorder.core.kinds import Kind
from tests.lineage_builder import MS, LineageBuilder
from tests.vectors import observations
from tests.vectors.breaking import (
    OTHER_ORIGIN,
    Broken,
    broken_claims,
    broken_commit,
    change_claims,
    inside,
    ruled,
    setting,
    vector,
    with_cycle,
)

# --- 7: root and checkpoints


@vector
def root_mismatch() -> Broken:
    lineage, _ = with_cycle()
    return Broken(lineage, 3, [lineage.checkpoint(4, root=bytes(32))])


@vector
def checkpoint_malformed() -> Broken:
    lineage, _ = with_cycle()
    return Broken(lineage, None, [lineage.checkpoint().replace(b"\n5\n", b"\n05\n")])


@vector
def checkpoint_signature() -> Broken:
    lineage, _ = with_cycle()
    return Broken(lineage, lineage.seq - 1, [lineage.checkpoint(signer=lineage.epoch)])


@vector
def checkpoint_fork() -> Broken:
    lineage, _ = with_cycle()
    return Broken(lineage, 2, [lineage.checkpoint(3), lineage.checkpoint(3, root=bytes(32))])


@vector
def origin_mismatch() -> Broken:
    lineage, _ = with_cycle()
    lineage.origin, origin = OTHER_ORIGIN, lineage.origin
    note = lineage.checkpoint()
    lineage.origin = origin
    return Broken(lineage, None, [note])


@vector
def truncated() -> Broken:
    lineage, _ = with_cycle()
    note = lineage.checkpoint()
    lineage.records.pop()
    return Broken(lineage, lineage.seq, [note])


# --- 8: claims


@vector
def claims_malformed() -> Broken:
    return broken_claims(lambda claims: claims.update({10: "text"}))


@vector
def claims_mismatch() -> Broken:
    def change(claims: dict[int, Any]) -> None:
        claims[10][0][0][1]["magnitude"] = 0.25

    return broken_claims(change)


@vector
def claims_missing() -> Broken:
    lineage, cycle = with_cycle()
    seq = lineage.commit(cycle)
    lineage.records[seq] = lineage.records[seq]._replace(claims=None)
    return Broken(lineage, seq)


@vector
def claims_extra() -> Broken:
    return broken_claims(lambda claims: claims.update({11: [bytes(16), {}]}))


@vector
def claim_required() -> Broken:
    lineage = LineageBuilder().setup()
    return Broken(lineage, lineage.event(reason=None))


@vector
def bundle_digest() -> Broken:
    lineage = LineageBuilder()
    lineage.boot()
    return Broken(lineage, lineage.breaking(setting(15, [bytes(32)])).policy())


@vector
def observation_digest() -> Broken:
    lineage = LineageBuilder().setup(1)
    return Broken(lineage, lineage.control(Kind.OBSERVATION, bytes(32), body={"observation": observations.made()}))


@vector
def deletion_early() -> Broken:
    lineage = ruled({"standard": {"keep_s": 60, "max_bytes": None, "rows_may_go": False}})
    return Broken(lineage, lineage.control(Kind.DELETION, 0, 1, "standard", None))


@vector
def deletion_held() -> Broken:
    lineage = ruled({"standard": {"keep_s": 0, "max_bytes": None, "rows_may_go": False}})
    lineage.control(Kind.HOLD, 1, None, "add", body={"reason": "incident 12"})
    return Broken(lineage, lineage.control(Kind.DELETION, 0, 1, "standard", None))


@vector
def rows_malformed() -> Broken:
    lineage, cycle = with_cycle()
    return Broken(lineage, lineage.rows(cycle, lineage.schema(), row_bytes=24))


@vector
def rows_root() -> Broken:
    lineage, cycle = with_cycle()

    def change(claims: dict[int, Any]) -> None:
        packed = claims[10][0][2][1]
        claims[10][0][2][1] = packed[:-1] + bytes((packed[-1] ^ 1,))

    return change_claims(lineage, lineage.rows(cycle, lineage.schema()), change)


@vector
def rows_time() -> Broken:
    lineage, cycle = with_cycle()
    schema = lineage.schema()
    return Broken(lineage, lineage.breaking(inside(10, 0, 6, 0, to=0)).rows(cycle, schema))


@vector
def witness_choice() -> Broken:
    """More witnesses were chosen than the entry wanted."""
    lineage, cycle = with_cycle()
    choice = Choice(lineage.octets("salt", 16), [lineage.octets("w1", 8), lineage.octets("w2", 8)])
    return Broken(lineage, lineage.asking(cycle, choice, 1))


# --- 10: boots, gaps, clocks


@vector
def boot_number() -> Broken:
    return broken_commit(inside(5, 2, to=2))


@vector
def clock_mono() -> Broken:
    return broken_commit(inside(5, 1, to=1))


@vector
def clock_step_undeclared() -> Broken:
    lineage, cycle = with_cycle()
    lineage.clock.utc_ns += 150 * MS
    seq = lineage.commit(cycle)
    lineage.commit(cycle)
    return Broken(lineage, seq)


@vector
def cycle_count() -> Broken:
    lineage, cycle = with_cycle()
    lineage.commit(cycle)
    return Broken(lineage, lineage.breaking(inside(15, 1, to=2)).end(cycle))


@vector
def unclean_stop() -> Broken:
    lineage, _ = with_cycle()
    return Broken(lineage, lineage.boot())


@vector
def gap_declared() -> Broken:
    lineage = LineageBuilder().setup()
    return Broken(lineage, lineage.control(Kind.GAP, [1], None, None, "ring overflow"))
