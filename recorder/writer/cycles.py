"""Cycles: opened, joined, closed, expired."""

from __future__ import annotations

from typing import Any

from recorder.core.kinds import Decision, Kind
from recorder.core.messages import CloseCycle, JoinCycle, OpenCycle, Opened, Status
from recorder.core.protocol import request_id
from recorder.store import tail as tails
from recorder.writer.context import Context, failed
from recorder.writer.refusals import refuse
from recorder.writer.session import Answer, Session, receipt

GRACE_NS = 5_000_000_000  # rows of a cycle may still be on their way when it has expired
CYCLES_MAX = 256  # open at once, all controllers together
CYCLES_PER_UID_MAX = 64


def open_cycle(context: Context, session: Session, asked: OpenCycle) -> Answer:
    """Grant a cycle within the table of bounds, or refuse it on record."""
    journal, tail = context.journal, context.journal.tail
    who = context.who(session, asked.who)
    why = {**asked.why, "policy": context.table.digest}
    request = request_id(session.id, asked.counter)
    reasons = _reasons(context, session, asked)
    if reasons:
        first = asked.action_classes[0]
        return refuse(
            journal, context.refusals, session, request, reasons,
            who=who, why=why, action_class=first, retention=context.retention(first),
        )  # fmt: skip
    numbers = [context.number(name) for name in asked.actuators]
    seq = journal.next_seq
    not_after = journal.now.mono_ns + asked.valid_ms * 1_000_000
    who_family, why_family = journal.family("who", who), journal.family("why", why)
    fields: dict[int, Any] = {
        8: [who_family.digest, seq],
        9: [why_family.digest, seq],
        13: [asked.action_classes[0], context.retention(asked.action_classes[0])],
        14: 0,
        15: [request, None],
        16: int(Decision.EXTERNAL),
        17: [not_after, asked.max_commits, numbers, list(asked.action_classes)],
    }
    if asked.supersedes is not None:
        fields[12] = {4: [[None, asked.supersedes, tail.cycles[asked.supersedes].hash]]}
    journal.draft(Kind.CYCLE, fields, {8: who_family.claims, 9: why_family.claims}, bundle=context.table.digest)
    opened = tails.OpenCycle(
        seq, b"", who_family.digest, seq, why_family.digest, context.table.digest, not_after, asked.max_commits,
        numbers, list(asked.action_classes), session.peer.uid,
    )  # fmt: skip
    journal.open_cycle(opened)
    return Answer(Status.OK, _opened(context, opened, 0), seq)


def _reasons(context: Context, session: Session, asked: OpenCycle) -> list[str]:
    tail = context.journal.tail
    reasons = [f"not_permitted: {name}" for name in asked.actuators if name not in session.permissions.actuators]
    reasons += context.table.reasons_against(
        asked.who, asked.why, asked.action_classes, asked.max_commits, asked.valid_ms
    )
    reasons += [f"disk_full_halt: {name}" for name in asked.action_classes if name in context.halted]
    if asked.deadline_mono_ns is not None and context.journal.now.mono_ns > asked.deadline_mono_ns:
        reasons.append("deadline_passed")
    if asked.supersedes is not None and (asked.supersedes not in tail.cycles or not tail.cycles[asked.supersedes].hash):
        reasons.append(f"cycle_unknown: {asked.supersedes}")
    mine = sum(cycle.uid == session.peer.uid for cycle in tail.cycles.values())
    if len(tail.cycles) >= CYCLES_MAX or mine >= CYCLES_PER_UID_MAX:
        reasons.append(f"cycles_open: {mine} of yours and {len(tail.cycles)} in all; close some")
    return reasons


def join_cycle(context: Context, session: Session, asked: JoinCycle) -> Answer:
    """Hand a cycle's bounds to another process that is configured for one of its actuators."""
    cycle = context.journal.tail.cycles.get(asked.carrier)
    if cycle is None or cycle.hash[:4].hex() != asked.digits:
        return failed("cycle_unknown", f"no open cycle {asked.carrier}-{asked.digits}")
    if not any(context.names[number] in session.permissions.actuators for number in cycle.actuators):
        return failed("not_permitted", f"uid {session.peer.uid} may act for no actuator of cycle {asked.carrier}")
    return Answer(Status.OK, _opened(context, cycle, 0)._replace(entry_hash=cycle.hash))


def close_cycle(context: Context, session: Session, asked: CloseCycle) -> Answer:
    """End a cycle; its opener's user may, and who may act for all its actuators."""
    cycle = context.journal.tail.cycles.get(asked.carrier)
    if cycle is None:
        return failed("cycle_unknown", f"no open cycle {asked.carrier}; it has ended")
    names = {context.names[number] for number in cycle.actuators}
    if session.peer.uid != cycle.uid and not names <= session.permissions.actuators:
        return failed("not_permitted", f"uid {session.peer.uid} may not end cycle {asked.carrier}")
    return receipt(_end(context, cycle, asked.reason))


def expire(context: Context) -> bool:
    """End the cycles whose time is over; returns whether there were any."""
    now = context.journal.now.mono_ns
    over = [cycle for cycle in context.journal.tail.cycles.values() if now > cycle.not_after_mono_ns + GRACE_NS]
    for cycle in over:
        _end(context, cycle, "expired")
    return bool(over)


def halt(context: Context, classes: frozenset[str]) -> None:
    """End the cycles of these classes, and refuse new ones for as long as this process runs."""
    context.halted = classes
    for cycle in list(context.journal.tail.cycles.values()):
        if classes.intersection(cycle.action_classes):
            _end(context, cycle, "disk_full_halt")


def _end(context: Context, cycle: tails.OpenCycle, reason: str) -> int:
    journal = context.journal
    seq = journal.next_seq
    made = journal.tail.cycles[cycle.carrier].made
    journal.draft(Kind.CYCLE_END, {15: [cycle.carrier, made, reason]})
    journal.move(tails.Op.CYCLE_GONE, cycle.carrier)
    return seq


def _opened(context: Context, cycle: tails.OpenCycle, flags: int) -> Opened:
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
