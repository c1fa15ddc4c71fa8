"""What is due by the clock and not by a message: steps of UTC, ended cycles, the next segment, new epochs."""

from __future__ import annotations

from collections.abc import Callable

from recorder.clock import StepWatch
from recorder.core.kinds import Kind
from recorder.daemon.boot import EPOCH_NS_PER_HOUR, rotate_epoch
from recorder.daemon.coveredfile import CoveredFile
from recorder.daemon.desk import Desk
from recorder.daemon.room import Room
from recorder.daemon.vitals import Vitals
from recorder.writer import cycles
from recorder.writer.context import Context

TICK_S = 1.0


class Upkeep:
    """Drafts what time brings; the loop writes it."""

    def __init__(
        self,
        context: Context,
        desk: Desk,
        vitals: Vitals,
        room: Room,
        randomness: Callable[[int], bytes],
        epoch_hours: float,
    ) -> None:
        self._context = context
        self._journal = context.journal
        self._desk = desk
        self._vitals = vitals
        self._room = room
        self._randomness = randomness
        self._epoch_ns = epoch_hours * EPOCH_NS_PER_HOUR
        self._epoch_since_ns = context.journal.now.mono_ns
        self._steps = StepWatch()
        self._covered = CoveredFile(context)
        self.tick_at_s = 0.0  # CLOCK_MONOTONIC

    def watch_clock(self) -> bool:
        """Read the clocks; returns whether UTC was set, which is then drafted."""
        now = self._journal.tick()
        step = self._steps.step(now.utc_ns, now.mono_ns)
        if step is None:
            return False
        self._journal.draft(Kind.CLOCK_STEP, {15: [*step, "unknown"]})
        return True

    def tick(self, now_s: float, write: Callable[[], None]) -> None:
        """What is due once a second; `write` makes what was drafted so far durable."""
        self.tick_at_s = now_s + TICK_S
        self._context.refusals.settle()
        cycles.expire(self._context)
        self._journal.store.prepare_next()
        self._room.tick(now_s, write)
        self._covered.tick()
        self._desk.own_forks.tick()
        self._vitals.page = self._desk.page()
        if self._journal.now.mono_ns - self._epoch_since_ns > self._epoch_ns:
            if not self._journal.is_empty:
                write()
            rotate_epoch(self._context, self._randomness)
            self._epoch_since_ns = self._journal.now.mono_ns
        if self._desk.is_checkpoint_due():  # here and not when idle: under load nothing ever is
            if not self._journal.is_empty:
                write()
            self._desk.try_checkpoint()
