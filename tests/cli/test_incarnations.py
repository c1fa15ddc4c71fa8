"""`lineage verify --state` where more than one incarnation lies there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recorder.core.controls import Previous
from recorder.store.layout import lineage_dir
from tests.audit.lineages import write_state
from tests.audit.test_incarnations import NEW, OLD, damage, following, names, older
from tests.cli.states import lineage, one_line, parsed
from tests.lineage_builder import LineageBuilder

SOUND = older()


def state_of(directory: Path, old: LineageBuilder = SOUND, *previous: Previous) -> Path:
    write_state(directory / "s", old)
    return write_state(directory / "s", following(NEW, *(previous or (names(SOUND),))))


def test_each_gets_its_verdict_under_a_key_of_its_own(tmp_path: Path) -> None:
    """The top-level keys stay those of the incarnation in force; the other one has the same under its report."""
    report = parsed(lineage("verify", "--state", state_of(tmp_path), "--json"))
    (other,) = report.pop("incarnations")
    assert report["entries"] == 2
    assert set(other) == {"origin", "standing", "here", "named", "exit_status", "error", "report"}
    assert other["report"].keys() == report.keys()
    assert (other["origin"], other["standing"], other["exit_status"]) == (SOUND.origin, "named", 0)
    assert (other["report"]["entries"], other["report"]["problem_counts"]) == (SOUND.seq, {})
    said = lineage("verify", tmp_path / "s")
    assert said.returncode == 0, "a state directory may be named as a bundle is"
    assert f"another incarnation: {SOUND.origin}" in said.stdout
    assert f"named by the boot entry of acme/arm-7/{NEW}, with {SOUND.seq} entries and root" in said.stdout
    assert said.stdout.count("integrity     pass") == 2


@pytest.mark.parametrize(
    ("previous", "at", "status", "error"),
    [
        (names(SOUND), 14, 3, "loss_declared"),
        (names(SOUND)._replace(root=bytes(32)), None, 1, "root_mismatch"),
        (Previous("acme/arm-7/" + "d" * 16, 1, None), None, 1, "incarnation_unnamed"),
        (Previous("acme/arm-7/" + "d" * 16, 1, None), 14, 1, "record_damaged"),
    ],
)
def test_the_worst_verdict_decides(tmp_path: Path, previous: Previous, at: int | None, status: int, error: str) -> None:
    """Known damage is a declared loss; what nobody stated, or what was stated and is not so, fails."""
    state = state_of(tmp_path, SOUND, previous)
    if at is not None:
        damage(state, OLD, at)
    report = parsed(lineage("verify", "--state", state, "--json"), status)
    assert report["problem_counts"] == {}
    assert error in report["incarnations"][-1]["report"]["problem_counts"]
    said = lineage("verify", "--state", state)
    assert (said.returncode, error in said.stdout) == (status, True)


def test_one_that_is_elsewhere_is_said(tmp_path: Path) -> None:
    """Nothing of it can be checked here, and nothing fails for it."""
    state = write_state(tmp_path / "s", following(NEW, names(SOUND)))
    (other,) = parsed(lineage("verify", "--state", state, "--json"))["incarnations"]
    assert (other["here"], other["report"], other["exit_status"]) == (False, None, 0)
    assert "it is not here" in lineage("verify", "--state", state).stdout


def test_one_that_ends_its_reader_ends_no_other_check(tmp_path: Path) -> None:
    """Each is read by a process of its own."""
    state = state_of(tmp_path)
    data = lineage_dir(state, OLD) / "segments" / "00000001" / "data.mdb"
    content = bytearray(data.read_bytes())
    content[8 * 4096 : 30 * 4096] = os.urandom(4096) * 22
    data.write_bytes(content)
    report = parsed(lineage("verify", "--state", state, "--json"), 3)
    assert report["integrity"] == "pass"
    assert set(report["incarnations"][0]["report"]["problem_counts"]) == {"loss_declared"}


def test_a_known_head_is_held_against_its_own_incarnation(tmp_path: Path) -> None:
    """A checkpoint of before the recovery is none of the lineage in force."""
    state = state_of(tmp_path)
    (tmp_path / "head").write_bytes(SOUND.checkpoint(10))
    assert lineage("verify", "--state", state, "--checkpoint", tmp_path / "head").returncode == 0
    (tmp_path / "head").write_bytes(SOUND.checkpoint(10, root=bytes(32)))
    report = parsed(lineage("verify", "--state", state, "--checkpoint", tmp_path / "head", "--json"), 1)
    assert (report["problem_counts"], set(report["incarnations"][0]["report"]["problem_counts"])) == (
        {}, {"root_mismatch"},
    )  # fmt: skip


def test_one_that_cannot_be_opened_is_status_2(tmp_path: Path) -> None:
    """Neither passed nor failed; a failure of another one outweighs it."""
    state = state_of(tmp_path)
    segment = lineage_dir(state, OLD) / "segments" / "00000001"
    (segment / "data.mdb").unlink()
    (segment / "data.mdb").symlink_to("data.mdb")  # stands for any that the system will not open
    report = parsed(lineage("verify", "--state", state, "--json"), 2)
    assert "cannot open segment" in report["incarnations"][0]["error"]
    assert "it could not be checked: cannot open segment" in lineage("verify", "--state", state).stdout
    damage(state, NEW, 0)
    assert lineage("verify", "--state", state).returncode == 1


def test_an_unreadable_current_is_one_line(tmp_path: Path) -> None:
    """Nothing says which one is in force, so there is nothing to judge the others by."""
    state = state_of(tmp_path)
    (state / "current").write_text("..\n")
    assert "not 16 hex digits" in one_line(lineage("verify", "--state", state))
