"""A state directory to measure on."""

from __future__ import annotations

import os
import time
from pathlib import Path

from recorder import config as configs
from recorder.bench.process import ProcessError, RecorderProcess
from recorder.client import Recorder
from recorder.daemon.founding import Answers, found
from recorder.store.layout import CONFIG, lineage_dir, ordinals, read_current

FIELDS_CLASS, WHOLE_CLASS = "bench-fields", "bench-whole"
LONG_MS = 86_400_000
MANY = 1_000_000_000  # commits and rows of a cycle: none of the measures comes near it
SETTLE_S = 60.0
ROOT_WRITTEN_BYTES = 120  # of a meta page, by mdb_env_write_meta
_WINDOW = "rows_window_ms = 50 "
_CLASS = """
[class.{name}]                  # of `lineage bench`: cycles that outlast a measure
gated = true
on_unavailable = "hold"
claims = "{claims}"
max_commits = {many}
max_valid_ms = {long_ms}
"""


def make(
    state: Path, actuators: list[str], segment_mib: int, rows_window_ms: int | None = None, trust: bytes | None = None
) -> None:
    """Make a state as `init` does, with classes for commits without end; perhaps another window for rows, and roots."""
    found(state, Answers("bench", "bench", "hold", [os.getuid()], actuators, segment_mib, trust=trust))
    path = state / CONFIG
    text = path.read_text("utf-8")
    for name, claims in ((FIELDS_CLASS, "fields"), (WHOLE_CLASS, "whole")):
        text += _CLASS.format(name=name, claims=claims, many=MANY, long_ms=LONG_MS)
    if rows_window_ms is not None:
        text = text.replace(_WINDOW, f"rows_window_ms = {rows_window_ms} ")
    path.write_text(text, "utf-8")
    made = configs.load(state)
    assert rows_window_ms in {None, made.recorder.rows_window_ms}, "the template of `init` has the window in it"


def settle(recorder: RecorderProcess, client: Recorder) -> None:
    """Wait until the next segment is made: its making writes to the device that is measured.

    Raises:
        ProcessError: it is not made.

    """
    until = time.monotonic() + SETTLE_S
    current = read_current(recorder.state)
    assert current is not None, "a recorder runs on it"
    while len(ordinals(lineage_dir(recorder.state, current))) <= (page := client.status())["segments"]:
        if time.monotonic() > until:
            raise ProcessError(f"no next segment after {SETTLE_S:.0f} s: {page['prepare_failure'] or 'still at it'}")
        time.sleep(0.02)


def used_bytes(recorder: RecorderProcess, client: Recorder) -> int:
    """Room of all segments that is taken so far."""
    page = client.status()
    segment_bytes = configs.load(recorder.state).store.segment_mib * 1024 * 1024
    return int(page["segments"] * segment_bytes - page["live_free_bytes"])


def written_bytes(recorder: RecorderProcess, client: Recorder) -> int:
    """What the recorder's file system is given to write so far, in whole pages.

    Of each transaction the pages that LMDB writes, and one for its root, of which it writes 120 bytes.  The write_bytes
    of /proc/PID/io will not do: Linux 6.18 keeps a file that was filled in large pieces in large pieces (folios) and
    counts a whole one for each page, where ext4 gives the device the page.  This count was within 5 % of what
    /sys/block/*/stat says of an ext4 of its own.
    """
    root_bytes = os.sysconf("SC_PAGE_SIZE") - ROOT_WRITTEN_BYTES
    return recorder.file_bytes() + int(client.status()["transactions"]) * root_bytes
