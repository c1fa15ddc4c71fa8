"""Rolling to a segment that was made ahead, whatever has become of it meanwhile."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder.core.kinds import Kind
from recorder.core.messages import Status, Verb
from recorder.store.layout import DATA, segment_dir
from tests.daemon.raw import Raw
from tests.pages import FREE_ROOT_AT, PAGE, ROOT_AT
from tests.running import Running, kinds_of, lineage_of, make_state, verified, wait_until


def _mark(raw: Raw) -> None:
    assert raw.ask(Verb.APPEND, int(Kind.MARK), {"text": "here"}, None, None)[0] == Status.OK


def _prepared(running: Running) -> Path:
    """The data file of the next segment, once it is there."""
    path = segment_dir(lineage_of(running.state), 2) / DATA
    wait_until(path.exists)
    return path


def _put(at: int, content: bytes) -> Callable[[Path], None]:
    def put(data: Path) -> None:
        with data.open("r+b") as file:
            file.seek(at)
            file.write(content)

    return put


DAMAGES: dict[str, Callable[[Path], None]] = {
    "zeroed": _put(0, bytes(2 * PAGE)),
    "noise": _put(0, random.Random(1).randbytes(2 * PAGE)),
    "root of the tree": _put(ROOT_AT, bytes(8)),
    "roots of the free list": lambda data: [_put(at + FREE_ROOT_AT, b"\x09" * 8)(data) for at in (0, PAGE)].clear(),
    "empty": lambda data: os.truncate(data, 0),
    "gone": lambda data: data.unlink(),
    "no directory": lambda data: shutil.rmtree(data.parent),
}


@pytest.mark.parametrize("found_at_start", [False, True])
@pytest.mark.parametrize("name", DAMAGES)
def test_a_prepared_segment_that_broke_is_made_anew(tmp_path: Path, name: str, *, found_at_start: bool) -> None:
    """It holds nothing, so nothing is lost: the roll goes on, status tells of it, and all is there afterwards."""
    state = make_state(tmp_path / "s")
    if found_at_start:
        with Running(state) as running:
            _prepared(running)
            assert running.stop() == 0
    with Running(state) as running, Raw(running.socket) as raw:
        data = _prepared(running)
        _mark(raw)
        wait_until(lambda: raw.ask(Verb.STATUS)[1]["prepare_failure"] is None)
        DAMAGES[name](data)
        assert raw.ask(Verb.SEAL)[0] == Status.OK
        _mark(raw)
        page = raw.ask(Verb.STATUS)[1]
        assert page["segments"] == 2
        assert (page["prepared_replaced"] is None) == (name == "no directory")
        if name != "no directory":
            assert str(data.parent) in page["prepared_replaced"]
        assert data.stat().st_size == 4 * 1024 * 1024
        assert running.stop() == 0
    assert kinds_of(state).count(Kind.MARK) == 2
    assert verified(state).exit_status() == 0


def test_a_segment_that_could_not_be_begun_ends_the_recorder(tmp_path: Path) -> None:
    """EIO where SEAL begins the next segment: whether it was begun is not known, so only a new start goes on."""
    if shutil.which("strace") is None:
        pytest.skip("no strace")
    state = make_state(tmp_path / "s")
    with Running(state) as running:
        data = _prepared(running)
        assert running.stop() == 0
    under = ["strace", "-qq", "-f", "-o", str(tmp_path / "trace"), "-P", str(data), "-e", "inject=pwrite64:error=EIO"]
    with Running(state, under=under) as running, Raw(running.socket) as raw:
        _mark(raw)
        with pytest.raises((AssertionError, ConnectionError)):
            raw.ask(Verb.SEAL)
        assert running.process.wait(240) == 1
    with Running(state) as running:
        assert running.stop() == 0
    assert kinds_of(state).count(Kind.MARK) == 1
    assert set(verified(state).to_json()["problem_counts"]) == {"unclean_stop"}
