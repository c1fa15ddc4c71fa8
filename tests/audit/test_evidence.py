"""Cosignatures that a lineage holds as evidence of itself, and how verification counts them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from recorder.audit.check import check_source
from recorder.audit.opening import open_source
from recorder.core.checkpoint import Checkpoint, sign_checkpoint
from recorder.core.cosignature import CLAIM, cosigner_key
from recorder.core.kinds import Kind
from recorder.core.trust import Trust
from recorder.core.verdict import Report
from tests.audit.lineages import small, to_bundle, write_state
from tests.audit.trust import cosigned, trusting
from tests.lineage_builder import LineageBuilder


def checked(path: Path, trust: Trust) -> Report:
    with closing(open_source(path)) as source:
        return check_source(source, trust=trust)


def evident(lineage: LineageBuilder, note: bytes) -> None:
    """Append an evidence entry that holds this note."""
    lineage.control(Kind.EVIDENCE, body={CLAIM: note})


def test_cosignatures_that_the_lineage_holds_itself_count(tmp_path: Path) -> None:
    """Evidence entries are held against the trust file's quorum, in a state and in a bundle; what is none says nothing."""
    lineage = small()
    keys = [cosigner_key(name, lineage.signer(name).public_key) for name in ("w1", "w2", "w3")]
    names = [f"witness w{at} {key}" for at, key in enumerate(keys, 1)]
    trust = trusting(lineage, *names, "group two 2 w1 w2 w3", "quorum two")
    note = lineage.checkpoint()
    size = lineage.seq
    evident(lineage, cosigned(lineage, note, "w1"))
    assert checked(write_state(tmp_path / "one", lineage), trust).witnessing == "nothing", "one is no quorum"
    evident(lineage, cosigned(lineage, note, "w3"))
    state = write_state(tmp_path / "two", lineage)
    to_bundle(state, tmp_path / "b.lineage")
    for path in (state, tmp_path / "b.lineage"):
        report = checked(path, trust)
        assert (report.witnessing, report.integrity) == ("pass", "pass")
        found = {name: report.notes[name] for name in ("witnesses", "witnesses_trusted", "witnessed_entries")}
        assert found == {"witnesses": 2, "witnesses_trusted": 3, "witnessed_entries": size}
    assert checked(state, trusting(lineage)).witnessing == "nothing", "who trusts no witness is told nothing"
    other = sign_checkpoint(Checkpoint("acme/arm-8/0123456789abcdef", 3, bytes(32)), lineage.signer("other")).encode()
    for unusable in (b"no note", other, note, cosigned(lineage, note, "stranger")):
        evident(lineage, unusable)
    report = checked(write_state(tmp_path / "more", lineage), trust)
    assert (report.witnessing, report.exit_status(), report.notes["evidence_unusable"]) == ("pass", 0, 4)


def test_a_cosigned_head_of_another_history_is_found(tmp_path: Path) -> None:
    """The log's own key signed it and a witness saw it: evidence that convicts the lineage that holds it."""
    lineage = small()
    keys = [cosigner_key(name, lineage.signer(name).public_key) for name in ("w1", "w2")]
    trust = trusting(lineage, f"witness w1 {keys[0]}", f"witness w2 {keys[1]}", "group both all w1 w2", "quorum both")
    true, false = lineage.checkpoint(), Checkpoint(lineage.origin, lineage.seq, bytes(32))
    evident(lineage, cosigned(lineage, sign_checkpoint(false, lineage.identity).encode(), "w1"))
    evident(lineage, cosigned(lineage, true, "w2"))
    report = checked(write_state(tmp_path / "s", lineage), trust)
    assert report.witnessing != "pass"
    assert report.notes["witnessed_entries"] == 0, "each root has one witness, and neither a quorum"
    assert report.exit_status() == 1
