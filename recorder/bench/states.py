"""What a recorder can be doing while a control loop goes on: each state is entered, held and left again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from recorder.bench.acts import PATIENCE_MS, VALID_MS, WHAT, opened
from recorder.bench.flood_process import FloodProcess
from recorder.bench.process import ProcessError, RecorderProcess
from recorder.client import Recorder, Stream, Unavailable
from recorder.store.layout import lineage_dir, ordinals, read_current
from recorder.store.store import RECORD_SHARE

Facts = dict[str, Any]  # what happened in a state, complete once it was left
State = Callable[[RecorderProcess, float], AbstractContextManager[Facts]]

FILL = "fill"  # the actuator of what only fills the disk
FULL_SEGMENT_MIB = 16
FULL_SEGMENT_BYTES = FULL_SEGMENT_MIB * 1024 * 1024
FILE_MAX_BYTES = (
    FULL_SEGMENT_BYTES - 64 * 1024
)  # no further segment can be made, and the live one is never written so far
FILL_FIELDS = [("value", "<f8", 500, "1")]
FILL_ROW = bytes(8 * 500)
FILL_ROWS = 128  # half a mebibyte at a time, of four that a full recorder has left
FILL_S = 60.0
FILL_POLL_S = 0.02
FLUSH_S = 5.0
FLOOD_MARGIN_S = 30.0


@contextmanager
def running(_recorder: RecorderProcess, _seconds: float) -> Iterator[Facts]:
    """Nothing special."""
    yield {}


@contextmanager
def killed(recorder: RecorderProcess, _seconds: float) -> Iterator[Facts]:
    """SIGKILL, and a new start at the end."""
    recorder.kill()
    yield {}
    recorder.start()


@contextmanager
def stopped(recorder: RecorderProcess, _seconds: float) -> Iterator[Facts]:
    """SIGSTOP, and SIGCONT at the end."""
    recorder.pause()
    yield {}
    recorder.resume()


@contextmanager
def flooded(recorder: RecorderProcess, seconds: float) -> Iterator[Facts]:
    """Many clients that send as fast as they are answered; the facts are `flood.flood`'s."""
    facts: Facts = {}
    with FloodProcess(recorder.path, seconds + FLOOD_MARGIN_S, recorder.log.with_name("flood.log")) as flood:
        yield facts
        facts |= flood.end()


@contextmanager
def full(recorder: RecorderProcess, _seconds: float) -> Iterator[Facts]:
    """No room for another segment: the recorder may write no file of that size, and is driven until it says so.

    A limit on the size of files (RLIMIT_FSIZE) does what a full disk does, without root and without a disk to fill.
    The recorder has to be one of FULL_SEGMENT_MIB, with the actuator FILL.

    Facts: entries_meanwhile, those that it took all the same; ended, whether it ended, as it does after a failed write
    (a service manager starts it again, and so does this).
    """
    recorder.limit_files(FILE_MAX_BYTES)
    before = _fill(recorder)
    facts: Facts = {"entries_meanwhile": None, "ended": False}
    yield facts
    if recorder.is_running:
        with Recorder(recorder.path, client_name="bench", timeout_ms=PATIENCE_MS) as client, suppress(Unavailable):
            facts["entries_meanwhile"] = client.status()["entries"] - before
    facts["ended"] = not recorder.is_running
    if facts["ended"]:
        recorder.start()
    else:
        recorder.limit_files(None)


STATES: dict[str, State] = {"running": running, "killed": killed, "stopped": stopped, "flooded": flooded}
FULL = "disk full"


def _fill(recorder: RecorderProcess) -> int:
    """Record rows until the recorder's status says store_full; returns how many entries there are then.

    Raises:
        ProcessError: it does not come to that.

    """
    until = time.monotonic() + FILL_S
    client = Recorder(recorder.path, client_name="fill", timeout_ms=PATIENCE_MS)
    try:
        stream = opened(client, VALID_MS, FILL).stream(FILL, fields=FILL_FIELDS, what=WHAT)
        while not (page := client.status())["store_full"]:
            if time.monotonic() > until:
                raise ProcessError(f"the recorder was not full after {FILL_S:.0f} s: {page}")
            if page["live_free_bytes"] * RECORD_SHARE >= FULL_SEGMENT_BYTES or _has_next(recorder, page["segments"]):
                _record(client, stream)
            else:
                time.sleep(FILL_POLL_S)  # it is trying to make another segment, which will fail
        return int(page["entries"])
    except Unavailable as unavailable:
        raise ProcessError(f"the recorder did not become full: {unavailable}") from None
    finally:
        with suppress(Unavailable):
            client.close(0)


def _has_next(recorder: RecorderProcess, segments: int) -> bool:
    """Whether another segment was made before the limit came."""
    current = read_current(recorder.state)
    assert current is not None, "a recorder runs on it"
    return len(ordinals(lineage_dir(recorder.state, current))) > segments


def _record(client: Recorder, stream: Stream) -> None:
    for _ in range(FILL_ROWS):
        stream.record(FILL_ROW)
    with suppress(Unavailable):  # full now
        client.flush(FLUSH_S)
