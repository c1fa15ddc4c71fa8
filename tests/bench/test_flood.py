"""The flood of `bench`: it floods, and it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.bench.flood_process import FloodProcess
from recorder.bench.process import ProcessError, RecorderProcess
from recorder.client import Recorder
from recorder.daemon.founding import Answers, found
from tests.cli.processes import has_ended
from tests.cli.states import ENV, lineage
from tests.running import wait_until


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[RecorderProcess]:
    """A recorder that can be flooded."""
    state = tmp_path / "state"
    found(state, Answers("acme", "arm-7", "hold", [os.getuid()], ["flood"], 4))
    with RecorderProcess(state, state / "recorder.sock", tmp_path / "log") as process:
        process.start()
        yield process


def test_it_floods_until_it_is_ended(recorder: RecorderProcess, tmp_path: Path) -> None:
    """Commits, rows and rubbish from many clients; the recorder answers others meanwhile, and its lineage verifies."""
    with (
        FloodProcess(recorder.path, 600, tmp_path / "flood.log") as flood,
        Recorder(recorder.path, timeout_ms=60_000) as client,
    ):
        before = client.status()["entries"]
        wait_until(lambda: client.status()["entries"] > before + 100)
        did = flood.end()
        assert has_ended(flood.pid)
    assert min(did["commits"], did["row_messages"], did["malformed"], did["hung_up"]) > 0
    assert did["recorded"] > 100
    assert did["rows"] == 16 * did["row_messages"]
    assert did["errors"] == did["refused"] == 0, "what it sends to be recorded is in order"
    assert recorder.stop() == 0
    assert lineage("verify", "--state", recorder.state).returncode == 0


def test_it_ends_by_itself(recorder: RecorderProcess, tmp_path: Path) -> None:
    """After the time that it was given, if nobody ends it."""
    seconds = 0.1
    while True:
        try:
            with FloodProcess(recorder.path, seconds, tmp_path / "flood.log") as flood:
                wait_until(lambda flood=flood: has_ended(flood.pid))
                assert flood.end()["seconds"] >= seconds
        except ProcessError as error:
            assert "nothing of it was recorded in its time" in str(error)
            assert seconds < 20
            seconds *= 4  # the machine was busy elsewhere
        else:
            break


def test_it_ends_with_a_parent_that_was_killed(recorder: RecorderProcess, tmp_path: Path) -> None:
    """Kill -9 of the one that began it closes its standard input."""
    program = (
        "import sys, time; from pathlib import Path; from recorder.bench.flood_process import FloodProcess\n"
        "with FloodProcess(Path(sys.argv[1]), 600, Path(sys.argv[2])) as flood: print(flood.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(recorder.path), str(tmp_path / "flood.log")],
        stdout=subprocess.PIPE, text=True, env=ENV,
    )  # fmt: skip
    assert parent.stdout is not None
    flood = int(parent.stdout.readline())
    assert not has_ended(flood)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: has_ended(flood))


def test_it_is_gone_after_an_error(recorder: RecorderProcess, tmp_path: Path) -> None:
    """Leaving the block by an exception ends it too."""
    with pytest.raises(KeyError), FloodProcess(recorder.path, 600, tmp_path / "flood.log") as flood:
        raise KeyError
    assert has_ended(flood.pid)


def test_it_does_not_end_by_the_terminals_interrupt(recorder: RecorderProcess, tmp_path: Path) -> None:
    """Ctrl-C goes to all of a terminal's processes; the parent ends it, and still hears what it did."""
    with FloodProcess(recorder.path, 600, tmp_path / "flood.log") as flood:
        os.kill(flood.pid, signal.SIGINT)
        assert flood.end()["clients"] == 24


def test_nobody_to_flood(tmp_path: Path) -> None:
    """Without a recorder it says so, and is gone."""
    with pytest.raises(ProcessError, match="no recorder at"), FloodProcess(tmp_path / "s", 600, tmp_path / "log"):
        pass


def test_a_flood_that_was_none(recorder: RecorderProcess, tmp_path: Path) -> None:
    """If nothing of it was recorded, that is an error, not a figure."""
    with (
        pytest.raises(ProcessError, match="nothing of it was recorded in its time"),
        FloodProcess(recorder.path, 0, tmp_path / "flood.log"),
    ):
        pass
