"""Verification of whole lineages: every byte counts, no entry can be moved, what cannot be read is a problem and no crash."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core import cbor, entry
from recorder.core.kinds import Kind
from recorder.core.verify import Verifier, check_jobs, verify_lineage
from tests.core.verifying import small, verified
from tests.lineage_builder import MS, ORIGIN, LineageBuilder, Record


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1 << at % 8,)) + data[at + 1 :]


# --- Every byte


@pytest.mark.parametrize("transport", [False, True])
def test_any_byte_of_any_entry_or_claim(transport: bool) -> None:
    """One bit changed anywhere gives exit 1, and the place is that entry."""
    lineage = small(transport=transport)
    note = lineage.checkpoint()
    assert verified(lineage, lineage.records, [note]).exit_status() == 0
    for seq, (raw, held) in enumerate(lineage.records):
        for at in range(len(raw)):
            records = list(lineage.records)
            records[seq] = Record(flipped(raw, at), held)
            report = verified(lineage, records, [note])
            assert report.exit_status() == 1, (seq, at)
            assert report.integrity == "fail", (seq, at)
        for at in range(len(held or b"")):
            records = list(lineage.records)
            records[seq] = Record(raw, flipped(held or b"", at))
            report = verified(lineage, records, [note])
            assert report.exit_status() == 1, (seq, at)
            assert report.problems[0].seq == seq, (seq, at)
            assert report.problems[0].step == 8, (seq, at)


def test_any_byte_of_the_checkpoint() -> None:
    """One bit changed anywhere in a known checkpoint gives exit 1 in step 7."""
    lineage = small()
    note = lineage.checkpoint()
    for at in range(len(note)):
        report = verified(lineage, lineage.records, [flipped(note, at)])
        assert report.exit_status() == 1, at
        assert report.problems[0].step == 7, at


# --- Entries moved


def test_removal() -> None:
    """An entry taken out is found at the one that follows it."""
    lineage = small()
    for seq in range(lineage.seq - 1):
        records = [record for at, record in enumerate(lineage.records) if at != seq]
        report = verified(lineage, records)
        assert report.exit_status() == 1
        assert (5, seq + 1) in {(found.step, found.seq) for found in report.problems}


def test_insertion() -> None:
    """An entry put in, even one that is validly signed, is found."""
    lineage = small()
    for seq in range(1, lineage.seq + 1):
        records = [*lineage.records[:seq], lineage.records[seq - 1], *lineage.records[seq:]]
        report = verified(lineage, records)
        assert report.exit_status() == 1
        assert 5 in {found.step for found in report.problems}


def test_swap() -> None:
    """Two neighbours exchanged are found at the earlier place."""
    lineage = small()
    for seq in range(lineage.seq - 1):
        records = list(lineage.records)
        records[seq], records[seq + 1] = records[seq + 1], records[seq]
        report = verified(lineage, records)
        assert report.exit_status() == 1
        assert 5 in {found.step for found in report.problems}


def test_truncation_against_a_known_checkpoint() -> None:
    """A tail cut off cannot be seen without a checkpoint, and with one it can."""
    lineage = small()
    note = lineage.checkpoint()
    for size in range(1, lineage.seq):
        assert verified(lineage, lineage.records[:size]).exit_status() == 0
        report = verified(lineage, lineage.records[:size], [note])
        assert (report.exit_status(), report.completeness) == (1, "fail")
        assert (7, size, "truncated") in {found[:3] for found in report.problems}


def test_other_origin() -> None:
    """A lineage presented as another's has no valid signature."""
    lineage = small()
    report = verified(lineage, lineage.records, origin="acme/arm-8/0123456789abcdef")
    assert report.problem_counts == {"signature_invalid": lineage.seq}


def test_rewritten_tail_shows_against_its_checkpoint() -> None:
    """Whoever holds all keys can write another history, but not under the root that is known."""
    lineage = small()
    other = LineageBuilder().setup(1)
    other.control(Kind.MARK, body={"note": "another history"})
    assert verified(other, other.records).exit_status() == 0
    report = verified(other, other.records, [lineage.checkpoint(other.seq)])
    assert report.problem_counts == {"root_mismatch": 1}


# --- Cycles


def test_a_refusal_and_what_lay_outside_the_grant_count_nowhere() -> None:
    """Only admitted commits use up a cycle."""
    lineage = LineageBuilder().setup(1, 2)
    cycle = lineage.cycle((1,), max_commits=1)
    lineage.refuse(cycle, (2,))
    lineage.commit(cycle, (2,), decision=5)
    lineage.commit(cycle)
    lineage.end(cycle)
    assert verified(lineage, lineage.records).exit_status() == 0


def test_a_policy_entry_governs_later_cycles_only() -> None:
    """A cycle opened under the bundle before goes on; a new one needs the bundle in force."""
    lineage = LineageBuilder().setup(1)
    cycle = lineage.cycle()
    before = lineage.bundle
    lineage.policy(b"table of bounds 2")
    lineage.commit(cycle)
    assert verified(lineage, lineage.records).exit_status() == 0
    lineage.bundle = before
    lineage.cycle()
    assert verified(lineage, lineage.records).problem_counts == {"cycle_policy": 1}


def test_carried_count_must_be_that_of_the_log() -> None:
    """A boot that states fewer commits would give the cycle more than it had."""
    lineage = LineageBuilder().setup(1)
    cycle = lineage.cycle()
    lineage.commit(cycle)
    lineage.stop()
    seq = lineage.boot(carried=[(cycle.carrier, 0)])
    assert [found[1:3] for found in verified(lineage, lineage.records).problems] == [(seq, "cycle_carried")]


def test_rows_are_judged_by_their_own_time() -> None:
    """Rows of a valid time may arrive after the cycle's; a commit may not."""
    lineage = LineageBuilder().setup(1)
    cycle = lineage.cycle(valid_ns=20 * MS)
    schema = lineage.schema()
    lineage.breaking(lambda header: header[5].__setitem__(1, header[5][1] + 50 * MS))
    lineage.clock.utc_ns += 50 * MS
    lineage.rows(cycle, schema)
    lineage.clock.mono_ns += 50 * MS
    assert verified(lineage, lineage.records).exit_status() == 0
    lineage.commit(cycle)
    assert verified(lineage, lineage.records).problem_counts == {"cycle_expired": 1}


def test_a_declared_clock_step_is_no_loss() -> None:
    """Before or after the first entry that shows it."""
    lineage = LineageBuilder().setup(1)
    lineage.clock.utc_ns += 300 * MS
    lineage.control(Kind.MARK, body={})
    lineage.control(Kind.CLOCK_STEP, 1, 2, "ntp")
    assert verified(lineage, lineage.records).exit_status() == 0


# --- Claims that are absent


def test_a_deletion_accounts_for_its_class_and_range_only() -> None:
    """Claims of another class, or beyond the range, stay missing."""
    lineage = LineageBuilder().setup(1)
    cycle = lineage.cycle()
    commits = [lineage.commit(cycle) for _ in range(5)]
    lineage.control(Kind.DELETION, commits[1], commits[3], "standard", None)
    lineage.control(Kind.DELETION, commits[0], commits[4], "footage", None)
    records = [Record(raw, None if seq in commits else held) for seq, (raw, held) in enumerate(lineage.records)]
    found = verified(lineage, records).problems
    assert [(item.seq, item.error) for item in found] == [
        (commits[0], "claims_missing"),
        (commits[4], "claims_missing"),
    ]


def test_claims_left_out_of_a_selection_are_declared_loss() -> None:
    """A full range of entries whose claims were not asked for."""
    lineage = small()
    verifier = Verifier(ORIGIN, selection=True)
    for raw, _ in lineage.records:
        job = verifier.feed(raw, None)
        assert job is not None
        verifier.take(check_jobs([job]))
    report = verifier.finish()
    assert (report.exit_status(), report.integrity, report.completeness) == (3, "pass", "lossy")
    assert report.identity == "unpinned"


# --- Hostile bytes


@given(st.lists(st.tuples(st.binary(max_size=80), st.none() | st.binary(max_size=40)), max_size=4))
def test_arbitrary_bytes_become_problems(records: list[tuple[bytes, bytes | None]]) -> None:
    """Nothing raises; every entry that cannot be read fails."""
    report = verify_lineage(ORIGIN, records)
    assert report.exit_status() == (1 if records else 0)
    assert report.entries == len(records)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=33)
    | st.text(max_size=8)
    | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 20) | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(seq=st.integers(0, 8), key=st.integers(0, 20), value=VALUES, held=VALUES, tagged=st.booleans())
def test_arbitrary_values_become_problems(seq: int, key: int, value: object, held: object, tagged: bool) -> None:
    """Any value in any header key, signed by the right key, with any claims: a report and no exception."""
    lineage = small()
    raw, _ = lineage.records[seq]
    rebuilt = LineageBuilder().setup(1)
    header = cbor.decode(raw[17 + (2 if raw[17] == 0x58 else 3) : -66])
    header[key] = value
    identity_signs = header.get(2) in (1, 3)  # not a set: the value may not hash
    signer = rebuilt.identity if identity_signs else rebuilt.epoch
    made = entry.sign(header, entry.external_aad(ORIGIN), signer)
    records = [*rebuilt.records, Record(made, cbor.pack(held) if tagged else flipped(cbor.pack(held), 0))]
    verified(rebuilt, records).to_json()


@pytest.mark.parametrize("count", [2**63, 2**40, 4])
def test_a_count_of_rows_that_nothing_bears_out(count: int) -> None:
    """A header can claim any number of rows; checking it costs no memory."""
    lineage = LineageBuilder(transport=True).setup(1)
    cycle = lineage.cycle(max_commits=2**64 - 1)
    schema = lineage.schema()
    lineage.breaking(lambda header: header[10][0].__setitem__(2, count)).rows(cycle, schema)
    assert verified(lineage, lineage.records).problem_counts == {"rows_malformed": 1}
