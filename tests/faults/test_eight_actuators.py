"""Eight actuators at a kilohertz on a card that pauses: the C client's own example, the shipped configuration.

Nothing may be lost that is not declared, whatever the device does.  Speeds are printed by the long form, for those who read them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pytest

from recorder.daemon.founding import Answers, found
from tests.c.building import C99, compiled, needs_gcc
from tests.c.recorded import Recorded, recorded_in
from tests.faults.device import SD_CARD, Device
from tests.faults.lags import Lags, Pause, percentile
from tests.faults.mounted import Mounted, unavailable
from tests.faults.serving import Serving
from tests.faults.watched import Watched
from tests.running import verified

_missing = unavailable()
pytestmark = [pytest.mark.skipif(_missing is not None, reason=str(_missing)), needs_gcc, pytest.mark.alone]

ACTUATORS = [f"arm.joint{number}" for number in range(1, 9)]
HZ = 1000
PUSH_US, LAG_MS, TICK_US = 5.0, 200.0, 100.0  # at p99.9; the lag outside pauses, the tick beside one without a recorder
DRAINED_S, CORE_SHARE, GROWTH_KIB = 2.0, 0.1, 1024  # growth after the first minute
RSS_ANON_MAX_KIB = 32 * 1024
LONG_S, SHORT_S = 600, 20
ROUNDS, ROUND_S = 5, 15  # with and without a recorder, in turns
_ROWS = re.compile(r"^rows (.*), events", re.MULTILINE)
_POLICIES = {os.SCHED_OTHER: "SCHED_OTHER", os.SCHED_FIFO: "SCHED_FIFO"}


class Loop(NamedTuple):
    """One run of the loop.

    Attributes:
        said: percentiles by what was measured, in µs: tick, push.
        counts: what the client counted, by name: recorded, durable, dropped, pending.
        complaints: its standard error.
        scheduling: policy and priority of its first thread, halfway.
        lags: None without a recorder.

    """

    said: dict[str, dict[str, float]]
    counts: dict[str, int]
    complaints: str
    scheduling: str
    lags: Lags | None


def _loop(program: Path, seconds: int, socket: Path | None) -> Loop:
    """Run it to its end."""
    pairs = program.with_suffix(".lags")
    process = subprocess.Popen(
        [program, pairs, socket or "-", str(seconds), str(HZ), *ACTUATORS],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        time.sleep(seconds / 2)
        policy = _POLICIES[os.sched_getscheduler(process.pid)]
        scheduling = f"{policy} {os.sched_getparam(process.pid).sched_priority}"
        printed, complaints = process.communicate(timeout=seconds + 60)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 0, complaints
    said = {
        name: {key: float(value) for key, value in re.findall(r"(p[\d.]+|max) ([\d.]+)", rest)}
        for name, rest in re.findall(r"^(\w+)_us (.*)$", printed, re.MULTILINE)
    }
    counts = (
        {name: int(value) for name, value in re.findall(r"(\w+) (\d+)", _ROWS.findall(printed)[0])} if socket else {}
    )
    return Loop(said, counts, complaints, scheduling, Lags(pairs) if socket else None)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Mounted]:
    """A card with a state on it, as `lineage init` makes one."""
    with Mounted(tmp_path) as mounted:
        found(mounted.path / "state", Answers("acme", "arm-7", "hold", [os.getuid()], ACTUATORS))
        mounted.become(SD_CARD)
        yield mounted


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The loop, optimised as its reader is told to."""
    return compiled(Path(__file__).parent / "loop_with_lags.c", tmp_path / "loop", *C99, "-O2")


def _pauses(mounted: Mounted, lags: Lags) -> list[Pause]:
    """Those that ended while the loop pushed."""
    return [pause for pause in mounted.pauses if lags.pushed[0] <= pause[1] <= lags.pushed[-1]]


def _holds(state: Path, loops: list[tuple[Loop, int]], watched: Watched) -> Recorded:
    """Assert what must hold whatever the device does; each loop with its ticks.  Returns what stands in the store."""
    stored = recorded_in(state, "<Q4fI")
    given = durable = 0
    for loop, ticks in loops:
        counts = loop.counts
        given += ticks * len(ACTUATORS)
        durable += counts["durable"]
        assert counts["recorded"] + counts["dropped"] == ticks * len(ACTUATORS)
        assert counts["durable"] == counts["recorded"]
        assert counts["pending"] == 0
        assert loop.lags is not None
        assert len(loop.lags.known) == counts["durable"]
    assert stored.rows == durable
    assert stored.rows + stored.lost("row ring") == given, "rows are lost that no gap declares"
    assert len(stored.ticks) == len(ACTUATORS)
    for found_ticks in stored.ticks.values():
        assert max(Counter(found_ticks).values()) <= len(loops), "a row is stored twice"
    report = verified(state)
    assert report.integrity == "pass", report.problem_counts
    assert set(report.problem_counts) <= ({"gap_declared"} if stored.gaps else set()), report.problem_counts
    assert max(watched.rss_anon_kib) < RSS_ANON_MAX_KIB
    return stored


def _drains(lags: Lags, pauses: list[Pause]) -> list[float]:
    """Seconds from the end of each pause until all that was pushed before it is durable; before the next one begins."""
    found = []
    for at, pause in enumerate(pauses):
        drained_ns = lags.drained_ns(pause)
        if at + 1 < len(pauses):
            assert drained_ns < pauses[at + 1][0], "one pause's rows still wait when the next one begins"
        found.append((drained_ns - pause[1]) / 1e9)
    return found


def test_eight_actuators_on_a_card_that_pauses(mounted: Mounted, program: Path) -> None:
    """Each row is durable once or declared lost, each pause's rows are written before the next one, and it verifies."""
    with Serving(mounted.path / "state", mounted.path.parent / "socket") as serving:
        assert serving.records, serving.said
        with Watched(serving.process.pid) as watched:
            loop = _loop(program, SHORT_S, serving.socket)
        mounted.become(SD_CARD)
        assert serving.stop() == 0, serving.said
    assert loop.lags is not None
    pauses = _pauses(mounted, loop.lags)
    assert pauses, "the card did not pause: nothing was shown"
    _drains(loop.lags, pauses)
    _holds(mounted.path / "state", [(loop, SHORT_S * HZ)], watched)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_eight_actuators_for_ten_minutes(mounted: Mounted, program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for ten minutes, and then the loop in turns with and without a recorder; prints what was measured."""
    before = os.getloadavg()
    with Serving(mounted.path / "state", mounted.path.parent / "socket") as serving:
        assert serving.records, serving.said
        syncs = mounted.become(SD_CARD)
        transactions = _status(serving)["transactions"]
        with Watched(serving.process.pid) as watched:
            loop = _loop(program, LONG_S, serving.socket)
        syncs = mounted.become(SD_CARD) - syncs
        transactions = _status(serving)["transactions"] - transactions
        load = os.getloadavg()
        rounds = [(_loop(program, ROUND_S, serving.socket), _loop(program, ROUND_S, None)) for _ in range(ROUNDS)]
        assert serving.stop() == 0, serving.said
    mounted.become(Device())
    assert loop.lags is not None
    pauses = _pauses(mounted, loop.lags)
    assert pauses
    told = [
        f"load before {before}, after ten minutes {load}; loop {loop.scheduling}; planner said {loop.complaints!r}",
        *_speeds(loop.lags, mounted.pauses, pauses),
        *_costs(watched, transactions, syncs),
        *_ticks(loop, rounds),
    ]
    ran = [(loop, LONG_S * HZ), *((with_recorder, ROUND_S * HZ) for with_recorder, _ in rounds)]
    stored = _holds(mounted.path / "state", ran, watched)
    told.append(f"rows stored {stored.rows}, declared lost {stored.lost('row ring')}; {len(stored.requests)} messages")
    with capsys.disabled():
        print("", *told, sep="\n  ")
    # What a controller may rely on; after the figures, so that a miss says by how much.
    assert loop.said["push"]["p99.9"] <= PUSH_US
    assert percentile(loop.lags.outside_ms(mounted.pauses), 99.9) < LAG_MS
    assert max(_drains(loop.lags, pauses)) <= DRAINED_S
    assert sum(watched.spent_s) <= CORE_SHARE * watched.seconds
    anon = watched.rss_anon_kib
    assert max(anon[60:]) - anon[60] < GROWTH_KIB
    more_us = [one.said["tick"]["p99.9"] - other.said["tick"]["p99.9"] for one, other in rounds]
    assert median(more_us) <= TICK_US


def _status(serving: Serving) -> dict[str, Any]:
    """The page that it writes once a second."""
    time.sleep(2.5)
    return dict(json.loads((serving.socket.parent / "status.json").read_text()))


def _speeds(lags: Lags, every: list[Pause], pauses: list[Pause]) -> list[str]:
    """Rows that waited in any pause are left out, in one too that began before the last push and ended after it."""
    drains = _drains(lags, pauses)
    named = {"lag outside pauses": lags.outside_ms(every), "lag of all rows": lags.all_ms()}
    return [
        *(
            f"{name}: p50 {percentile(ms, 50):.1f} p99 {percentile(ms, 99):.1f} p99.9 {percentile(ms, 99.9):.1f} "
            f"max {ms[-1]:.1f} ms of {len(ms)}"
            for name, ms in named.items()
        ),
        f"{len(pauses)} pauses, drained after: median {median(drains):.3f} worst {max(drains):.3f} s",
    ]


def _costs(watched: Watched, transactions: int, syncs: int) -> list[str]:
    seconds, anon = watched.seconds, watched.rss_anon_kib
    minute = min(60, len(anon) - 1)
    first_s, others_s = watched.spent_s
    return [
        f"recorder: {(first_s + others_s) / seconds:.1%} of a core over {seconds:.1f} s (first thread {first_s:.1f} s, others {others_s:.1f} s)",
        f"{watched.sleeps / seconds:.1f} sleeps, {transactions / seconds:.1f} transactions, {syncs / seconds:.1f} syncs/s",
        f"RssAnon KiB: first {anon[0]}, at a minute {anon[minute]}, most after it {max(anon[minute:])}, last {anon[-1]}",
        f"RssAnon KiB each minute: {anon[::60]}",
    ]


def _ticks(loop: Loop, rounds: list[tuple[Loop, Loop]]) -> list[str]:
    found = [f"ten minutes: push {loop.said['push']} us, tick {loop.said['tick']} us"]
    found += [
        f"round {at}: tick p99.9 {one.said['tick']['p99.9']} with, {other.said['tick']['p99.9']} us without; "
        f"push p99.9 {one.said['push']['p99.9']} max {one.said['push']['max']} us"
        for at, (one, other) in enumerate(rounds, 1)
    ]
    more = median(one.said["tick"]["p99.9"] - other.said["tick"]["p99.9"] for one, other in rounds)
    return [*found, f"tick p99.9 with less without, median of the rounds: {more:.1f} us"]
