"""The command line, with an in-memory recorder in place of the client's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import hwsim.__main__ as command
from hwsim.flight import SHIPPED_FLIGHTS
from hwsim.report import ArmReport
from tests.hwsim.port import MemoryRecorder, SimulatedClock, refused, unavailable


class Connected:
    """Stands for `recorder.client.Recorder`: connects to one in-memory recorder, or to none."""

    def __init__(self, recorder: MemoryRecorder | None) -> None:
        self.recorder = recorder

    def __call__(self, _socket: Path) -> Connected:
        return self

    def __enter__(self) -> MemoryRecorder:
        if self.recorder is None:
            raise unavailable()
        return self.recorder

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def recorder() -> MemoryRecorder:
    return MemoryRecorder(SimulatedClock())


def run(monkeypatch: pytest.MonkeyPatch, recorder: MemoryRecorder | None, *arguments: Any) -> Result:
    monkeypatch.setattr(command, "Recorder", Connected(recorder))
    return CliRunner().invoke(command.main, [*map(str, arguments), "--socket", "/nowhere"])


def test_the_arm_runs_and_says_what_it_did(monkeypatch: pytest.MonkeyPatch, recorder: MemoryRecorder) -> None:
    """`arm` drives the recorder for the seconds asked for, and prints the counts."""
    result = run(monkeypatch, recorder, "arm", "--seconds", 0.3, "--rate-hz", 100)
    assert result.exit_code == 0, result.output
    assert f"cycles {len(recorder.cycles)}, commits {len(recorder.of('commit'))}" in result.stdout
    assert "commit latency: median" in result.stdout


def test_a_flight_is_replayed(monkeypatch: pytest.MonkeyPatch, recorder: MemoryRecorder) -> None:
    """`replay FILE --speed --seconds` replays that part and names the flight."""
    result = run(monkeypatch, recorder, "replay", SHIPPED_FLIGHTS[1], "--seconds", 2, "--speed", 20)
    assert result.exit_code == 0, result.output
    assert "px4_flight_cube_orange.ulg: 2.0 s at speed 20" in result.stdout
    assert f"rows {len(recorder.of('row'))}" in result.stdout


def test_an_unreadable_flight_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file that is no flight exits 2 with one line, before the recorder is asked."""
    thing = tmp_path / "thing.ulg"
    thing.write_text("no log")
    result = run(monkeypatch, None, "replay", thing)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{thing}: not a ULog")
    assert result.stderr.count("\n") == 1


def test_an_absent_recorder_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a recorder the exit status is 2 and one line names the socket."""
    result = run(monkeypatch, None, "arm")
    assert result.exit_code == 2
    assert result.stderr.startswith("/nowhere: ")
    assert result.stderr.count("\n") == 1


def test_a_recorder_that_refuses_everything_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, recorder: MemoryRecorder
) -> None:
    """When no cycle was granted the exit status is 1 and the reasons are printed."""
    recorder.refuse = lambda _: refused("uid 1000 may not act for arm")
    result = run(monkeypatch, recorder, "arm", "--seconds", 0.1)
    assert result.exit_code == 1
    assert "refused: 1" in result.stdout
    assert "uid 1000 may not act for arm" in result.stdout


@pytest.mark.parametrize("arguments", [("arm", "--rate-hz", 49), ("arm", "--seconds", 0), ("replay", "--speed", 0)])
def test_misuse_exits_2(monkeypatch: pytest.MonkeyPatch, recorder: MemoryRecorder, arguments: tuple[Any, ...]) -> None:
    """Values outside their ranges are refused before anything is recorded."""
    assert run(monkeypatch, recorder, *arguments).exit_code == 2
    assert not recorder.calls


def test_trouble_is_shown_only_where_there_is_some() -> None:
    """A clean report has no line about trouble; each kind of trouble has one."""
    assert not any("lagging" in line or "expired" in line for line in command.summary(ArmReport()))
    lines = command.summary(ArmReport(lagging=2, expired=3, unrecorded_rows=4))
    assert {"lagging: 2", "expired: 3", "rows without a cycle: 4"} <= set(lines)
