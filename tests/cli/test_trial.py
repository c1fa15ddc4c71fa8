"""`lineage run` on pages that end whoever reads them through LMDB: one line and status 2, never a signal."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recorder.client import Recorder
from recorder.store import prepare
from recorder.store.errors import StoreError
from recorder.store.layout import DATA, StateLock
from tests.cli.states import ENV, LINEAGE, Running, copied, lineage, made, one_line, parsed, ran, tree
from tests.pages import FREE_ROOT_AT, LAST_AT, PAGE, cut_off_after, leaves, meta, write
from tests.running import wait_until


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ran(made(tmp_path_factory.mktemp("sound") / "state"), commits=8)


@pytest.fixture(scope="module")
def rolled(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state with a sealed segment before the live one."""
    state = copied(sound, tmp_path_factory.mktemp("rolled") / "state")
    with Running(state) as running:
        with Recorder(running.socket, timeout_ms=60_000) as client:
            client.seal()
        assert running.stop() == 0
    return state


def _data(state: Path, ordinal: int) -> Path:
    (found,) = (state / "lineages").iterdir()
    return found / "segments" / f"{ordinal:08d}" / DATA


def _start(state: Path) -> str:
    """Start and stop a recorder; returns what it said where it would not start, having changed nothing, else ""."""
    before = tree(state)
    process = subprocess.Popen([*LINEAGE, "run", "--state", str(state)], stderr=subprocess.PIPE, text=True, env=ENV)
    assert process.stderr is not None
    with process, process.stderr:
        said = process.stderr.readline()
        if "recording" in said:
            process.send_signal(signal.SIGTERM)
            assert process.wait(240) == 0
            return ""
        said += process.stderr.read()
    done: subprocess.CompletedProcess[str] = subprocess.CompletedProcess([], process.wait(240), "", said)
    line = one_line(done)
    assert f"`lineage recover --state {state}`" in line
    assert tree(state) == before
    return line


def _zeros(_page: int) -> bytes:
    return bytes(PAGE)


def _noise(page: int) -> bytes:
    return random.Random(page).randbytes(PAGE)


@pytest.mark.parametrize("content", [_zeros, _noise])
def test_any_page_of_the_live_segment(sound: Path, tmp_path: Path, content: Callable[[int], bytes]) -> None:
    """Each page in turn, meta pages included: a recorder that serves and stops, or a line that names the segment."""
    last = meta(_data(sound, 1), LAST_AT)
    lines = []
    for page in range(last + 1):
        state = copied(sound, tmp_path / f"{page}")
        write(_data(state, 1), page, content(page))
        line = _start(state)
        assert str(_data(state, 1).parent) in line or not line
        lines.append(line)
    assert last > 8
    assert len([line for line in lines if line]) > last // 2, "pages in use were damaged"
    if content is _zeros:
        assert any("ends the process with SIG" in line for line in lines), "this is what a child is needed for"


def test_the_free_list_of_lmdb(state: Path) -> None:
    """No entry lies there, and only writing reads it: found before anything is written, and `recover` agrees."""
    write(_data(state, 1), meta(_data(state, 1), FREE_ROOT_AT), bytes(PAGE))
    assert str(_data(state, 1).parent) in _start(state)
    assert parsed(lineage("recover", "--state", state, "--yes", "--json"))["kept"]
    assert _start(state) == ""


def test_the_prepared_segment(state: Path) -> None:
    """The next segment, which is empty yet, is opened at a start too."""
    data = _data(state, 2)
    if not data.exists():  # where the recorder was stopped before it had made it
        prepare.create(data.parent, 4 * 1024 * 1024)
    write(data, 0, bytes(PAGE))
    assert str(data.parent) in _start(state)


def test_of_sealed_segments_a_start_needs_the_first_entry_only(rolled: Path, tmp_path: Path) -> None:
    """Its damage is named; where another record of that segment cannot be read, the recorder goes on recording."""
    last = meta(_data(rolled, 1), LAST_AT)
    shutil.rmtree(
        _data(rolled, 3).parent, ignore_errors=True
    )  # the next one; then the sealed one is the newest but one
    lines = []
    for page in range(2, last + 1):
        state = copied(rolled, tmp_path / f"{page}")
        write(_data(state, 1), page, bytes(PAGE))
        lines.append(_start(state))
        assert str(_data(state, 1).parent) in lines[-1] or not lines[-1]
    assert any(lines)
    assert lines[leaves(_data(rolled, 1))[-1] - 2] == "", "a page with records, and not the first"


def test_a_lost_name_and_a_lineage_that_cannot_be_read(state: Path) -> None:
    """Without `current` a start looks whether lineages hold entries: those may end it too."""
    (state / "current").unlink()
    cut_off_after(0, _data(state, 1))
    assert "ends the process with SIG" in _start(state)


def test_the_first_entry_in_a_sealed_segment(rolled: Path, tmp_path: Path) -> None:
    """A start reads the first boot entry, however long ago its segment was sealed."""
    state = copied(rolled, tmp_path / "state")
    cut_off_after(0, _data(state, 1))
    assert f"{_data(state, 1).parent}: reading it ends the process with SIG" in _start(state)


class Trying:
    """`lineage run` that waits in its trial: the child reads the name in force from a pipe that nobody writes to."""

    def __init__(self, state: Path) -> None:
        self.state = state
        (state / "current").unlink()
        os.mkfifo(state / "current")
        self.process = subprocess.Popen([*LINEAGE, "run", "--state", str(state)], stderr=subprocess.PIPE, env=ENV)
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        wait_until(lambda: children.read_text().split())
        self.child = int(children.read_text())
        wait_until(lambda: Path(f"/proc/{self.child}/fd/2").readlink() == Path(os.devnull))  # it is set up

    def ended(self) -> int:
        """The status, once nobody holds the lock of the state."""
        status = self.process.wait(240)
        assert self.process.stderr is not None
        self.process.stderr.close()
        wait_until(self._is_free)
        return status

    def _is_free(self) -> Any:
        try:
            StateLock(self.state).close()
        except StoreError:
            return False
        return True


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)],
)
@pytest.mark.parametrize("which", ["process", "child"])
def test_a_signal_during_the_trial_ends_both(state: Path, number: signal.Signals, status: int, which: str) -> None:
    """Whichever of the two it meets, neither stays, the lock is free, and nothing is called damaged."""
    trying = Trying(state)
    os.kill(trying.process.pid if which == "process" else trying.child, number)
    assert trying.ended() == status
    assert not (state / "recorder.sock").exists()
