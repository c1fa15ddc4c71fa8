"""`lineage demo`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.states import ENV, lineage, made, one_line, parsed

pytest.importorskip("numpy")


def test_the_whole_way(tmp_path: Path) -> None:
    """A short demo records, extracts, verifies and says what to look at next; those commands work."""
    state = tmp_path / "state"
    done = lineage("demo", "--seconds", "2", "--state", state)
    assert done.returncode == 0, done.stderr
    for part in ("WHAT HAPPENED", "WHAT WAS MEASURED", "integrity     pass", "witnessing    nothing", "LOOK AT NEXT"):
        assert part in done.stdout
    commands = [line.split("#")[0].split() for line in done.stdout.splitlines() if line.startswith("  lineage ")]
    assert {command[1] for command in commands} == {"log", "show", "walk", "verify", "doctor"}
    for command in commands:
        if command[1] != "doctor":
            assert lineage(*command[1:]).returncode in (0, 3), command


def test_an_incident(tmp_path: Path) -> None:
    """Every step goes as the story says, and what it says to type next works."""
    state = tmp_path / "state"
    done = lineage("demo", "--incident", "--state", state)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "expected was" not in done.stdout
    for part in ("deviated", "delegation_uncovered: limits: 48.0 N is over 45.0 N", "outside_grant", "aborted"):
        assert part in done.stdout
    assert "credential_revoked" in done.stdout
    commands = [line.split("#")[0].split()[1:] for line in done.stdout.splitlines() if line.startswith("  lineage ")]
    assert [command[0] for command in commands] == [
        "why", "why", "impact", "replay", "query", "credential", "verify",
    ]  # fmt: skip
    for command in commands:
        ran = lineage(*command)
        assert ran.returncode == 0, (command, ran.stdout, ran.stderr)


@pytest.mark.alone  # a device that is silent for a second is told, which is no part of the story
def test_a_bridge(tmp_path: Path) -> None:
    """Every step goes as the story says: the recorder, the bridge and the device are processes and a line like any other."""
    state = tmp_path / "state"
    done = lineage("demo", "--bridge", "--state", state)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "expected was" not in done.stdout
    for part in ("reached 0.500 rad", "not_moved 0.500 rad", "device_rebooted", "ungated", "key_not_shown"):
        assert part in done.stdout
    assert done.stdout.count("a commit that no device has confirmed") == 1
    commands = [line.split("#")[0].split()[1:] for line in done.stdout.splitlines() if line.startswith("  lineage ")]
    assert [command[0] for command in commands] == ["show", "show", "bridge", "verify"]
    for command in commands:
        ran = lineage(*command)
        assert ran.returncode == (3 if command[0] == "verify" else 0), (command, ran.stdout, ran.stderr)
    twice = lineage("demo", "--bridge", "--incident")
    assert (twice.returncode, twice.stdout) == (2, "")


def test_json_and_a_temporary_state(tmp_path: Path) -> None:
    """The same as JSON, in a directory of its own that stays."""
    env = {**ENV, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "recorder.cli", "demo", "--seconds", "1", "--json"],
        capture_output=True, text=True, check=False, env=env,
    )  # fmt: skip
    found = parsed(done)
    assert found["state"].startswith(str(tmp_path))
    assert Path(found["bundle"]).is_file()
    assert found["verdicts"]["integrity"] == "pass"
    assert found["happened"]["commits"] > 0
    assert found["happened"]["rows"] > 0
    assert found["recorder_exit_status"] == 0


def test_what_cannot_be_used(tmp_path: Path) -> None:
    """A state that is there, and a flight that is none: one line each."""
    state = made(tmp_path / "state")
    assert "holds a state" in one_line(lineage("demo", "--state", state))
    (tmp_path / "x.ulg").write_text("no flight")
    assert "x.ulg" in one_line(lineage("demo", "--flight", tmp_path / "x.ulg"))


def test_without_the_simulator(tmp_path: Path) -> None:
    """Without numpy it says in one line what to install."""
    program = "import sys; sys.modules['numpy'] = None; from recorder.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", program, "demo", "--state", str(tmp_path / "state")],
        capture_output=True, text=True, check=False, env=ENV,
    )  # fmt: skip
    assert "lineage-recorder[sim]" in one_line(done)
    assert not (tmp_path / "state").exists()
