"""A loop, a planner and a watcher on one client, while the recorder is killed, stopped and started: all is accounted for."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.c.building import C99, HERE, SANITIZERS, Program, compiled, needs_gcc
from tests.c.recorded import recorded_in
from tests.running import Running, make_state, verified

pytestmark = [needs_gcc, pytest.mark.alone]
TICKS = 3000


def _trouble(recorder: Running, rounds: int) -> None:
    for number in range(rounds):
        time.sleep(0.2)
        if number % 2:
            recorder.process.send_signal(signal.SIGSTOP)
            time.sleep(0.3)
            recorder.process.send_signal(signal.SIGCONT)
        else:
            recorder.kill()
            time.sleep(0.3)
            recorder.restart()


@pytest.mark.parametrize("sanitizer", SANITIZERS)
@pytest.mark.parametrize(
    ("capacity", "rounds", "ticks", "options"),
    [
        (16384, 5, TICKS, []),
        (256, 5, TICKS, []),
        (64, 5, TICKS, ["-DLINI_MARKS=3", "-DLINI_USES=1"]),
        pytest.param(4096, 100, 40_000, [], marks=pytest.mark.slow),
    ],
)
def test_every_row_is_durable_once_or_declared(
    tmp_path: Path, sanitizer: str, capacity: int, rounds: int, ticks: int, options: list[str]
) -> None:
    """With room for all, all rows stand in the log, once and in order; with little, of rows or marks, the rest is counted there."""
    driver = compiled(HERE / "driver.c", tmp_path / "driver", *C99, *SANITIZERS[sanitizer], *options)
    state = make_state(tmp_path / "s")
    with Running(state) as recorder, Program(driver, recorder.socket, "mixed", ticks, 1000, capacity) as program:
        program.wait_for("started")
        _trouble(recorder, rounds)
        told = program.end()
        assert recorder.stop() == 0, recorder.said
    assert told["closed"] == 1
    assert told["offered"] == 2 * ticks
    assert told["taken"] == told["rows_recorded"] == told["rows_acknowledged"]
    assert told["offered"] - told["taken"] == told["rows_dropped"]
    assert told["rows_dropped"] + told["events_dropped"] == told["lost_declared"]
    assert told["rows_pending"] == told["rows_rejected"] == told["losses_pending"] == told["lost_undeclared"] == 0
    assert told["commits_ok"] > 0
    assert told["commits_other"] == 0

    report = verified(state)
    wrong = [problem for problem in report.problems if problem.error not in {"unclean_stop", "gap_declared"}]
    assert (report.integrity, report.authority) == ("pass", "nothing"), wrong
    found = recorded_in(state)
    assert len(found.ticks) == 2
    for ticks_of in found.ticks.values():
        assert ticks_of == sorted(set(ticks_of))
    assert found.rows == told["taken"]
    assert found.lost("row ring of client driver full") == told["rows_dropped"]
    assert sorted(found.events) == sorted(set(found.events))
    assert len(found.events) == told["events_taken"]
    assert len(set(found.requests)) == len(found.requests)
    assert set(found.commits.values()) == {1}
    for number, _, _ in told["durable"]:
        assert found.commits[number] == 1
    # What was given up stands in the log at most once and is abandoned there, or never reached it.
    assert len(found.commits) <= told["commits_ok"] + found.abandoned
    if capacity > 2 * ticks:
        assert found.rows == 2 * ticks
