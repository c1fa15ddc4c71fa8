"""Ctrl-C while a process is being started: nobody is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from recorder.bench.flood_process import FloodProcess
from recorder.bench.process import RecorderProcess
from recorder.bench.starting import undisturbed
from recorder.daemon.founding import Answers, found
from tests.cli.processes import has_ended


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ids of the processes that are begun from here on; at each of them SIGINT comes before Popen has returned."""
    pids: list[int] = []

    class Interrupted(subprocess.Popen[Any]):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            pids.append(self.pid)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    return pids


def test_a_recorder_that_was_just_forked_is_ended(tmp_path: Path, begun: list[int]) -> None:
    """The block that it belongs to is left by the interruption, and waits for it."""
    state = tmp_path / "state"
    found(state, Answers("acme", "arm-7", "hold", [os.getuid()], ["arm"], 4))
    with pytest.raises(KeyboardInterrupt), RecorderProcess(state, tmp_path / "socket", tmp_path / "log") as recorder:
        recorder.start()
    (pid,) = begun
    assert has_ended(pid)


def test_a_flood_that_was_just_forked_is_ended(tmp_path: Path, begun: list[int]) -> None:
    """Its block is not entered, and all the same nothing goes on."""
    with pytest.raises(KeyboardInterrupt), FloodProcess(tmp_path / "socket", 600, tmp_path / "log"):
        pytest.fail("it began")
    (pid,) = begun
    assert has_ended(pid)


def test_who_starts_a_process_is_interrupted_afterwards() -> None:
    """Once, by what came first; then signals are again what they were."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    steps = []
    with pytest.raises(KeyboardInterrupt), undisturbed():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        steps.append("went on")
    assert steps == ["went on"]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
