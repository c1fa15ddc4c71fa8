"""The broken lineages among the vectors: one for each named error that a lineage can show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from recorder.core import cbor, entry
from recorder.core.kinds import Kind
from recorder.core.verdict import FINDINGS
from tests.lineage_builder import MS, Change, LineageBuilder, OpenCycle

OTHER_ORIGIN = "acme/arm-8/0123456789abcdef"


@dataclass
class Broken:
    """A lineage, what a verifier is told beside it, and where the error stands."""

    lineage: LineageBuilder
    seq: int | None
    checkpoints: list[bytes] = field(default_factory=list)
    trusted: bytes | None = None


BROKEN: dict[str, Callable[[], Broken]] = {}


def vector(make: Callable[[], Broken]) -> Callable[[], Broken]:
    """Enter a function as the vector of the error that is its name."""
    assert make.__name__ in FINDINGS
    BROKEN[make.__name__] = make
    return make


def setting(key: int, value: Any) -> Change:
    """Change one header key."""

    def change(header: dict[int, Any]) -> None:
        header[key] = value

    return change


def inside(key: int, *path: int, to: Any) -> Change:
    """Change something inside a header key; the rest of it stays."""

    def change(header: dict[int, Any]) -> None:
        copy = cbor.decode(cbor.encode(header[key]))
        at = copy
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = to
        header[key] = copy

    return change


def with_cycle(**bounds: Any) -> tuple[LineageBuilder, OpenCycle]:
    lineage = LineageBuilder().setup(1, 2)
    return lineage, lineage.cycle(**bounds)


def broken_commit(change: Change, **bounds: Any) -> Broken:
    """One good commit, and one that was changed before it was signed."""
    lineage, cycle = with_cycle(**bounds)
    lineage.commit(cycle)
    return Broken(lineage, lineage.breaking(change).commit(cycle))


def broken_claims(change: Callable[[dict[int, Any]], None]) -> Broken:
    """Claims of a commit changed after it was signed."""
    lineage, cycle = with_cycle()
    return change_claims(lineage, lineage.commit(cycle), change)


def change_claims(lineage: LineageBuilder, seq: int, change: Callable[[dict[int, Any]], None]) -> Broken:
    held = lineage.records[seq].claims
    assert held is not None
    claims = cbor.decode(held)
    change(claims)
    lineage.records[seq] = lineage.records[seq]._replace(claims=cbor.encode(claims))
    return Broken(lineage, seq)


# --- 1 and 2: bytes, keys, shapes


@vector
def entry_too_large() -> Broken:
    lineage = LineageBuilder().setup()
    lineage.append(bytes(65_536))
    return Broken(lineage, lineage.seq - 1)


@vector
def entry_malformed() -> Broken:
    lineage = LineageBuilder().setup()
    lineage.stop()
    raw = lineage.records[-1].raw
    lineage.records[-1] = lineage.records[-1]._replace(raw=b"\xd3" + raw[1:])  # another tag
    return Broken(lineage, lineage.seq - 1)


@vector
def cbor_malformed() -> Broken:
    """A seq in two bytes where one holds it, correctly signed."""
    lineage = LineageBuilder().setup()
    seq = lineage.stop()
    signer_kid, payload, _ = entry.split(lineage.records.pop().raw)
    longer = payload.replace(bytes((3, seq)), bytes((3, 0x18, seq)), 1)
    protected = entry.protected_of(signer_kid)
    signed = entry.to_be_signed(protected, entry.external_aad(lineage.origin), longer)
    signature = lineage.epoch.sign(signed)
    wrapped = b"\xd2\x84\x4d" + protected + b"\xa0\x58" + bytes((len(longer),)) + longer + b"\x58\x40" + signature
    lineage.append(wrapped)
    return Broken(lineage, seq)


@vector
def header_keys() -> Broken:
    lineage = LineageBuilder().setup()
    return Broken(lineage, lineage.breaking(setting(14, 0)).stop())


@vector
def header_value() -> Broken:
    return broken_commit(setting(16, 6))


@vector
def schema_malformed() -> Broken:
    lineage = LineageBuilder().setup()
    return Broken(lineage, lineage.control(Kind.SCHEMA, [["x", "<f16", 1, "m"]]))


# --- 3 and 4: keys and signatures


@vector
def boot_missing() -> Broken:
    lineage = LineageBuilder()
    lineage.boots = 1
    lineage.new_epoch()
    return Broken(lineage, 0)


@vector
def identity_changed() -> Broken:
    lineage = LineageBuilder().setup()
    lineage.stop()
    return Broken(lineage, lineage.breaking(inside(15, 0, to=lineage.octets("other", 32))).boot())


@vector
def identity_untrusted() -> Broken:
    lineage = LineageBuilder().setup()
    return Broken(lineage, 0, trusted=lineage.signer("another").public_key)


@vector
def kid_unknown() -> Broken:
    lineage = LineageBuilder().setup()
    lineage.epoch = lineage.signer("nobody's")
    return Broken(lineage, lineage.stop())


@vector
def key_window() -> Broken:
    lineage = LineageBuilder().setup()
    before = lineage.epoch
    lineage.new_epoch()
    lineage.epoch = before
    return Broken(lineage, lineage.stop())


@vector
def after_stop() -> Broken:
    lineage = LineageBuilder().setup()
    lineage.stop()
    return Broken(lineage, lineage.control(Kind.MARK, body={}))


@vector
def epoch_key_reused() -> Broken:
    lineage = LineageBuilder().setup()
    first = lineage.epoch
    lineage.new_epoch()
    return Broken(lineage, lineage.breaking(inside(15, 0, to=first.public_key)).new_epoch())


@vector
def signature_invalid() -> Broken:
    """An entry signed for another origin: the same key, the same content."""
    lineage = LineageBuilder().setup()
    lineage.origin, origin = OTHER_ORIGIN, lineage.origin
    seq = lineage.stop()
    lineage.origin = origin
    return Broken(lineage, seq)


# --- 5: seq and prev


@vector
def seq_mismatch() -> Broken:
    """One entry removed."""
    lineage, cycle = with_cycle()
    seq = lineage.commit(cycle)
    lineage.control(Kind.MARK, body={})
    del lineage.records[seq]
    return Broken(lineage, seq + 1)


@vector
def prev_mismatch() -> Broken:
    return broken_commit(setting(4, bytes(32)))


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
