"""The parts of `bench`: a recorder with a full disk, what became of what was given, and who took the time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recorder.bench import calls as measure_calls
from recorder.bench import states as measure_states
from recorder.bench.acts import ACTUATOR, WHAT, opened
from recorder.bench.calls import Calls
from recorder.bench.fates import Fate, fates
from recorder.bench.process import RecorderProcess
from recorder.client import Recorder, Unavailable
from recorder.client.connection import boottime_ns
from recorder.daemon.founding import Answers, found
from tests.running import wait_until

NONE = measure_calls.Samples(array("d"), [], 0)
ROWS, EVENTS = 500, 5000  # beyond the ring of 100 rows and the queue of 4,096 events


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[RecorderProcess]:
    """A recorder that can be full."""
    state = tmp_path / "state"
    actuators = [ACTUATOR, measure_states.FILL]
    found(state, Answers("acme", "arm-7", "hold", [os.getuid()], actuators, measure_states.FULL_SEGMENT_MIB))
    with RecorderProcess(state, state / "recorder.sock", tmp_path / "log") as process:
        process.start()
        yield process


def test_a_full_disk_and_then_room(recorder: RecorderProcess) -> None:
    """A commit is turned away because nothing can be stored; after the state has ended it is taken again."""
    with Recorder(recorder.path, timeout_ms=60_000) as client, opened(client) as cycle:

        def is_turned_away() -> bool:
            try:
                cycle.commit(ACTUATOR, what=WHAT)
            except Unavailable as unavailable:
                return "cannot store" in str(unavailable)
            return False

        assert not is_turned_away()
        with measure_states.full(recorder, 1) as meanwhile:
            wait_until(is_turned_away)
        assert meanwhile["entries_meanwhile"] >= 0
        assert meanwhile["ended"] is False
        wait_until(lambda: not is_turned_away())
        wait_until(lambda: client.status()["prepare_failure"] is None)  # the next segment could be made
    assert recorder.stop() == 0


def test_a_full_recorder_that_ended_is_started_again(recorder: RecorderProcess) -> None:
    """As a service manager would do it."""
    with measure_states.full(recorder, 1) as meanwhile:
        recorder.kill()
    assert meanwhile == {"entries_meanwhile": None, "ended": True}
    with Recorder(recorder.path, timeout_ms=60_000) as client:
        wait_until(lambda: not client.status()["store_full"])


def test_fates_are_counted_in_the_store(recorder: RecorderProcess) -> None:
    """What found no room is within the count of a gap, all else is stored; each loop has its own."""
    loops = [_given_while_killed(recorder, verb, count) for verb, count in (("record", ROWS), ("event", EVENTS))]
    assert recorder.stop() == 0
    rows, events = fates(loops)
    assert rows == Fate(ROWS, stored=100, declared_lost=400)
    assert events == Fate(EVENTS, stored=4096, declared_lost=904)
    assert rows.adds_up
    assert events.adds_up
    assert not fates([loops[0]._replace(given=ROWS + 1)])[0].adds_up  # one is nowhere
    assert not fates([loops[0]._replace(given=ROWS - 1)])[0].adds_up  # one is there twice


def _given_while_killed(recorder: RecorderProcess, verb: str, count: int) -> Calls:
    with Recorder(recorder.path, ring_ms=100, timeout_ms=60_000) as client, opened(client) as cycle:
        stream = cycle.stream(ACTUATOR, fields=[("q", "<f4", 1, "rad")], what=WHAT)
        from_seq = client.status()["entries"]
        recorder.kill()
        began_ns = boottime_ns()
        for _ in range(count):
            if verb == "record":
                stream.record((0.5,))
            else:
                client.event("emergency_stop", actuators=[ACTUATOR], what=WHAT, reason="test")
        span = (began_ns, boottime_ns())
        recorder.start()
        client.flush(240)
        return Calls(verb, "killed", recorder.state, from_seq, span, NONE, count, 0, client.counts, {})


def _spin_until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 240
    while not condition() and time.monotonic() < end:
        pass
    return condition()


def test_a_call_that_lost_the_processor_is_marked() -> None:
    """What the scheduler took is told from what the call took by itself."""
    before = os.sched_getaffinity(0)
    cpu = min(before)
    busy = subprocess.Popen([sys.executable, "-c", f"import os; os.sched_setaffinity(0, [{cpu}])\nwhile True: pass"])
    try:
        os.sched_setaffinity(0, [cpu])
        at_first = measure_calls._preemptions()
        samples = measure_calls._loop(
            lambda: _spin_until(lambda: measure_calls._preemptions() > at_first), measure_calls.PERIOD_S
        )
    finally:
        os.sched_setaffinity(0, before)
        busy.kill()
        busy.wait()
    assert samples.preempted == [True]
    assert samples.refused == 0
    both = samples._replace(took_s=array("d", [*samples.took_s, 1e-6]), preempted=[True, False])
    loop = Calls("event", "running", Path(), 0, (0, 0), both, 2, 0, None, {})  # type: ignore[arg-type]
    assert loop.preempted == 1
    assert loop.max_alone_us == 1.0
    assert loop._replace(samples=samples).max_alone_us is None
