"""`lineage bench`: what it prints; the figures are for those who read them."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from recorder.bench.figure import Figure
from recorder.bench.run import SHARES
from recorder.cli import bench, bench_calls
from tests.cli.processes import children, has_ended
from tests.cli.states import ENV, LINEAGE, lineage, one_line, parsed
from tests.running import wait_until

SMALL = ("--seconds", "4", "--rounds", "2", "--actuators", "2", "--segment-mib", "4", "--segments", "3")
TIMEOUT_S = 600  # it takes half a minute alone, and starts twenty recorders: minutes on a busy machine
pytestmark = pytest.mark.timeout(TIMEOUT_S + 60)
STATES = ("running", "killed", "stopped", "flooded", "disk full")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What it measured."""
    root = tmp_path_factory.mktemp("bench")
    printed = parsed(lineage("bench", "--state", root / "bench", *SMALL, "--json", timeout_s=TIMEOUT_S))
    assert list(root.iterdir()) == [], "it removes what it made"
    return printed


def test_every_measure_has_figures(found: Any) -> None:
    """And each figure is a number with what belongs to it: percentiles that rise, a ratio where there is a floor."""
    assert {one["measure"] for one in found["figures"]} == {*SHARES, "memory"}
    assert len({(one["measure"], one["name"]) for one in found["figures"]}) == len(found["figures"])
    for one in found["figures"]:
        assert one["value"] >= 0 or "added" in one["name"], one  # a difference of what was measured
        assert one["unit"], one
        assert (one["floor"] is None) == (one["floor_name"] is None) == (one["ratio"] is None), one
        assert one["ratio"] is None or one["ratio"] >= 0, one
        assert list(one["percentiles"].values()) == sorted(one["percentiles"].values()), one
        assert not one["percentiles"] or set(one["percentiles"]) == {"p50", "p99", "p99.9", "max"}, one


def test_what_is_compared_in_rounds_has_them(found: Any) -> None:
    """One value a round, and the one that is shown lies among them; but for what needs a time of its own."""
    for one in found["figures"]:
        in_rounds = one["measure"] in {"sync", "lmdb", "commit", "pipelined", "rows-max", "verify", "segments", "gate"}
        if in_rounds and not one["name"].endswith("across segments") and not one["name"].startswith("RssAnon"):
            assert len(one["rounds"]) == 2, one
            assert min(one["rounds"]) <= one["value"] <= max(one["rounds"]), one


def test_the_advice(found: Any) -> None:
    """It rests on all that was measured, and recorder.toml would take it."""
    advice = found["advice"]
    assert advice["commits_s"] > 0
    assert advice["rows_s"] > 0
    assert 0 <= advice["window_ms"] <= 1000
    assert 10 <= advice["at_risk_ms"] <= 60_000
    assert all(hours > 0 for hours in advice["hours_until_full"].values())


def test_what_was_given_is_there_afterwards(found: Any) -> None:
    """Whatever the recorder did, every event and row is stored or declared lost in the end."""
    loops = [(one["verb"], one["recorder"]) for one in found["calls"]]
    assert loops == [(verb, state) for verb in ("event", "record") for state in STATES]
    for one in found["calls"]:
        assert one["pending"] == 0, one
        assert one["given"] >= one["count"] > 0, one
        assert one["given"] == one["stored"] + one["declared_lost"], one
        assert one["adds_up"], one


def test_the_flood_was_one(found: Any) -> None:
    """It says what it did: commits and rows that were recorded, and messages that nobody can read."""
    floods = [one["meanwhile"] for one in found["calls"] if one["recorder"] == "flooded"]
    assert len(floods) == 2
    for flood in floods:
        assert min(flood["commits"], flood["row_messages"], flood["malformed"], flood["recorded"]) > 0
        assert flood["clients"] == 24
        assert flood["nice"] >= 10


def test_the_tables(found: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for people."""
    figures = [Figure(**{**one, "rounds": tuple(one["rounds"])}) for one in found["figures"]]
    bench._print(figures, found["calls"], ["commits: plan for 7/s"])
    printed = capsys.readouterr().out
    for one in figures:
        assert one.name in printed
    for part in ("p99.9", "floor is", "preempted", "declared lost", "  commits: plan for 7/s"):
        assert part in printed
    assert printed.count("24 clients at nice ") == 2
    assert printed.count(" yes\n") == 10


def test_what_does_not_add_up_is_said(found: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """One loop of ten that lost something is an exit status of 1 and a NO in its line."""
    assert bench_calls.exit_status(found["calls"]) == 0
    lossy = [{**one, "adds_up": one["recorder"] != "disk full"} for one in found["calls"]]
    assert bench_calls.exit_status(lossy) == 1
    bench_calls.show(lossy)
    assert capsys.readouterr().out.count(" NO\n") == 2


@pytest.mark.parametrize(
    ("only", "measures"),
    [
        (("sync",), {"sync", "memory"}),
        (("commit", "lmdb"), {"lmdb", "commit", "memory"}),
        (("verify",), {"verify"}),
    ],
)
def test_one_measure(tmp_path: Path, only: tuple[str, ...], measures: set[str]) -> None:
    """Nothing else runs, and the table is that of these."""
    chosen = [part for name in only for part in ("--only", name)]
    printed = parsed(lineage("bench", "--state", tmp_path / "b", *SMALL, "--seconds", "0.5", *chosen, "--json"))
    assert {one["measure"] for one in printed["figures"]} == measures
    assert printed["calls"] == []


def test_an_interrupted_flood_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C while the recorder is flooded: no process goes on, and the directory is gone."""
    process = subprocess.Popen(
        [*LINEAGE, "bench", "--state", str(tmp_path / "bench"), *SMALL, "--seconds", "12", "--only", "calls"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENV,
    )  # fmt: skip
    started: dict[int, str] = {}

    def is_flooding() -> bool:
        started.update(children(process.pid))
        return any("recorder.bench.flood" in command for command in started.values())

    try:
        wait_until(is_flooding)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=240)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, said.strip()) == (130, "lineage: interrupted")
    assert all(has_ended(pid) for pid in started), "each was waited for"
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_there_is_refused(tmp_path: Path) -> None:
    """It removes what it made, so it must have made it."""
    assert "exists" in one_line(lineage("bench", "--state", tmp_path))
