"""The measures that were asked for, one after the other."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from recorder.bench import calls, flood, gated, paced, place, rounds, segments, starts, verifying, written
from recorder.bench.advice import Advice, advise
from recorder.bench.calls import Calls
from recorder.bench.fates import Fate, fates
from recorder.bench.figure import Figure
from recorder.bench.process import RecorderProcess, short_socket

# Measures as `--only` names them, with their shares of the time.  That of a start takes the time that it takes.
SHARES = {
    **dict(zip(rounds.MEASURES, (1, 1, 5, 8, 5), strict=True)),
    paced.MEASURE: 8,
    written.MEASURE: 4,
    verifying.MEASURE: 3,
    segments.MEASURE: 4,
    calls.MEASURE: 10,
    gated.MEASURE: 5,
    starts.MEASURE: 0,
}
WINDOW_MS = 50  # as `init` sets it
MEMORY = "memory"


class Plan(NamedTuple):
    """What to measure.

    Attributes:
        wanted: of SHARES.
        seconds: for all measures together, without what they have to make first.
        rounds: of those that are interleaved.
        segment_mib: size of a segment.
        segments: in the last of which a commit is compared with one in the first.
        actuators: that record rows at the same time.

    """

    wanted: Collection[str]
    seconds: float
    rounds: int
    segment_mib: int
    segments: int
    actuators: int

    def share_s(self, *names: str) -> float:
        """Seconds for these measures; none where they are not wanted."""
        total = sum(SHARES[name] for name in self.wanted)
        return self.seconds * sum(SHARES[name] for name in names if name in self.wanted) / total if total else 0.0


class Result(NamedTuple):
    """What was found."""

    figures: list[Figure]
    calls: list[tuple[Calls, Fate]]
    advice: Advice


def measure(root: Path, plan: Plan, tell: Callable[[str], None]) -> Result:
    """Measure; everything lies in `root`, which the caller removes.

    Args:
        root: a directory that is there, on the disk to measure.
        plan: what to measure.
        tell: what is going on.

    Raises:
        LineageError, OSError: it cannot be measured here; the message says why.

    """
    figures: list[Figure] = []
    rows: list[paced.Paced] = []
    loops: list[tuple[Calls, Fate]] = []
    log = root / "recorder.log"
    with short_socket(root) as socket:
        if any(name in plan.wanted for name in (*rounds.MEASURES, paced.MEASURE, calls.MEASURE)):
            found, rows, loops = _with_one_recorder(root, socket, log, plan, tell)
            figures += found
        if written.MEASURE in plan.wanted:
            figures += _written(root / "written", socket, log, plan, tell)
        if verifying.MEASURE in plan.wanted:
            seconds = plan.share_s(verifying.MEASURE)
            figures += verifying.measure(root / "verify", plan.segment_mib, plan.rounds, seconds, tell)
        if segments.MEASURE in plan.wanted:
            seconds = plan.share_s(segments.MEASURE)
            figures += segments.measure(root / "segments", log, plan.segments, plan.rounds, seconds, tell)
        if gated.MEASURE in plan.wanted:
            figures += gated.measure(root / "gated", log, plan.rounds, plan.share_s(gated.MEASURE), tell)
        if starts.MEASURE in plan.wanted:
            figures += starts.measure(root / "starts", socket, log, plan.segment_mib, tell)
    return Result(figures, loops, advise(figures, rows, shutil.disk_usage(root).free))


def _with_one_recorder(
    root: Path, socket: Path, log: Path, plan: Plan, tell: Callable[[str], None]
) -> tuple[list[Figure], list[paced.Paced], list[tuple[Calls, Fate]]]:
    """Those that share one: its memory after each says whether it grows."""
    names = paced.actuators(plan.actuators)
    place.make(root / "state", [*names, flood.ACTUATOR], plan.segment_mib)
    rows: list[paced.Paced] = []
    loops: list[Calls] = []
    with RecorderProcess(root / "state", socket, log) as recorder:
        seconds, segment_bytes = plan.share_s(*rounds.MEASURES), plan.segment_mib * 2**20
        figures = rounds.measure(recorder, root, segment_bytes, plan.wanted, plan.rounds, seconds, tell)
        figures += _memory(recorder, "after the rounds")
        if paced.MEASURE in plan.wanted:
            found, rows = paced.measure(recorder, names, WINDOW_MS, plan.share_s(paced.MEASURE), tell)
            figures += found
        if calls.MEASURE in plan.wanted:
            loops = calls.measure(recorder, root, plan.share_s(calls.MEASURE) / calls.SHARE, tell)
            figures += [one.figure() for one in loops]
            figures += _memory(recorder, "after the loops")
        recorder.stop()
    tell("counting in the store what the loops gave")
    return figures, rows, list(zip(loops, fates(loops), strict=True))


def _written(state: Path, socket: Path, log: Path, plan: Plan, tell: Callable[[str], None]) -> list[Figure]:
    names = paced.actuators(plan.actuators)
    place.make(state, names, plan.segment_mib, written.WINDOW_MS)
    with RecorderProcess(state, socket, log) as recorder:
        return written.measure(recorder, names, plan.share_s(written.MEASURE), tell)


def _memory(recorder: RecorderProcess, when: str) -> list[Figure]:
    """RssFile counts the pages of the live segment and of our libraries, which the kernel may take back."""
    return [Figure(MEMORY, f"{name} {when}", "MiB", kib / 1024) for name, kib in recorder.memory_kib().items()]
