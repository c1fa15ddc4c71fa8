"""A child process that reads and rewrites sealed segments, so that no commit waits for it.

It has an interpreter of its own, the lowest priority, and a pause after every 256 KiB.

It notes what each sealed segment holds and gives back what the file does not use, carries out the erasures that durable
deletion entries have announced, and says what should go next.  It writes no entry: its parent does.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

import lmdb
import msgspec

from recorder.core.errors import LineageError
from recorder.core.retention import Rule
from recorder.daemon.plan import Cause, Shelf, Step, next_step
from recorder.store import summary
from recorder.store.erase import erase, trim
from recorder.store.layout import segment_dir
from recorder.store.tail import Erasure, Hold

CHUNK_BYTES = 256 * 1024
PAUSE_S = 0.02  # after each chunk: commits share the device
PAUSE_AT_PAR_S = 0.1  # where the priority cannot be lowered, as under the systemd unit's filter of system calls
LOWEST = 19  # nice(2)
_PR_SET_PDEATHSIG = 1  # prctl(2)


class Order(msgspec.Struct):
    """What the parent asks for."""

    parent: int  # its process id
    lineage: str
    live: int  # ordinal of the live segment, which is not touched, nor is what follows
    erasures: dict[int, Erasure]  # by seq of their durable deletion entry
    rules: dict[str, Rule]
    holds: list[Hold]
    now_utc_ns: int
    causes: list[Cause]


class Outcome(msgspec.Struct):
    """What became of it."""

    erased: list[int] = []  # seqs of deletion entries that are carried out
    rewritten: list[int] = []  # ordinals
    freed_bytes: int = 0
    class_bytes: dict[str, int] = {}  # claims in sealed segments
    step: Step | None = None  # what should go next
    error: str | None = None  # why it stopped, or what it left aside


def main() -> None:
    """An order on standard input, an outcome on standard output."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # two of us must never write one segment
    if os.getppid() != order.parent:
        return
    try:
        os.nice(LOWEST)
        pacer = _Pacer(PAUSE_S)
    except OSError:
        pacer = _Pacer(PAUSE_AT_PAR_S)
    outcome = Outcome()
    try:
        carry_out(order, outcome, pacer.rest)
    except (LineageError, lmdb.Error, OSError) as error:
        outcome.error = str(error)
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


def carry_out(order: Order, outcome: Outcome, rest: summary.Rest) -> None:
    """Do all of it, noting in `outcome` how far it came.

    Raises:
        LineageError, lmdb.Error, OSError: it went no further.

    """
    lineage = Path(order.lineage)
    summaries: dict[int, summary.Summary] = {}
    for ordinal in range(1, order.live):
        path = segment_dir(lineage, ordinal)
        try:
            found = summary.find(path)
            if found is None:
                outcome.freed_bytes += trim(path)
                found = summary.make(path, rest)
            summaries[ordinal] = found
        except (LineageError, lmdb.Error) as error:
            # Whose whys its entries share is not known, so nothing before it can go.
            outcome.error = str(error)
            summaries.clear()
    for ordinal in sorted({item.ordinal for item in order.erasures.values()}):
        if ordinal not in summaries:
            continue
        named = {seq: item for seq, item in order.erasures.items() if item.ordinal == ordinal}
        before = summaries[ordinal].file[1]
        path = segment_dir(lineage, ordinal)
        summaries[ordinal] = erase(path, named.values(), Shelf(summaries).needed(ordinal), rest)
        outcome.freed_bytes += before - summaries[ordinal].file[1]
        outcome.rewritten.append(ordinal)
        outcome.erased += named
    shelf = Shelf(summaries)
    outcome.class_bytes = shelf.bytes_by_class()
    outcome.step = next_step(shelf, order.rules, order.holds, order.now_utc_ns, order.causes)


class _Pacer:
    """Rests after every chunk."""

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._bytes = 0

    def rest(self, count: int) -> None:
        """So many bytes were read or written."""
        self._bytes += count
        if self._bytes >= CHUNK_BYTES:
            self._bytes = 0
            time.sleep(self._pause_s)
