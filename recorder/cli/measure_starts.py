"""How long a start takes, with one nearly full segment and with more of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from recorder import config as configs
from recorder.cli.measure_commits import WHAT, WHERE, WHO
from recorder.cli.process import RecorderProcess
from recorder.core.kinds import Kind
from recorder.daemon import boot, identity
from recorder.daemon.clock import SystemClock
from recorder.store.tail import Op

BODY = {"who": WHO, "what": WHAT, "where": WHERE}  # about the bytes of an actuation
ENTRIES_A_RECORD = 4
FULL_SHARE = 16  # full but for this part of a segment
STARTS = 5


class Start(NamedTuple):
    """Starts on one lineage."""

    segments: int
    entries: int
    median_s: float


def measure(state: Path, socket: Path, log: Path, segments: int, tell: Callable[[str], None]) -> list[Start]:
    """Fill one segment, copy the state, fill the others; then start on either in turn, as the machine's mood changes.

    Args:
        state: an empty state, as `init` makes it.
        socket: where to listen.
        log: for the recorder's words.
        segments: how many in the end.
        tell: what is going on.

    """
    short = state.with_name(f"{state.name}-short")
    entries = [fill(state, 1, tell)]
    shutil.copytree(state, short)
    entries.append(fill(state, segments, tell))
    took_s: list[list[float]] = [[], []]
    for number in range(STARTS):
        for which, place in enumerate((short, state)):
            tell(f"start {number + 1} of {STARTS} with {entries[which]} entries")
            with RecorderProcess(place, socket, log) as recorder:
                took_s[which].append(recorder.start())
                recorder.stop()
    return [Start(count, entries[at], median(took_s[at])) for at, count in enumerate((1, segments))]


def fill(state: Path, segments: int, tell: Callable[[str], None]) -> int:
    """Write entries until the last of `segments` is nearly full, as the recorder would; returns how many there are."""
    config = configs.load(state)
    started = boot.start(state, config, identity.load(state), SystemClock(), boot.system_randomness)
    journal = started.context.journal
    store = journal.store
    room_bytes = config.store.segment_mib * 1024 * 1024 // FULL_SHARE
    written = 0
    try:
        while store.segments < segments or store.live_free_bytes > room_bytes:
            for _ in range(ENTRIES_A_RECORD):
                body = journal.family("body", BODY)
                journal.draft(Kind.MARK, {11: body.digest}, {11: body.claims})
            journal.tick()
            journal.write()
            written += 1
            if written % 1000 == 1:
                tell(f"filling segment {store.segments} of {segments}: {journal.tail.size} entries")
        journal.draft(Kind.STOP, {15: ["filled"]})
        journal.move(Op.STOP)
        journal.tick()
        journal.write()
        return journal.tail.size
    finally:
        store.close()
