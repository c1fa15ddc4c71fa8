"""Whether a commit costs more the more segments there are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from recorder.bench import loads, place
from recorder.bench.acts import ACTUATOR, PATIENCE_MS
from recorder.bench.figure import Figure, times
from recorder.bench.filling import filling, seal, write_some
from recorder.bench.process import RecorderProcess, short_socket
from recorder.client import Recorder

SEGMENT_MIB = 4  # the smallest: a thousand of them are 4 GB
TELL_EVERY = 10
MEASURE = "segments"


def measure(
    root: Path, log: Path, segments: int, rounds: int, seconds: float, tell: Callable[[str], None]
) -> list[Figure]:
    """Commit in the first segment of one recorder and in the last of another, in turn.

    Args:
        root: where to make both.
        log: for the recorders' words.
        segments: of the second one.
        rounds: how many.
        seconds: for all of them.
        tell: what is going on.

    """
    root.mkdir()
    each_s: tuple[list[list[float]], list[list[float]]] = ([], [])
    with ExitStack() as stack:
        recorders = [
            _with_segments(stack, root / name, log, count, tell) for name, count in (("few", 1), ("many", segments))
        ]
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}: commits in segment 1 and in segment {segments}")
            for recorder, took_s in zip(recorders, each_s, strict=True):
                took_s.append(loads.single(recorder.path, seconds / rounds / 2).each_s)
        for recorder in recorders:
            recorder.stop()
    return [
        times(MEASURE, "one in flight, in segment 1", each_s[0]),
        times(MEASURE, f"one in flight, in segment {segments}", each_s[1], "in segment 1", each_s[0]),
    ]


def _with_segments(
    stack: ExitStack, state: Path, log: Path, segments: int, tell: Callable[[str], None]
) -> RecorderProcess:
    """A recorder that runs on a lineage of so many segments, all but the last nearly empty."""
    place.make(state, [ACTUATOR], SEGMENT_MIB)
    with filling(state) as journal:
        while journal.store.segments < segments:
            write_some(journal)
            seal(journal, SEGMENT_MIB * 2**20)
            if journal.store.segments % TELL_EVERY == 0:
                tell(f"making segment {journal.store.segments} of {segments}")
    socket = stack.enter_context(short_socket(state))
    recorder = stack.enter_context(RecorderProcess(state, socket, log))
    recorder.start()
    with Recorder(recorder.path, client_name="bench", timeout_ms=PATIENCE_MS) as client:
        place.settle(recorder, client)
    return recorder
