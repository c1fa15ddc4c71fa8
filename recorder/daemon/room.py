"""The room on the disk: what is given up as it gets short, in which order, and what the operator is told.

Once a second the loop's upkeep calls `tick`: it looks at the file system, records a change of state, and sends the
sweeper's child for one segment at a time.  Nothing is erased before the deletion entry that names it is durable.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recorder.config import Config, room_of
from recorder.core.kinds import Kind
from recorder.core.messages import DURABLE
from recorder.daemon.growth import Growth, hours_until_full, space_of
from recorder.daemon.plan import Cause, Step
from recorder.daemon.sweep import Order, Outcome
from recorder.daemon.sweeper import Sweeper
from recorder.store.layout import CONFIG
from recorder.store.level import Level, level_at
from recorder.store.tail import Op
from recorder.writer import cycles, full
from recorder.writer.context import Context, failed
from recorder.writer.session import Answer, Session

STATES = ("ample", "space_left", "admin_space_left", "disk_full")  # the last three as in auditd.conf
BETTER_S = 60.0  # an improvement lasts so long before it counts, so that a brim is not recorded every second
AGAIN_S = 600.0  # until what could not be erased is looked at again: claims expire, disks are mended
SPACE, STEP, REFUSED = "disk_space", "claims_erased", "store_full"  # names of fault entries


class Room:
    """Thresholds, the reserve, and what is erased."""

    def __init__(self, context: Context, config: Config, say: Callable[[str], None], now_s: float) -> None:
        """Watch the file system of a store.

        Args:
            context: the writer's.
            config: thresholds and actions.
            say: a line for the operator.
            now_s: CLOCK_MONOTONIC.

        Raises:
            ConfigError: a threshold cannot be read.

        """
        self._context = context
        self._journal = context.journal
        self._store = context.journal.store
        self._say = say
        self._space_left, self._admin_space_left = room_of(config, Path(CONFIG))
        self._actions = {name: row.on_full for name, row in config.classes.items()}
        self._sweeper = Sweeper()
        self._growth = Growth(now_s, self._store.stored_bytes)
        self._space = space_of(self._store.lineage)
        self._state = STATES[0]
        self._worse_at_s = now_s
        self._settled: tuple[object, ...] | None = None  # what the last child found nothing to do for
        self._asked: tuple[object, ...] = ()
        self._again_s = now_s
        self._taken_bytes = 0
        self._refused: list[int] = []  # count, first and last mono_ns
        self.failure: str | None = None
        self.freed_bytes = 0
        self.class_bytes: dict[str, int] = {}

    # --- thresholds

    @property
    def limits(self) -> tuple[int, int]:
        """`space_left` and `admin_space_left` in bytes: at least what a segment and its rewriting take."""
        floor = 2 * self._store.segment_bytes
        admin = max(floor, self._admin_space_left.of(self._space.total_bytes))
        return max(admin, self._space_left.of(self._space.total_bytes)), admin

    def _state_now(self) -> str:
        space_left, admin = self.limits
        if self._store.is_full:
            return STATES[3]
        free = self._space.free_bytes
        return STATES[2] if free < admin else STATES[1] if free < space_left else STATES[0]

    def _note_state(self, now_s: float) -> None:
        state = self._state_now()
        rank, before = STATES.index(state), STATES.index(self._state)
        if rank >= before:
            self._worse_at_s = now_s
        if rank == before or (rank < before and now_s - self._worse_at_s < BETTER_S):
            return
        self._state = state
        self._journal.draft(Kind.FAULT, {15: [SPACE, [state, self._space.free_bytes, *self.limits]]})
        self._say(f"{self._space.free_bytes >> 20:,} MiB of the disk are free: {state}")
        if state == STATES[3]:
            halting = frozenset(name for name, action in self._actions.items() if action == "halt")
            if halting and not self._context.halted:
                cycles.halt(self._context, halting)
                self._say(f"{', '.join(sorted(halting))} halted until this recorder is started again")
        else:
            self.settle()

    # --- the reserve

    def refusal(self, session: Session, request: Any, size: int) -> Answer | None:  # noqa: ANN401 -- one of REQUESTS
        """The answer to a request of `size` bytes that finds no room; None where it does, or was answered before."""
        level = self._store.level
        if level is Level.AMPLE or (request.verb in DURABLE and request.counter <= session.counter):
            return None
        if self._journal.is_empty:
            self._taken_bytes = 0
        left = self._store.live_free_bytes - full.DRAFT_FACTOR * (self._taken_bytes + size)
        if full.finds_room(self._context, max(level, level_at(left, self._store.record_max_bytes)), request):
            self._taken_bytes += size
            return None
        now_ns = self._journal.now.mono_ns
        self._refused = [self._refused[0] + 1, self._refused[1], now_ns] if self._refused else [1, now_ns, now_ns]
        return failed("store_full", full.DETAIL)

    def settle(self) -> None:
        """Record how many requests found no room."""
        if self._refused:
            self._journal.draft(Kind.FAULT, {15: [REFUSED, self._refused]})
            self._refused = []

    # --- making room

    def tick(self, now_s: float, write: Callable[[], None]) -> None:
        """What is due once a second; `write` makes durable what was drafted."""
        self._growth.note(now_s, self._store.stored_bytes)
        self._space = space_of(self._store.lineage)
        self._note_state(now_s)
        outcome = self._sweeper.fetch()
        if outcome is not None:
            self._take(outcome, now_s, write)
        if not self._sweeper.is_busy:
            self._send(now_s)

    def _take(self, outcome: Outcome, now_s: float, write: Callable[[], None]) -> None:
        for ordinal in outcome.rewritten:
            self._store.forget(ordinal)
        if outcome.erased:
            self._journal.move(Op.ERASED, outcome.erased)
        self.freed_bytes += outcome.freed_bytes
        self.class_bytes = outcome.class_bytes
        if outcome.error != self.failure:
            self.failure = outcome.error
            if outcome.error is not None:
                self._say(f"making room: {outcome.error}")
        if outcome.step is not None and not self._is_held(outcome.step):
            self._announce(outcome.step)
            write()
            return
        if outcome.error is not None or not outcome.rewritten:
            self._settled, self._again_s = self._asked, now_s + AGAIN_S

    def _is_held(self, step: Step) -> bool:
        """Whether a hold came while the child looked."""
        return any(
            hold.first <= item.last and (hold.last is None or hold.last >= item.first)
            for hold in self._journal.tail.holds.values()
            for item in step.erasures
        )

    def _announce(self, step: Step) -> None:
        """Draft the deletion entries, and what made them necessary."""
        first = self._journal.next_seq
        for item in step.erasures:
            seq = self._journal.next_seq
            self._journal.draft(Kind.DELETION, {15: [item.first, item.last, item.retention_class, None]})
            self._journal.move(Op.ERASE, seq, *item)
        facts = [str(step.cause), [first, self._journal.next_seq - 1], self._space.free_bytes, *self.limits]
        self._journal.draft(Kind.FAULT, {15: [STEP, facts]})

    def _send(self, now_s: float) -> None:
        tail = self._journal.tail
        space_left, admin = self.limits
        causes = [Cause.OVER_MAX]
        if self._space.free_bytes < space_left:
            causes.append(Cause.EXPIRED)
        if self._space.free_bytes < admin:
            causes.append(Cause.ROWS)
        asked = (self._store.segments, tuple(tail.holds), tuple(tail.erasures), tuple(causes))
        if self._store.segments == 1 or (asked == self._settled and now_s < self._again_s):
            return
        order = Order(
            parent=os.getpid(),
            lineage=str(self._store.lineage.resolve()),
            live=self._store.segments,
            erasures=dict(tail.erasures),
            rules=self._context.table.retention,
            holds=list(tail.holds.values()),
            now_utc_ns=self._journal.now.utc_ns,
            causes=causes,
        )
        self._asked = asked
        try:
            self._sweeper.start(order)
        except OSError as error:
            self.failure = f"no process to make room: {error}"
            self._settled, self._again_s = asked, now_s + AGAIN_S

    def close(self) -> None:
        """End what is under way; the next start goes on with it."""
        self._sweeper.close()

    # --- what is shown

    def page(self) -> dict[str, Any]:
        """For status."""
        space_left, admin = self.limits
        rate = self._growth.rate()
        hours = hours_until_full(self._left_bytes(), rate)
        return {
            "state": self._state,
            "free_bytes": self._space.free_bytes,
            "space_left_bytes": space_left,
            "admin_space_left_bytes": admin,
            "left_bytes": self._left_bytes(),
            "growth_bytes_per_hour": round(rate.per_hour) if rate.seconds else None,
            "measured_s": round(rate.seconds),
            "hours_until_full": None if hours is None else round(hours, 1),
            "disk_full_action": dict(self._actions),
            "halted": sorted(self._context.halted),
            "holds": [[seq, *hold] for seq, hold in self._journal.tail.holds.items()],
            "class_bytes": dict(self.class_bytes),
            "erasing": len(self._journal.tail.erasures),
            "freed_bytes": self.freed_bytes,
            "failure": self.failure,
        }

    def _left_bytes(self) -> int:
        """Room for entries before the disk is full: in segments that can be made, are made, and in the live one."""
        store = self._store
        return (
            max(0, self._space.free_bytes - store.segment_bytes)
            + (store.segment_bytes if store.has_next else 0)
            + max(0, store.live_free_bytes - store.record_max_bytes)
        )
