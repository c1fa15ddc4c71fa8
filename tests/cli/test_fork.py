"""`lineage verify --fork`: how a proof that a log has two histories looks to a person, and the exit statuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.core.splits import split_of
from tests.audit.lineages import to_bundle, write_state
from tests.audit.test_forked import OTHER, others, own, trusting
from tests.cli.states import lineage, one_line, parsed
from tests.cli.test_incarnations import SOUND, state_of
from tests.mesh.test_splits import boot

TRUST = trusting(SOUND)


def trust_file(directory: Path) -> Path:
    path = directory / "trust"
    lines = [f"log {key}" for key in TRUST.logs] + [f"witness {name} {key}" for name, key in TRUST.witnesses.items()]
    path.write_text("\n".join([*lines, "quorum none", ""]))
    return path


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    to_bundle(write_state(tmp_path / "whole", SOUND), tmp_path / "b.lineage")
    return tmp_path / "b.lineage"


def test_a_log_that_is_convicted(tmp_path: Path, bundle: Path) -> None:
    """Status 1, and a text that names both heads, and who saw which when."""
    (tmp_path / "fork").write_bytes(own(SOUND, 10))
    asked = ("verify", bundle, "--trust", trust_file(tmp_path), "--fork", tmp_path / "fork")
    said = lineage(*asked)
    assert said.returncode == 1
    assert "integrity     fail" in said.stdout
    assert f"the fork proof in {tmp_path / 'fork'} convicts this log:" in said.stdout
    assert f"FORK of {SOUND.origin}: its own key signed two histories that cannot both be true" in said.stdout
    assert "witnessed by w1 on 2025-10-09 08:53:20Z" in said.stdout
    assert "step 7, lineage: checkpoint_fork:" in said.stdout
    (fork,) = parsed(lineage(*asked, "--json"), 1)["forks"]
    assert (fork["bearing"], fork["origin"]) == ("this_log", SOUND.origin)
    assert fork["heads"][1]["witnessed"] == [{"witness": "w1", "time_s": 1_760_000_000}]


def test_a_directory_of_proofs(tmp_path: Path, bundle: Path) -> None:
    """Each file of it is told; those about other logs, or that nobody here can check, leave the status as it was."""
    (tmp_path / "forks").mkdir()
    (tmp_path / "forks" / "a").write_bytes(others(SOUND))
    (tmp_path / "forks" / "b").write_bytes(others(SOUND, by="thief"))
    (tmp_path / "forks" / "c.tmp").write_bytes(b"half")  # of one that is being written
    said = lineage("verify", bundle, "--trust", trust_file(tmp_path), "--fork", tmp_path / "forks")
    assert said.returncode == 0
    assert "forks/a is about another log; it says nothing against this lineage" in said.stdout
    assert f"FORK of {OTHER}" in said.stdout
    assert "forks/b proves nothing: note_signature" in said.stdout
    (fork, other) = parsed(lineage("verify", bundle, "--fork", tmp_path / "forks", "--json"))["forks"]
    assert fork["bearing"] == other["bearing"] == "unknown_log"


def test_a_split_is_told(tmp_path: Path, bundle: Path) -> None:
    """Two lines of logs of this platform: in words, and no verdict rests on it."""
    first, second = (f"{SOUND.origin.rpartition('/')[0]}/{at:016x}" for at in (1, 2))
    sides = [(one, boot(one, (SOUND.origin, 9, bytes(32)), identity=SOUND.identity)) for one in (first, second)]
    proof = split_of(sides[0], sides[1])
    assert proof is not None
    (tmp_path / "split").write_bytes(proof.encode())
    asked = ("verify", bundle, "--trust", trust_file(tmp_path), "--fork", tmp_path / "split")
    said = lineage(*asked)
    assert said.returncode == 0, said.stdout
    assert "/split is about another incarnation, signed by the same key; no verdict here rests on it:" in said.stdout
    assert f"    SPLIT of {proof.platform}: two incarnations follow the same one" in said.stdout
    (split,) = parsed(lineage(*asked, "--json"))["forks"]
    assert (split["bearing"], split["origin"], split["heads"]) == ("another_incarnation", first, [])


def test_a_proof_goes_to_the_incarnation_that_it_is_about(tmp_path: Path) -> None:
    """Of a state with two of them the one that is meant fails, and only that."""
    state = state_of(tmp_path)
    (tmp_path / "fork").write_bytes(own(SOUND, 10))
    report = parsed(lineage("verify", "--state", state, "--fork", tmp_path / "fork", "--json"), 1)
    assert (report["integrity"], report["forks"]) == ("pass", [])
    other = report["incarnations"][0]["report"]
    assert (other["integrity"], other["forks"][0]["bearing"]) == ("fail", "this_log")


def test_what_is_no_proof_at_all(tmp_path: Path, bundle: Path) -> None:
    """Status 2 and the name of the file, as of a known head that is none."""
    for path in (Path(__file__), tmp_path / "nowhere"):
        assert str(path) in one_line(lineage("verify", bundle, "--fork", path))
