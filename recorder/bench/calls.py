"""How long `event()` and `record()` keep a control loop at 1 kHz, whatever the recorder does meanwhile."""

from __future__ import annotations

import os
import resource
import time
from array import array
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import NamedTuple

from recorder.bench.acts import ACTUATOR, FIELDS, PATIENCE_MS, ROW, WHAT, opened
from recorder.bench.figure import Figure, spread
from recorder.bench.process import RecorderProcess, short_socket
from recorder.bench.states import FILL, FULL, FULL_SEGMENT_MIB, STATES, Facts, State, full
from recorder.client import Counts, Recorder, Unavailable
from recorder.client.connection import boottime_ns
from recorder.daemon.founding import Answers, found

PERIOD_S = 0.001
WARM_UP_S = 0.2
SETTLE_S = 30.0
VERBS = ("event", "record")
MEASURE = "calls"
SHARE = len(VERBS) * (len(STATES) + 1)  # loops in all


class Samples(NamedTuple):
    """Calls in order, kept as numbers: objects that wait would make the garbage collector's runs the longest calls.

    Attributes:
        took_s: each, by perf_counter.
        preempted: whether the scheduler took the processor from the loop's thread meanwhile (getrusage(2), ru_nivcsw):
            what the call took is then not our code's time alone.
        refused: how many returned False: the client had no room, and declares the loss.

    """

    took_s: array[float]
    preempted: list[bool]
    refused: int


class Calls(NamedTuple):
    """One loop.

    Attributes:
        verb: event or record.
        recorder: what the recorder was doing: a key of STATES, or FULL.
        state_dir: of the recorder.
        from_seq: entries in it before the first call.
        span_mono_ns: before the first call and after the last one, CLOCK_BOOTTIME.
        samples: the calls.
        given: how many calls, those included that only warmed up.
        refused: of those given.
        after: where everything was once the recorder was back.
        meanwhile: what happened in that state, as `measure_states` says.

    """

    verb: str
    recorder: str
    state_dir: Path
    from_seq: int
    span_mono_ns: tuple[int, int]
    samples: Samples
    given: int
    refused: int
    after: Counts
    meanwhile: Facts

    def figure(self) -> Figure:
        """How long the calls took."""
        took_us = spread([one * 1e6 for one in self.samples.took_s])
        return Figure(MEASURE, f"{self.verb}(), recorder {self.recorder}", "µs", took_us["p50"], took_us)

    @property
    def preempted(self) -> int:
        """Calls during which the scheduler took the processor away."""
        return sum(self.samples.preempted)

    @property
    def max_alone_us(self) -> float | None:
        """The longest call but for those; None where there is no other."""
        alone_s = [took_s for took_s, preempted in zip(*self.samples[:2], strict=True) if not preempted]
        return max(alone_s) * 1e6 if alone_s else None


def measure(recorder: RecorderProcess, root: Path, seconds: float, tell: Callable[[str], None]) -> list[Calls]:
    """Loop over both verbs in each state.

    Args:
        recorder: it runs before and after; it has the actuators that `measure_commits` and `flood` name.
        root: where to put recorders that get full, each in a new directory.
        seconds: of each loop.
        tell: what is going on.

    """
    loops = []
    for verb in VERBS:
        for name, state in STATES.items():
            loops.append(_one(recorder, verb, (name, state), seconds, tell))
        loops.append(_full(root / f"full-{verb}", verb, seconds, tell))
    return loops


def _full(place: Path, verb: str, seconds: float, tell: Callable[[str], None]) -> Calls:
    """A recorder of its own, since one that was full has a part of its segment left that no other loop should get."""
    found(place, Answers("bench", "full", "hold", [os.getuid()], [ACTUATOR, FILL], FULL_SEGMENT_MIB))
    with short_socket(place) as socket, RecorderProcess(place, socket, place / "recorder.log") as recorder:
        recorder.start()
        done = _one(recorder, verb, (FULL, full), seconds, tell)
        recorder.stop()
    return done


def _one(
    recorder: RecorderProcess, verb: str, state: tuple[str, State], seconds: float, tell: Callable[[str], None]
) -> Calls:
    name, enter = state
    tell(f"{verb}() at 1 kHz, recorder {name}")
    client = Recorder(recorder.path, client_name="bench", timeout_ms=PATIENCE_MS, ring_ms=ceil(seconds * 1000) + 2000)
    try:
        cycle = opened(client)
        stream = cycle.stream(ACTUATOR, fields=FIELDS, what=WHAT, where={})

        def event() -> bool:
            return client.event("emergency_stop", actuators=[ACTUATOR], what=WHAT, reason="bench")

        def record() -> bool:
            return stream.record(ROW)

        call = event if verb == "event" else record
        from_seq, began_ns = client.status()["entries"], boottime_ns()
        warm_up = _loop(call, min(WARM_UP_S, seconds))
        with enter(recorder, seconds) as meanwhile:
            samples = _loop(call, seconds)
        ended_ns = boottime_ns()
        with suppress(Unavailable):  # then `after` says what is pending
            client.flush(SETTLE_S)
        return Calls(
            verb, name, recorder.state, from_seq, (began_ns, ended_ns), samples,
            given=len(warm_up.took_s) + len(samples.took_s), refused=warm_up.refused + samples.refused,
            after=client.counts, meanwhile=meanwhile,
        )  # fmt: skip
    finally:
        with suppress(Unavailable):
            client.close()


def _loop(call: Callable[[], bool], seconds: float) -> Samples:
    took_s: array[float] = array("d")
    preempted = []
    refused = 0
    due = time.perf_counter()
    end = due + seconds
    while due < end:
        due += PERIOD_S
        if (left := due - time.perf_counter()) > 0:
            time.sleep(left)
        before = _preemptions()
        began = time.perf_counter()
        taken = call()
        took_s.append(time.perf_counter() - began)
        preempted.append(_preemptions() > before)
        refused += not taken
    return Samples(took_s, preempted, refused)


def _preemptions() -> int:
    """Of this thread alone: a call that waits for the client's own thread gives way by itself, and is our time."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
