"""Cycles once they are open: joined, closed, aborted, expired (`opening` opens them)."""

from __future__ import annotations

from typing import Any

from recorder.core.kinds import Kind, Stage
from recorder.core.message_replies import Opened
from recorder.core.message_requests import CloseCycle, JoinCycle
from recorder.core.messages import Status
from recorder.core.stages import successor_error
from recorder.store.open_cycle import OpenCycle
from recorder.store.tail import Op
from recorder.writer.context import Context, failed
from recorder.writer.session import Answer, Session, receipt

GRACE_NS = 5_000_000_000  # rows of a cycle may still be on their way when it has expired


def join_cycle(context: Context, session: Session, asked: JoinCycle) -> Answer:
    """Hand a cycle's bounds to another process that is configured for one of its actuators."""
    cycle = context.journal.tail.cycles.get(asked.carrier)
    if cycle is None or cycle.hash[:4].hex() != asked.digits:
        return failed("cycle_unknown", f"no open cycle {asked.carrier}-{asked.digits}")
    if not any(context.names[number] in session.permissions.actuators for number in cycle.actuators):
        return failed("not_permitted", f"uid {session.peer.uid} may act for no actuator of cycle {asked.carrier}")
    return Answer(Status.OK, opened(context, cycle)._replace(entry_hash=cycle.hash))


def close_cycle(context: Context, session: Session, asked: CloseCycle) -> Answer:
    """End a cycle; its opener's user may, and who may act for all its actuators."""
    cycle = context.journal.tail.cycles.get(asked.carrier)
    if cycle is None:
        return failed("cycle_unknown", f"no open cycle {asked.carrier}; it has ended")
    if not may_end(context, session, cycle):
        return failed("not_permitted", f"uid {session.peer.uid} may not end cycle {asked.carrier}")
    return receipt(end(context, cycle, asked.reason))


def abortable(context: Context, session: Session, carrier: int) -> OpenCycle | None:
    """The staged cycle that this session can abort; None where there is none."""
    cycle = context.journal.tail.cycles.get(carrier)
    if cycle is None or not cycle.hash or not may_end(context, session, cycle):
        return None
    return cycle if successor_error(Stage(cycle.stage), Stage.ABORTED) is None else None


def may_end(context: Context, session: Session, cycle: OpenCycle) -> bool:
    """The user who opened it, and who may act for all its actuators."""
    names = {context.names[number] for number in cycle.actuators}
    return session.peer.uid == cycle.uid or names <= session.permissions.actuators


def expire(context: Context) -> bool:
    """End the cycles whose time is over; returns whether there were any."""
    now = context.journal.now.mono_ns
    over = [cycle for cycle in context.journal.tail.cycles.values() if now > cycle.not_after_mono_ns + GRACE_NS]
    for cycle in over:
        end(context, cycle, "expired")
    return bool(over)


def halt(context: Context, classes: frozenset[str]) -> None:
    """End the cycles of these classes, and refuse new ones for as long as this process runs."""
    context.halted = classes
    for cycle in list(context.journal.tail.cycles.values()):
        if classes.intersection(cycle.action_classes):
            end(context, cycle, "disk_full_halt")


def end(context: Context, cycle: OpenCycle, reason: str) -> int:
    """End a cycle, on record; returns the seq of its end."""
    journal = context.journal
    seq = journal.next_seq
    made = journal.tail.cycles[cycle.carrier].made
    journal.draft(Kind.CYCLE_END, {15: [cycle.carrier, made, reason]})
    journal.move(Op.CYCLE_GONE, cycle.carrier)
    return seq


def opened(context: Context, cycle: OpenCycle, flags: int = 0) -> Opened:
    """What a controller hears of an open cycle."""
    names = {context.names[number]: number for number in cycle.actuators}
    return Opened(
        cycle.carrier, b"", cycle.not_after_mono_ns, cycle.max_commits, cycle.made, names, cycle.action_classes,
        cycle.bundle, flags,
    )  # fmt: skip


def opened_before(context: Context, carrier: int, entry_hash: bytes, bounds: Any, bundle: bytes, flags: int) -> Answer:  # noqa: ANN401 -- kinds.Bounds
    """The answer that a stored cycle entry gives to a repeated request."""
    cycle = context.journal.tail.cycles.get(carrier)
    made = bounds.max_commits if cycle is None else cycle.made
    names = {context.names[number]: number for number in bounds.actuators}
    opened = Opened(
        carrier, entry_hash, bounds.not_after_mono_ns, bounds.max_commits, made, names, bounds.action_classes, bundle,
        flags,
    )  # fmt: skip
    return Answer(Status.OK, opened)
