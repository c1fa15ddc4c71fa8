"""Broken lineages, steps 1 to 5: bytes, keys, signatures, place in the chain."""

from __future__ import annotations

from recorder.core import entry
from recorder.core.kinds import Kind
from tests.lineage_builder import LineageBuilder
from tests.vectors.breaking import OTHER_ORIGIN, Broken, broken_commit, inside, setting, vector, with_cycle

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
