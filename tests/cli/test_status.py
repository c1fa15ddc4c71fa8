"""`lineage status`."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.cli.states import Running, lineage, made, one_line, parsed, ran
from tests.running import wait_until


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return made(tmp_path / "state")


def test_before_the_first_start(state: Path) -> None:
    """A state that was only made is no error."""
    assert lineage("status", "--state", state).stdout == "not running: nothing was recorded yet\n"
    assert parsed(lineage("status", "--state", state, "--json"))["entries"] == 0


def test_of_a_running_recorder(state: Path) -> None:
    """The recorder itself is asked, and JSON and table say the same."""
    with Running(state) as running:
        found = parsed(lineage("status", "--state", state, "--json"))
        assert (found["running"], found["source"], found["entries"]) == (True, "recorder", 2)
        shown = lineage("status", "--socket", running.socket).stdout
        assert shown.startswith("running\n")
        assert found["head"] in shown
        assert found["origin"] in shown


def test_of_a_recorder_that_hangs(state: Path) -> None:
    """Where it does not answer, its page is shown with its age, and that it does not answer."""
    with Running(state) as running:
        wait_until((state / "status.json").exists)
        running.process.send_signal(signal.SIGSTOP)
        found = parsed(lineage("status", "--state", state, "--json"))
        assert found["source"] == "page"
        assert found["entries"] == 2
        os.utime(state / "status.json", (0, 0))
        done = lineage("status", "--state", state)
        assert "has gone, or hangs; its status page is" in done.stdout
        assert (done.returncode, done.stderr) == (1, "")


def test_of_a_recorder_that_was_killed(state: Path) -> None:
    """After a kill its last page is there, and is not taken for a running recorder's for long."""
    with Running(state) as running:
        wait_until((state / "status.json").exists)
        running.process.kill()
        running.process.wait()
    os.utime(state / "status.json", (0, 0))
    found = parsed(lineage("status", "--state", state, "--json"), 1)
    assert (found["running"], found["source"]) == (False, "page")
    assert found["age_s"] > 1e6


def test_of_a_stopped_recorder(state: Path) -> None:
    """After a clean stop there is the last entry."""
    ran(state)
    found = parsed(lineage("status", "--state", state, "--json"))
    assert (found["running"], found["source"]) == (False, "store")
    assert found["last_utc"].startswith("20")
    shown = lineage("status", "--state", state).stdout
    assert shown.startswith(f"not running: last entry {found['head']} at ")


def test_warnings_of_the_page_are_shown(state: Path) -> None:
    """A full store, a failed preparation and a stall stand out."""
    page = {"origin": "acme/arm-7/0", "store_full": True, "prepare_failure": "no room", "stalled_s": 7.5}
    (state / "status.json").write_text(json.dumps(page))
    done = lineage("status", "--state", state)
    assert (done.returncode, done.stdout.count("WARNING")) == (1, 3), "it stands still"
    (state / "status.json").write_text(json.dumps({"sync_outstanding_s": 3.5}))
    done = lineage("status", "--state", state)
    assert "3.5 s" in done.stdout
    assert done.returncode == 0
    (state / "status.json").write_text("[")
    assert "not running" in lineage("status", "--state", state).stdout


def test_of_a_damaged_store(state: Path) -> None:
    """What would end the process that reads it is one line, and says who looks closer."""
    ran(state)
    with next(state.glob("lineages/*/segments/00000001/data.mdb")).open("r+b") as file:
        file.truncate(3 * 4096)
    assert "lineage doctor" in one_line(lineage("status", "--state", state))


def test_of_nothing(tmp_path: Path) -> None:
    """No state, no socket: one line."""
    assert "no state directory" in one_line(lineage("status", "--state", tmp_path / "none"))
    assert "no socket" in one_line(lineage("status", "--socket", tmp_path / "none"))
    assert "--state" in one_line(lineage("status"))
