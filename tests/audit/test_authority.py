"""Authority of what is stored and carried: by a trust file, in workers, and in selections, which bring what it rests on."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from recorder.audit.check import check_source
from recorder.audit.opening import open_source
from recorder.audit.pool import JobPool
from recorder.core.entry import decode
from recorder.core.ids import entry_id
from recorder.core.kinds import Decision, Kind
from recorder.core.trust import Trust, parse_trust
from recorder.core.verdict import Report
from tests.audit.lineages import to_bundle, write_state
from tests.credential_builder import ROOT, from_root
from tests.gated_builder import GatedBuilder, evaluator
from tests.vectors.broken_authority import observed_by
from tests.vectors.valid import decided

TRUST = parse_trust(f"root {ROOT}\nquorum none\n".encode())


def checked(bundle: Path | None, state: Path | None, trust: Trust | None = TRUST, workers: int | None = 1) -> Report:
    source = open_source(bundle, state)
    try:
        return check_source(source, trust=trust, workers=workers)
    finally:
        source.close()


def test_a_state_by_a_trust_file_and_without(tmp_path: Path) -> None:
    """The same lineage as the vector's."""
    state = write_state(tmp_path / "state", decided())
    judged = checked(None, state)
    assert (judged.problems, judged.authority, judged.roots) == ([], "pass", [str(ROOT)])
    assert [line.checked for line in judged.steps if line.step in (9, 11)] == [5, 3]
    alone = checked(None, state, None)
    assert (alone.problems, alone.authority, alone.notes["authority_unjudged"]) == ([], "nothing", 3)


def test_workers_have_an_engine_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decisions are made again wherever jobs run."""
    monkeypatch.setattr(JobPool.__init__, "__defaults__", (None, 0))  # none is checked in this process
    judged = checked(None, write_state(tmp_path / "state", decided()), workers=2)
    assert (judged.problems, judged.authority) == ([], "pass")
    assert judged.notes["decisions_unreplayed"] == 0


def a_selection(tmp_path: Path, lineage: GatedBuilder, first: int, last: int) -> Report:
    state = write_state(tmp_path / "state", lineage)
    bundle = tmp_path / "part.lineage"
    to_bundle(state, bundle, str(first), str(last))
    return checked(bundle, None)


def test_a_selection_brings_what_its_decisions_rest_on(tmp_path: Path) -> None:
    """Chain, matrix, policy and actuators of one commit far from all of them; and nobody else's credential."""
    lineage = decided()
    assert isinstance(lineage, GatedBuilder)
    lineage.bring(credential=evaluator("another").signed.raw)
    commit = next(seq for seq in range(lineage.seq) if _is_granted(lineage, seq))
    report = a_selection(tmp_path, lineage, commit, commit)
    assert [one.error for one in report.problems] == ["selection_partial"]
    assert report.notes["authority_unjudged"] == report.notes["acts_unjudged"] == 0
    assert report.authority == "pass"
    # boot, three actuators at most, matrix, two credentials, policy, evaluator, cycle, commit
    assert report.entries <= 11


def _is_granted(lineage: GatedBuilder, seq: int) -> bool:
    header = decode(lineage.records[seq].raw).header
    return (header.kind, header.decision) == (Kind.ACTUATION, Decision.EXTERNAL)


def test_a_selection_brings_revocations(tmp_path: Path) -> None:
    """One between the cycle and the commit that was asked for."""
    lineage = GatedBuilder()
    held = lineage.platform()
    lineage.ready(held)
    cycle = lineage.gated()
    lineage.revoke(held)
    commit = lineage.commit(cycle)
    report = a_selection(tmp_path, lineage, commit, commit)
    assert (commit, "credential_revoked") in [(one.seq, one.error) for one in report.problems]


def test_what_is_not_in_a_selection_is_no_error(tmp_path: Path) -> None:
    """A delegation whose credential was never brought: elsewhere, for all that a selection knows."""
    lineage = GatedBuilder().begin()
    lineage.acting(delegation=bytes(32))
    lineage.govern()
    cycle = lineage.gated()
    report = a_selection(tmp_path, lineage, cycle.carrier, cycle.carrier)
    assert [one.error for one in report.problems] == ["selection_partial"]
    assert (report.authority, report.notes["authority_unjudged"]) == ("indeterminate", 1)  # the policy was judged


def test_a_selection_brings_observers_of_entries(tmp_path: Path) -> None:
    """And the credential of who signed what such an entry has."""
    lineage = GatedBuilder().ready()
    observer = from_root("lidar", role="inspector")
    lineage.bring(credential=observer.signed.raw)
    seen = lineage.seen(observed_by(observer))
    vouched = {"credential": observer.hash}
    cycle = lineage.gated(seen=seen, signed=True, lying=lambda why: why["inputs"][0].update(vouched))
    report = a_selection(tmp_path, lineage, cycle.carrier, cycle.carrier)
    assert [one.error for one in report.problems] == ["selection_partial"]
    assert report.authority == "pass"


def test_a_selection_brings_entries_of_inputs(tmp_path: Path) -> None:
    """An input that names an entry of this log."""
    lineage = GatedBuilder().ready()
    seen = lineage.control(Kind.OBSERVATION, body={"force_n": 1.0})
    printed = str(entry_id(lineage.hash_of(seen), seen))
    lineage.control(Kind.MARK, body={})
    cycle = lineage.gated(lying=lambda why: why["inputs"][0].update(entry=printed))
    state = write_state(tmp_path / "state", lineage)
    to_bundle(state, tmp_path / "part.lineage", str(cycle.carrier), str(cycle.carrier))
    with closing(open_source(tmp_path / "part.lineage", None)) as source:
        seqs = [held.seq for held in source.read(0)]
    assert seen in seqs
    assert seen + 1 not in seqs
