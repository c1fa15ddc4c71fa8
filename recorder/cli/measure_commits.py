"""One commit in flight against a bare LMDB synchronous commit of the same bytes, in interleaved rounds."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from recorder.cli.process import RecorderProcess
from recorder.client import Cycle, Recorder
from recorder.store import record
from recorder.store.layout import lineage_dir, ordinals, read_current, segment_dir
from recorder.store.prepare import create
from recorder.store.segment import Segment

ACTUATOR = "bench"
WHO: dict[str, Any] = {"operator": "bench", "delegation": None, "task": "measure"}
WHAT: dict[str, Any] = {
    "mode": "position",
    "target": "waypoint 7",
    "magnitude": 0.25,
    "unit": "rad",
    "duration_ms": 20,
    "reversibility": "reversible",
    "confirm_by_ms": None,
}
WHERE: dict[str, Any] = {
    "frame": "base",
    "position_m": [0.41, -0.12, 0.73],
    "orientation_xyzw": [0.0, 0.0, 0.3827, 0.9239],
    "velocity_mps": [0.0, 0.1, 0.0],
}
WHY: dict[str, Any] = {"evaluator": "bench/1", "clauses": [], "inputs": [], "alternatives": []}
WARM_UP = 100
SAMPLES_MIN = 20
MARGIN_BYTES = 64 * 1024
VALID_MS = 60_000


class Round(NamedTuple):
    """Seconds of each call, bare and through client and recorder."""

    bare_s: list[float]
    recorded_s: list[float]

    @property
    def ratio(self) -> float:
        """Of the medians."""
        return median(self.recorded_s) / median(self.bare_s)


class Comparison(NamedTuple):
    """All rounds."""

    rounds: list[Round]
    record_bytes: int

    @property
    def ratio(self) -> float:
        """Median of the rounds' ratios."""
        return median(one.ratio for one in self.rounds)


def warmed_up(recorder: RecorderProcess) -> list[bytes]:
    """Commit some, stop the recorder and read back what it stored of them: the bytes to compare with."""
    recorder.start()
    with Recorder(recorder.path, client_name="bench") as client, opened(client) as cycle:
        for _ in range(WARM_UP):
            cycle.commit(ACTUATOR, what=WHAT, where=WHERE)
    recorder.stop()
    return stored_values(recorder.state)


def opened(client: Recorder, valid_ms: int = VALID_MS) -> Cycle:
    """A cycle for the bench's actuator."""
    return client.open_cycle(
        who=WHO, why=WHY, actuators=[ACTUATOR], action_classes=["motion"], max_commits=1_000_000, valid_ms=valid_ms
    )


def stored_values(state: Path) -> list[bytes]:
    """LMDB values of the last commits of a stopped recorder."""
    current = read_current(state)
    assert current is not None, "a recorder ran on it"
    lineage = lineage_dir(state, current)
    values = []
    for ordinal in ordinals(lineage):
        segment = Segment(segment_dir(lineage, ordinal), 0, live=False)
        try:
            if segment.head() is not None:
                values += [record.encode(found) for _, found in segment.records()]
        finally:
            segment.close()
    return values[-WARM_UP // 2 - 4 : -4]  # the last ones are the cycle's end and the stop entry


def compare(
    recorder: RecorderProcess, bare: Path, segment_bytes: int, rounds: int, seconds: float, tell: Callable[[str], None]
) -> Comparison:
    """Run the rounds, half of each bare and half recorded.

    Args:
        recorder: not running yet; it runs on when this returns.
        bare: where to put the bare environment.
        segment_bytes: size of a segment of either.
        rounds: how many.
        seconds: for all of them.
        tell: what is going on.

    """
    tell("warming up, and reading back the bytes to compare with")
    values = warmed_up(recorder)
    recorder.start()
    done = []
    half_s = seconds / rounds / 2
    environment = Bare(bare, segment_bytes)
    try:
        with Recorder(recorder.path, client_name="bench") as client:
            for number in range(rounds):
                tell(f"commits: round {number + 1} of {rounds}")
                bare_s: list[float] = []
                end = time.perf_counter() + half_s
                while len(bare_s) < SAMPLES_MIN or time.perf_counter() < end:
                    bare_s.append(environment.commit(values[len(bare_s) % len(values)]))
                done.append(Round(bare_s, _recorded(client, half_s)))
    finally:
        environment.close()
    return Comparison(done, round(median(map(len, values))))


class Bare:
    """An LMDB environment made and written as the store does, and nothing around it."""

    def __init__(self, path: Path, segment_bytes: int) -> None:
        self._path = path
        self._segment_bytes = segment_bytes
        self._ordinal = 0
        self._seq = 0
        self._segment = self._make()

    def commit(self, value: bytes) -> float:
        """Seconds of one synchronous transaction."""
        if self._segment.free_bytes < len(value) + MARGIN_BYTES:
            self.close()
            self._segment = self._make()
        began = time.perf_counter()
        self._segment.append(self._seq, value, [])
        took_s = time.perf_counter() - began
        self._seq += 1
        return took_s

    def close(self) -> None:
        """Let go of the file."""
        self._segment.close()

    def _make(self) -> Segment:
        self._ordinal += 1
        path = self._path / str(self._ordinal)
        create(path, self._segment_bytes)
        return Segment(path, self._segment_bytes, live=True)


def _recorded(client: Recorder, seconds: float) -> list[float]:
    took_s: list[float] = []
    with opened(client) as cycle:
        end = time.perf_counter() + seconds
        while len(took_s) < SAMPLES_MIN or time.perf_counter() < end:
            began = time.perf_counter()
            cycle.commit(ACTUATOR, what=WHAT, where=WHERE)
            took_s.append(time.perf_counter() - began)
    return took_s
