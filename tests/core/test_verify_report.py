"""Selections under one checkpoint, and the report of a verification."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from types import FrameType

import pytest

from recorder.core.errors import Misuse
from recorder.core.findings import PROBLEMS_MAX, ProblemLog, problem
from recorder.core.kinds import Kind
from recorder.core.merkle import prove_inclusion, root_of
from recorder.core.verify import SelectionVerifier, Verifier, check_job, check_jobs, verify_lineage
from tests.core.verifying import small, verified
from tests.lineage_builder import ORIGIN, LineageBuilder

# --- Selections


def proof_of(lineage: LineageBuilder, seq: int) -> list[bytes]:
    class Reader:
        def node(self, level: int, index: int) -> bytes:
            return root_of([lineage.hash_of(at) for at in range(index << level, (index + 1) << level)])

    return prove_inclusion(Reader(), seq, lineage.seq)


def test_selection() -> None:
    """Entries under one checkpoint, with their introductions; what lies between is said to be unchecked."""
    lineage = small()
    chosen = [0, 3, 4, 5, 6, 7, 8]
    selection = SelectionVerifier(ORIGIN, lineage.checkpoint(), trusted_identity=lineage.identity.public_key)
    for seq in chosen:
        job = selection.feed(*lineage.records[seq], proof_of(lineage, seq))
        assert job is not None
        selection.take(check_jobs([job]))
    report = selection.finish()
    assert (report.exit_status(), report.integrity, report.completeness) == (3, "pass", "lossy")
    assert report.problem_counts == {"selection_partial": 1}
    assert {line.step: line.outcome for line in report.steps}[6] == "nothing"


@pytest.mark.parametrize(
    ("error", "seqs", "shift", "origin", "garbled"),
    [
        ("inclusion_proof", [0, 4], 1, ORIGIN, False),
        ("kid_unknown", [4], 0, ORIGIN, False),
        ("key_window", [0, 7, 4, 10], 0, ORIGIN, False),
        ("origin_mismatch", [0], 0, "acme/arm-8/00", False),
        ("checkpoint_malformed", [0], 0, ORIGIN, True),
    ],
)
def test_selection_failures(error: str, seqs: list[int], shift: int, origin: str, garbled: bool) -> None:
    """A wrong proof, an entry without its introduction, another log's checkpoint."""
    lineage = small()
    if error == "key_window":
        lineage.epoch = lineage.signer("epoch 1")
        lineage.records.pop()
        lineage._hashes.pop()
        lineage.control(Kind.MARK, body={})
    note = b"garbled" if garbled else lineage.checkpoint()
    selection = SelectionVerifier(origin, note)
    for seq in seqs:
        job = selection.feed(*lineage.records[seq], proof_of(lineage, (seq + shift) % lineage.seq))
        assert job is not None
        selection.take(check_jobs([job]))
    report = selection.finish()
    assert error in report.problem_counts
    assert report.exit_status() == 1


# --- The report and the API


def test_nothing_is_never_a_pass() -> None:
    """An empty lineage has no verdict, and steps without a subject say so."""
    report = verify_lineage(ORIGIN, [])
    assert {report.integrity, report.completeness, report.authority, report.witnessing} == {"nothing"}
    assert {line.outcome for line in report.steps} == {"nothing"}
    assert report.exit_status() == 0


def test_json_has_the_keys_of_the_command() -> None:
    """`verify --json` prints these, and extra ones."""
    lineage = small()
    given = verified(lineage, lineage.records).to_json()
    assert given.keys() >= {
        "integrity", "completeness", "authority", "witnessing", "entries", "commits", "head", "problems",
    }  # fmt: skip
    assert given["commits"] == 4
    assert given["head"] == f"{lineage.seq - 1}-{lineage.hash_of(lineage.seq - 1).hex()[:8]}"
    assert given["identity"] == "pinned"
    assert given["unwitnessed"]["entries"] == lineage.seq


def test_the_unwitnessed_tail_starts_where_witnesses_end() -> None:
    """In entries and in seconds of UTC."""
    lineage = small()
    verifier = Verifier(ORIGIN, witnessed_size=4)
    for record in lineage.records:
        job = verifier.feed(*record)
        assert job is not None
        verifier.take(check_jobs([job]))
    tail = verifier.finish().unwitnessed
    assert tail.entries == lineage.seq - 4
    assert tail.seconds == pytest.approx((lineage.seq - 4) / 1000)


def test_jobs_must_come_back() -> None:
    """A report whose signatures nobody checked is refused."""
    lineage = small()
    verifier = Verifier(ORIGIN)
    jobs = [verifier.feed(*record) for record in lineage.records]
    with pytest.raises(Misuse):
        verifier.finish()
    kept = [pickle.loads(pickle.dumps(job)) for job in jobs if job is not None]
    assert [check_job(job) for job in kept] == [[]] * len(kept)
    verifier.take(check_jobs(reversed(kept)))
    assert verifier.finish().exit_status() == 0


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\n"])
def test_origin_must_be_a_key_name(origin: str) -> None:
    """Our own misuse is told apart from a bad lineage."""
    with pytest.raises(Misuse):
        Verifier(origin)
    with pytest.raises(Misuse):
        SelectionVerifier(origin, b"")


def test_trusted_identity_is_a_key() -> None:
    """A trusted key of another length is misuse."""
    with pytest.raises(Misuse):
        Verifier(ORIGIN, trusted_identity=b"short")


def test_problems_are_kept_in_order_and_bounded() -> None:
    """Whatever order jobs come back in, the first places are shown and all are counted."""
    log = ProblemLog()
    for seq in reversed(range(1000)):
        log.add(problem("signature_invalid", seq, ""))
    log.add(problem("checkpoint_malformed", None, ""))
    assert [item.seq for item in log.kept] == list(range(PROBLEMS_MAX))
    assert log.counts == {"signature_invalid": 1000, "checkpoint_malformed": 1}


def test_what_is_under_no_policy_costs_no_more_than_a_look() -> None:
    """Of an act that has no stage and no policy, neither stages nor authority ask anything further."""
    lineage = LineageBuilder().setup(1)
    cycle = lineage.cycle()
    lineage.commit(cycle)
    last = lineage.commit(cycle)
    verifier = Verifier(ORIGIN)
    for record in lineage.records[:last]:
        verifier.feed(*record)
    called: list[tuple[str, str]] = []

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            called.append((Path(frame.f_code.co_filename).stem, frame.f_code.co_name))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        verifier.feed(*lineage.records[last])
    finally:
        sys.setprofile(before)
    asked = {"stages", "authority", "holdings", "held", "moments"}
    assert [one for one in called if one[0] in asked] == [("stages", "check"), ("authority", "check")]
