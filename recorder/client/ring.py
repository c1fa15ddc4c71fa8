"""Rows on their way: a preallocated ring between one control loop and one sender.

Pure, and free of locks on the sender's side: the producer alone moves `written`, the sender alone moves `taken` and
`released`, and each reads the other's with a single load, which the interpreter does not tear.  Rows stay in the ring
until they are acknowledged, so what is sent again is the same bytes.

A row that finds no room is lost, and counted.  Once there is room again the run of lost rows becomes a `Lost`, at
its place in the order of the rows.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

from recorder.core.rows import TIME_BYTES

FULL = -1


class Lost(NamedTuple):
    """Rows that found no room, between row `position` - 1 and row `position`.

    With a count of 0 nothing is lost, but time ran backwards there: a message holds rows in the order of their times.
    """

    position: int
    count: int  # type: ignore[assignment]  # hides tuple.count
    first_mono_ns: int
    last_mono_ns: int


@dataclass(slots=True, eq=False)
class Chunk:
    """Rows that go into one message."""

    start: int  # number of the first row, counted since the ring was made
    stop: int
    view: memoryview
    settled: bool = False

    @property
    def count(self) -> int:
        """Rows in it."""
        return self.stop - self.start


class RowRing:
    """Fixed room for rows of one size."""

    def __init__(self, row_bytes: int, capacity_rows: int) -> None:
        self.row_bytes = row_bytes
        self.capacity_rows = capacity_rows
        self.buffer = bytearray(row_bytes * capacity_rows)
        self.producing = Lock()  # among producers; the sender holds it for the few lines of `settle_run` only
        self.written = 0  # rows given, without the lost ones
        self.taken = 0  # rows handed to the sender
        self.released = 0  # rows whose room is free again
        self.dropped = 0  # rows that found no room
        self._view = memoryview(self.buffer).toreadonly()
        self._last_mono_ns = 0
        self._run: Lost | None = None
        self._losses: deque[Lost] = deque()
        self._out: deque[Chunk] = deque()

    @property
    def is_empty(self) -> bool:
        """Nothing waits in it, neither rows nor losses."""
        return self.released == self.written and not self._losses and self._run is None

    @property
    def losses_waiting(self) -> int:
        """Runs of lost rows that were not handed to the sender yet."""
        return len(self._losses) + (self._run is not None)

    def offset(self, at_mono_ns: int) -> int:
        """Where the next row goes, or FULL, in which case it is counted as lost.  Hold `producing`."""
        if self.written - self.released >= self.capacity_rows:
            run = self._run
            self.dropped += 1
            self._run = (
                Lost(self.written, 1, at_mono_ns, at_mono_ns)
                if run is None
                else Lost(run.position, run.count + 1, run.first_mono_ns, at_mono_ns)
            )
            return FULL
        if self._run is not None:
            self._end_run()
        return self.written % self.capacity_rows * self.row_bytes

    def publish(self, at_mono_ns: int) -> None:
        """The row at `offset` is complete.  Hold `producing`."""
        if at_mono_ns < self._last_mono_ns:
            self._losses.append(Lost(self.written, 0, at_mono_ns, at_mono_ns))
        self._last_mono_ns = at_mono_ns
        self.written += 1

    def settle_run(self) -> None:
        """Sender: end a run of lost rows once there is room, also if no further row comes."""
        if self._run is not None and self.written - self.released < self.capacity_rows:
            with self.producing:
                self._end_run()

    def take(self, bytes_max: int) -> Chunk | Lost | None:
        """Sender: the next rows, at most `bytes_max` but at least one, or the loss that comes before them."""
        written = self.written  # before the losses: whatever lies below `written` is in the queue already
        losses = self._losses
        while losses and losses[0].position <= self.taken:
            lost = losses.popleft()
            if lost.count:
                return lost
        slot = self.taken % self.capacity_rows
        stop = min(
            written,
            losses[0].position if losses else written,
            self.taken + self.capacity_rows - slot,  # up to the ring's end: one message is one piece of memory
            self.taken + max(1, bytes_max // self.row_bytes),
        )
        if stop == self.taken:
            return None
        at = slot * self.row_bytes
        chunk = Chunk(self.taken, stop, self._view[at : at + (stop - self.taken) * self.row_bytes])
        self._out.append(chunk)
        self.taken = stop
        return chunk

    def release(self, chunk: Chunk) -> None:
        """Sender: a chunk is acknowledged or given up; its room is free once all before it is."""
        chunk.settled = True
        while self._out and self._out[0].settled:
            self.released = self._out.popleft().stop

    def oldest_mono_ns(self) -> int | None:
        """Time of the oldest row that still waits."""
        released = self.released
        if released == self.written:
            return None
        at = released % self.capacity_rows * self.row_bytes
        return int.from_bytes(self._view[at : at + TIME_BYTES], "little")

    def _end_run(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            self._losses.append(run)
