"""READs of sealed segments: a process of its own reads them, and whatever becomes of it, the recorder goes on."""

from __future__ import annotations

import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recorder.core.kinds import Kind
from recorder.core.messages import Status, Verb
from recorder.daemon.reads import SILENT_MAX_S
from recorder.store.layout import DATA, segment_dir
from tests.cli.processes import children, has_ended
from tests.daemon.raw import Raw
from tests.pages import PAGE, cut_off_after
from tests.running import Running, lineage_of, make_state, records_of, verified, wait_until

SEALED = 3  # segments of the state, before the live one
MARKS = 40  # entries that a test adds to each


def _mark(raw: Raw) -> Any:
    status, receipt = raw.ask(Verb.APPEND, int(Kind.MARK), {"text": "x" * 200}, None, None)
    assert status == Status.OK
    return receipt


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state with sealed segments; not to be changed."""
    state = make_state(tmp_path_factory.mktemp("sealed") / "s")
    with Running(state) as running, Raw(running.socket) as raw:
        for _ in range(SEALED):
            for _ in range(MARKS):
                _mark(raw)
            raw.ask(Verb.SEAL)
        assert running.stop() == 0
    return state


@pytest.fixture
def running(sealed: Path, tmp_path: Path) -> Iterator[Running]:
    """A recorder on a copy of it."""
    with Running(shutil.copytree(sealed, tmp_path / "s")) as started:
        yield started


def _data(running: Running, ordinal: int) -> Path:
    return segment_dir(lineage_of(running.state), ordinal) / DATA


def _reader(running: Running) -> int:
    """Process id of the one that reads; another one may be sweeping the disk."""
    (found,) = _readers(running)
    return found


def _readers(running: Running) -> list[int]:
    return [pid for pid, line in children(running.process.pid).items() if "sealed_reader" in line]


def _all(raw: Raw, seq: int = 0, room: int = 65_536) -> list[Any]:
    entries: list[Any] = []
    while True:
        status, (following, found) = raw.ask(Verb.READ, seq, room)
        assert status == Status.OK
        if not found:
            return entries
        assert following == seq + len(found)
        entries += found
        seq = following


def test_all_entries_in_order_by_one_process(running: Running) -> None:
    """From any seq on, in replies of any size, while segments are sealed; one process for all of it."""
    with Raw(running.socket) as raw:
        entries = _all(raw)
        first = _reader(running)
        assert entries == [[entry, claims] for entry, claims in _all(raw, room=1)]
        _mark(raw)
        raw.ask(Verb.SEAL)
        _mark(raw)
        later = _all(raw, 70)
        assert later[: len(entries) - 70] == entries[70:]
        assert len(later) == len(entries) - 70 + 2
        assert _reader(running) == first
        assert running.stop() == 0
    stored = [[entry, claims] for entry, claims in records_of(running.state)]
    assert stored[: len(entries)] == entries
    assert stored[70:-1] == later
    wait_until(lambda: has_ended(first))


def test_pages_that_end_whoever_reads_them(running: Running) -> None:
    """The segment is named, what lies before and beyond can be had, and commits go on."""
    data = _data(running, 2)
    with Raw(running.socket) as raw:
        sound = _all(raw)
        cut_off_after(1, data)
        answers = [raw.ask(Verb.READ, seq, 1) for seq in range(len(sound))]
        assert all(body[1] == [sound[seq]] for seq, (status, body) in enumerate(answers) if status == Status.OK)
        damaged = [seq for seq, (status, _) in enumerate(answers) if status == Status.ERROR]
        assert MARKS < damaged[0] < damaged[-1] < 2 * MARKS
        assert {answers[seq][1][0] for seq in damaged} == {"store_damaged"}
        assert all(str(data.parent) in answers[seq][1][1] for seq in damaged)
        ended = [seq for seq in damaged if "reading it ends the process with SIGABRT" in answers[seq][1][1]]
        assert ended, "this is what a process of its own is needed for"
        before = 0
        while before < damaged[0]:  # replies end where the damage begins
            before = raw.ask(Verb.READ, before, 65_536)[1][0]
        assert before == damaged[0]
        assert _mark(raw)[0] == len(sound)
        assert running.stop() == 0


def test_a_segment_that_is_cut_short(running: Running) -> None:
    """The process may map what the file no longer has: SIGBUS, or LMDB's file is no more; both are damage."""
    with Raw(running.socket) as raw:
        size = len(_all(raw))
        assert raw.ask(Verb.READ, 0, 1)[0] == Status.OK  # segment 1 is mapped by now
        os.truncate(_data(running, 1), 2 * PAGE)
        status, body = raw.ask(Verb.READ, 1, 65_536)
        assert (status, body[0]) == (Status.ERROR, "store_damaged")
        assert str(_data(running, 1).parent) in body[1]
        status, body = raw.ask(Verb.READ, 1, 65_536)  # a new process, which opens it anew
        assert (status, body[0]) == (Status.ERROR, "store_damaged")
        assert _mark(raw)[0] == size
        assert running.stop() == 0


def test_a_process_that_hangs_holds_up_no_commit(sealed: Path, tmp_path: Path) -> None:
    """Commits are answered while a READ is not; then it is given up, and the next one is served by another process."""
    with (
        Running(shutil.copytree(sealed, tmp_path / "s"), silent_max_s=SILENT_MAX_S) as running,
        Raw(running.socket) as raw,
        Raw(running.socket) as other,
    ):
        wait_until(lambda: raw.ask(Verb.READ, 0, 1)[0] == Status.OK)
        hanging = _reader(running)
        os.kill(hanging, signal.SIGSTOP)
        began_s = time.monotonic()
        raw.counter += 1
        raw.send([int(Verb.READ), raw.counter, 0, 65_536])
        for _ in range(20):
            _mark(other)
        is_answered = bool(select.select([raw.sock], [], [], 0)[0])
        assert not is_answered or time.monotonic() - began_s > SILENT_MAX_S, "the READ was not what hung"
        status, counter, body = raw.receive()
        assert (status, counter, body[0]) == (Status.ERROR, raw.counter, "read_failed")
        wait_until(lambda: has_ended(hanging))
        wait_until(lambda: raw.ask(Verb.READ, 0, 65_536)[0] == Status.OK)
        assert _reader(running) != hanging
        assert running.stop() == 0
    assert verified(running.state).exit_status() == 0


def test_a_process_that_is_killed_is_no_damage(running: Running) -> None:
    """Neither between READs, where nobody notices, nor during one, which is to be asked again."""
    with Raw(running.socket) as raw:
        raw.ask(Verb.READ, 0, 1)
        idle = _reader(running)
        os.kill(idle, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{idle}").exists())  # the recorder has noticed, and waited for it
        assert raw.ask(Verb.READ, 0, 1)[0] == Status.OK
        while True:
            reader = _reader(running)
            os.kill(reader, signal.SIGSTOP)
            raw.counter += 1
            raw.send([int(Verb.READ), raw.counter, 0, 65_536])
            assert raw.ask(Verb.STATUS)[0] == Status.OK
            os.kill(reader, signal.SIGKILL)
            status, _, body = raw.receive()
            if status != Status.OK:  # else the recorder began the READ after the kill: that is between READs again
                break
        assert (status, body[0]) == (Status.ERROR, "read_failed")
        assert raw.ask(Verb.READ, 0, 1)[0] == Status.OK


def test_it_ends_with_the_recorder(running: Running) -> None:
    """Also where the recorder is killed: nothing goes on reading."""
    with Raw(running.socket) as raw:
        raw.ask(Verb.READ, 0, 1)
    reader = _reader(running)
    running.kill()
    wait_until(lambda: has_ended(reader))


def test_where_the_service_forbids_to_step_back(sealed: Path, tmp_path: Path) -> None:
    """The packaged unit lets nobody set priorities (SystemCallFilter=~@resources): old entries are read all the same."""
    if shutil.which("strace") is None:
        pytest.skip("no strace")
    under = ["strace", "-qq", "-f", "-o", str(tmp_path / "trace"), "-e", "inject=setpriority:error=EPERM"]
    with Running(shutil.copytree(sealed, tmp_path / "s"), under=under) as running, Raw(running.socket) as raw:
        assert raw.ask(Verb.READ, 0, 1)[0] == Status.OK
        (recorder,) = children(running.process.pid)
        os.kill(recorder, signal.SIGTERM)  # strace keeps its own to itself
        assert running.process.wait(240) == 0
    assert "EPERM" in (tmp_path / "trace").read_text()
