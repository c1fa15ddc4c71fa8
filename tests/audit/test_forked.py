"""Proofs of forks in verification: whom they convict, what they say of others, and what proves nothing."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from recorder.audit.check import check_source
from recorder.audit.evidence import FORKS_KEPT_MAX
from recorder.audit.forked import BroughtFork
from recorder.audit.opening import open_source
from recorder.core.checkpoint import Checkpoint, sign_checkpoint
from recorder.core.cosignature import cosign, cosigner_key
from recorder.core.forks import CLAIM, ForkProof, fork_of
from recorder.core.keys import SeedSigner
from recorder.core.kinds import Kind
from recorder.core.note import ED25519, Note, VerifierKey
from recorder.core.trust import Trust, parse_trust
from recorder.core.verdict import Report
from tests.audit.lineages import small, to_bundle, write_state
from tests.lineage_builder import LineageBuilder

OTHER = "acme/arm-8/00112233445566ff"
TIME_S = 1_760_000_000


def trusting(lineage: LineageBuilder, *, others: bool = True) -> Trust:
    lines = [f"log {VerifierKey.derive('acme/arm-7', ED25519, lineage.identity.public_key)}"]
    if others:
        lines.append(f"log {VerifierKey.derive('acme/arm-8', ED25519, lineage.signer('other').public_key)}")
    lines += [f"witness w1 {cosigner_key('w1', lineage.signer('w1').public_key)}", "quorum none", ""]
    return parse_trust("\n".join(lines).encode())


def head(lineage: LineageBuilder, origin: str, size: int, root: bytes, by: SeedSigner, *, seen: bool = False) -> bytes:
    checkpoint = Checkpoint(origin, size, root)
    note = sign_checkpoint(checkpoint, by)
    lines = (cosign(checkpoint, "w1", lineage.signer("w1"), TIME_S),) if seen else ()
    return Note(note.text, (*note.signatures, *lines)).encode()


def forked(one: bytes, other: bytes) -> ForkProof:
    proof = fork_of(one, other)
    assert proof is not None
    return proof


def own(lineage: LineageBuilder, size: int = 10) -> bytes:
    """The log's head at a size and another one that it signed too, which w1 saw."""
    false = head(lineage, lineage.origin, size, b"\xff" * 32, lineage.identity, seen=True)
    return forked(lineage.checkpoint(size), false).encode()


def others(lineage: LineageBuilder, origin: str = OTHER, by: str = "other") -> bytes:
    key = lineage.signer(by)
    return forked(*(head(lineage, origin, 7, bytes([at]) * 32, key, seen=at == 1) for at in (1, 2))).encode()


def checked(path: Path, trust: Trust | None, *texts: bytes) -> Report:
    with closing(open_source(path)) as source:
        brought = [BroughtFork(f"file-{at}", text) for at, text in enumerate(texts)]
        return check_source(source, trust=trust, forks=brought, workers=1)


def test_a_proof_about_this_log_convicts_it(tmp_path: Path) -> None:
    """Integrity fails, and it is said what was signed twice, who had seen which, and which of both is not here."""
    lineage = small()
    state = write_state(tmp_path / "s", lineage)
    to_bundle(state, tmp_path / "b.lineage")
    to_bundle(state, tmp_path / "part.lineage", "5", "9")
    for path in (state, tmp_path / "b.lineage", tmp_path / "part.lineage"):
        report = checked(path, trusting(lineage), own(lineage))
        assert (report.integrity, report.exit_status()) == ("fail", 1)
        assert report.problem_counts["checkpoint_fork"] >= 1
        assert ("root_mismatch" in report.problem_counts) == ("part" not in path.name)
        (fork,) = report.forks
        assert (fork.bearing, fork.origin) == ("this_log", lineage.origin)
        assert [(one.size, bool(one.witnessed)) for one in fork.heads] == [(10, False), (10, True)]
        assert fork.heads[1].witnessed[0] == ("w1", TIME_S)
        assert "witnessed by w1 on 2025-10-09 08:53:20Z" in fork.words
    assert checked(state, None, own(lineage)).integrity == "fail", "an unpinned key convicts itself too"


def test_a_proof_about_another_log_says_nothing_against_this_one(tmp_path: Path) -> None:
    """It is checked under the trust file and told; without a key for it that is told instead."""
    lineage = small()
    state = write_state(tmp_path / "s", lineage)
    report = checked(state, trusting(lineage), others(lineage))
    assert ([one.bearing for one in report.forks], report.exit_status()) == (["another_log"], 0)
    assert f"FORK of {OTHER}" in report.forks[0].words
    for trust in (trusting(lineage, others=False), None):
        report = checked(state, trust, others(lineage))
        assert ([one.bearing for one in report.forks], report.exit_status()) == (["unknown_log"], 0)
        assert report.forks[0].heads == []
    incarnation = "acme/arm-7/00112233445566ff"
    same_key = forked(*(head(lineage, incarnation, 7, bytes([at]) * 32, lineage.identity) for at in (1, 2)))
    report = checked(state, None, same_key.encode())
    assert ([one.bearing for one in report.forks], report.exit_status()) == (["another_incarnation"], 0)


def test_what_proves_nothing_is_named_as_that(tmp_path: Path) -> None:
    """Whoever forges a proof, or shows two heads that agree, cannot make a lineage fail."""
    lineage = small()
    state = write_state(tmp_path / "s", lineage)
    thief = forked(*(head(lineage, lineage.origin, 7, bytes([at]) * 32, lineage.signer("thief")) for at in (1, 2)))
    agreeing = ForkProof(lineage.checkpoint(5), lineage.checkpoint(6), bytes(32), (bytes(32),))
    report = checked(state, trusting(lineage), thief.encode(), agreeing.encode(), b"no proof")
    assert [one.bearing for one in report.forks] == ["proves_nothing"] * 3
    named = [one.words.partition(":")[0] for one in report.forks]
    assert named == ["note_signature", "fork_unproved", "fork_malformed"]
    assert (report.integrity, report.exit_status()) == ("pass", 0)


@pytest.mark.parametrize("whole", [True, False])
def test_proofs_that_a_lineage_holds_as_evidence(tmp_path: Path, *, whole: bool) -> None:
    """Of another log: a statement about that one, in a state, a bundle and a selection; of its own: it convicts itself."""
    lineage = small()
    first = lineage.seq
    lineage.control(Kind.EVIDENCE, body={CLAIM: others(lineage)})
    lineage.control(Kind.EVIDENCE, body={CLAIM: b"no proof"})
    state = write_state(tmp_path / "s", lineage)
    made = to_bundle(state, tmp_path / "b.lineage", *(() if whole else (str(first), str(first + 1))))
    assert made.whole == whole
    for path in (state, tmp_path / "b.lineage"):
        report = checked(path, trusting(lineage))
        assert [(one.place, one.bearing) for one in report.forks] == [(f"entry {first}", "another_log")]
        assert (report.integrity, report.notes["evidence_unusable"]) == ("pass", 1)
        assert checked(path, None).forks == []
    lineage.control(Kind.EVIDENCE, body={CLAIM: own(lineage)})
    report = checked(write_state(tmp_path / "convicted", lineage), trusting(lineage))
    assert [one.bearing for one in report.forks] == ["another_log", "this_log"]
    assert report.integrity == "fail"


def test_evidence_of_forks_is_bounded(tmp_path: Path) -> None:
    """What is not checked is counted."""
    lineage = small(1)
    for _ in range(FORKS_KEPT_MAX + 3):
        lineage.control(Kind.EVIDENCE, body={CLAIM: others(lineage)})
    report = checked(write_state(tmp_path / "s", lineage), trusting(lineage))
    assert (len(report.forks), report.notes["evidence_forks_left"]) == (FORKS_KEPT_MAX, 3)
