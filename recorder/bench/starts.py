"""How long a start takes, with one nearly full segment and with more of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import median

from recorder import config as configs
from recorder.bench import place
from recorder.bench.acts import ACTUATOR
from recorder.bench.figure import Figure
from recorder.bench.filling import filling, write_some
from recorder.bench.process import RecorderProcess

FULL_SHARE = 16  # full but for this part of a segment
STARTS = 3
SEGMENTS = 2
MEASURE = "start"


def measure(state: Path, socket: Path, log: Path, segment_mib: int, tell: Callable[[str], None]) -> list[Figure]:
    """Fill one segment, copy the state, fill another; then start on either in turn, as the machine's mood changes.

    Args:
        state: to make.
        socket: where to listen.
        log: for the recorder's words.
        segment_mib: size of a segment.
        tell: what is going on.

    """
    place.make(state, [ACTUATOR], segment_mib)
    short = state.with_name(f"{state.name}-short")
    entries = [fill(state, 1, tell)]
    shutil.copytree(state, short)
    entries.append(fill(state, SEGMENTS, tell))
    took_s: list[list[float]] = [[], []]
    for number in range(STARTS):
        for which, where in enumerate((short, state)):
            tell(f"start {number + 1} of {STARTS} with {entries[which]} entries")
            with RecorderProcess(where, socket, log) as recorder:
                took_s[which].append(recorder.start())
                recorder.stop()
    floor_s = median(took_s[0])
    return [
        Figure(
            MEASURE, f"{count} segments, {entries[at]:,} entries", "s", median(took_s[at]), floor=floor_s,
            floor_name="with 1 segment", ratio=median(took_s[at]) / floor_s, rounds=tuple(took_s[at]),
        )
        for at, count in enumerate((1, SEGMENTS))
    ]  # fmt: skip


def fill(state: Path, segments: int, tell: Callable[[str], None]) -> int:
    """Write entries until the last of `segments` is nearly full; returns how many entries there are."""
    room_bytes = configs.load(state).store.segment_mib * 1024 * 1024 // FULL_SHARE
    written = 0
    with filling(state) as journal:
        while journal.store.segments < segments or journal.store.live_free_bytes > room_bytes:
            write_some(journal)
            written += 1
            if written % 1000 == 1:
                tell(f"filling segment {journal.store.segments} of {segments}: {journal.tail.size} entries")
    return journal.tail.size
