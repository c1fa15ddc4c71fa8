"""What could not be written: said once, held here, tried again; and starts on what a power cut leaves of others' files."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesh.fleetlist import make_fleet_list
from mesh.node.fleetfile import fleet_in_force, fleet_to_start
from mesh.node.forkbook import ForkBook
from mesh.node.places import FLEET, FLEET_HELD, TRUST, MeshError
from mesh.node.tree import LogTree
from mesh.node.unkept import QUIET_S, Unkept
from recorder.core.forks import fork_of
from recorder.core.limits import TILE_WIDTH
from recorder.core.merkle import prove_consistency, root_of, verify_consistency
from tests.mesh.fleet import FLEET as LISTED
from tests.mesh.fleet import ORIGIN, ROOT, ROOT_KEY, hashes, note_of, policy

PROOF = fork_of(note_of(hashes(9)), note_of(hashes(9, "other")))


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_file_that_cannot_be_written_is_held_and_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said when it begins and when it is over, shown all the while; the newest content is what is written."""
    said: list[str] = []
    unkept, path = Unkept(said.append), tmp_path / "run"
    assert unkept.put(path, b"1")
    monkeypatch.setattr("mesh.node.unkept.replace_file", full)
    assert not unkept.put(path, b"2")
    assert not unkept.put(path, b"3")
    unkept.retry()
    assert (unkept.read(path), path.read_bytes(), unkept.names(tmp_path)) == (b"3", b"1", ["run"])
    assert unkept.told() == [f"not kept: {path}: [Errno 28] No space left on device"]
    monkeypatch.undo()
    unkept.retry()
    assert (path.read_bytes(), unkept.names(tmp_path), unkept.told()) == (b"3", [], [])
    assert [one.split(":")[0] for one in said] == ["not kept", "kept again"]


def test_what_comes_and_goes_is_said_once_a_minute() -> None:
    """A card on the edge of being full may take every other write."""
    said: list[str] = []
    now_s = [0.0]
    unkept = Unkept(said.append, lambda: now_s[0])
    for _ in range(100):
        unkept.keep("it", full, again=False)
        unkept.keep("it", lambda: None, again=False)
        now_s[0] += QUIET_S / 50
    assert len(said) == 4


def test_a_proof_counts_while_it_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It convicts and is told, but not said to be kept; a new list changes nothing about that."""
    assert PROOF is not None
    unkept = Unkept(print)
    book = ForkBook(tmp_path / "forks", LISTED, print, unkept)
    monkeypatch.setattr("mesh.node.unkept.replace_file", full)
    assert book.keep(PROOF, "a test")
    for one in (book, ForkBook(tmp_path / "forks", LISTED, print, unkept)):
        assert one.is_forked(ORIGIN)
        assert one.text(one.names()[0]) == PROOF.encode()
        assert not one.are_kept()
        assert not one.is_wanted(PROOF)
    monkeypatch.undo()
    unkept.retry()
    assert book.are_kept()
    assert ForkBook(tmp_path / "forks", LISTED, print, Unkept(print)).names() == book.names()


def test_a_damaged_proof_is_taken_again(tmp_path: Path) -> None:
    """The file that is there proves nothing, and does not stand in the way of the proof."""
    assert PROOF is not None
    book = ForkBook(tmp_path / "forks", LISTED, print, Unkept(print))
    assert book.keep(PROOF, "a test")
    (path,) = (tmp_path / "forks").iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    said: list[str] = []
    again = ForkBook(tmp_path / "forks", LISTED, said.append, Unkept(print))
    assert not again.is_forked(ORIGIN)
    assert "proves nothing" in said[0]
    assert again.is_wanted(PROOF)
    assert again.keep(PROOF, "a peer")
    assert path.read_bytes() == PROOF.encode()


def test_the_own_tree_goes_on_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proofs need no disk; once there is room all is as if there had always been."""
    leaves = hashes(1_500)
    tree = LogTree(tmp_path / "t")
    tree.append(leaves[:300])
    tree.save()
    monkeypatch.setattr("mesh.node.tree.replace_file", full)
    tree.append(leaves[300:])
    with pytest.raises(OSError, match="No space"):
        tree.save()
    proof = prove_consistency(tree.reader(), 300, 1_500)
    verify_consistency(300, root_of(leaves[:300]), 1_500, tree.root(), proof)
    assert LogTree(tmp_path / "t").size == 300, "a crash now costs what came since"
    monkeypatch.undo()
    tree.save()
    again = LogTree(tmp_path / "t")
    assert [again.tile(0, at) for at in range(5)] == [
        b"".join(leaves[at * TILE_WIDTH :][:TILE_WIDTH]) for at in range(5)
    ]
    before = (tmp_path / "t" / "tree").stat().st_ino
    again.save()
    assert (tmp_path / "t" / "tree").stat().st_ino == before, "nothing new is nothing to write"


def test_a_start_needs_no_hands_for_half_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut may leave it of a file that was copied; what is held goes on, and a disk that is full changes nothing."""
    said: list[str] = []
    newer = make_fleet_list("acme", 2, policy(), ROOT_KEY.name, ROOT)
    (tmp_path / TRUST).write_bytes(f"root {ROOT_KEY}\nquorum none\n".encode())
    (tmp_path / FLEET).write_bytes(newer[:-40])
    with pytest.raises(MeshError, match="fleet_list_malformed"):
        fleet_to_start(tmp_path, said.append)
    (tmp_path / FLEET).write_bytes(make_fleet_list("acme", 1, policy(), ROOT_KEY.name, ROOT))
    assert fleet_to_start(tmp_path, said.append)[0].version == 1
    for half in (b"", newer[:-40]):
        (tmp_path / FLEET).write_bytes(half)
        fleet, is_settled = fleet_to_start(tmp_path, said.append)
        assert (fleet.version, is_settled) == (1, True), "until another is brought"
    assert len(said) == 2
    (tmp_path / FLEET).write_bytes(newer)
    monkeypatch.setattr("mesh.node.fleetfile.replace_file", full)
    fleet, is_settled = fleet_to_start(tmp_path, said.append)
    assert (fleet.version, is_settled) == (1, False), "it is come back to"
    assert "No space left" in said[2]
    monkeypatch.undo()
    assert fleet_in_force(tmp_path).version == 2
    assert (tmp_path / FLEET_HELD).read_bytes() == newer
