"""What the recorder answers, as the client's callers see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from recorder.core import ids, messages
from recorder.core.kinds import Decision

RECORDED = "recorded"  # outcome of what carries no decision: a cycle's end, a gap, an appended entry
UNGATED_PENDING = "ungated_pending"  # the class continues while the recorder is away; an event will say so


@dataclass(frozen=True, slots=True)
class Receipt:
    """One request's place in the log; `durable` unless the class continued without the recorder.

    Where it is not durable (`outcome` is "ungated_pending"), there is no place yet, and seq, index, hash and id are
    None; the act follows as an ungated event.
    """

    outcome: str  # admitted, deviated, external, ungated, outside_grant, recorded, ungated_pending
    entry_id: str | None
    seq: int | None
    index: int | None
    entry_hash: bytes | None
    durable: bool = True
    duplicate: bool = False  # the recorder had answered this request before; this is its first answer
    late: bool = False  # durable only after the deadline


@dataclass(frozen=True, slots=True)
class ActionClass:
    """One row of the table of the bundle in force."""

    gated: bool
    on_unavailable: Literal["hold", "continue_ungated"]
    retention: str
    claims: str | None = None


@dataclass(frozen=True, slots=True)
class Hello:
    """Whom we speak to and what it promises."""

    protocol: int
    session: bytes
    durable_counter: int
    origin: str
    platform: str
    boot: int
    bundle: bytes
    classes: dict[str, ActionClass]
    actuators: dict[str, int | None]
    at_risk_rows: int
    at_risk_ms: int
    max_message_bytes: int
    mono_ns: int


class Page(NamedTuple):
    """Stored entries as they are read: where to go on, and each entry's bytes with its claims."""

    next_seq: int
    entries: list[tuple[bytes, Any]]


def receipt_of(answer: messages.Receipt) -> Receipt:
    """Name what the wire only numbers."""
    flags = messages.Flag(answer.flags)
    return Receipt(
        outcome=RECORDED if answer.decision is None else Decision(answer.decision).name.lower(),
        entry_id=str(ids.entry_id(answer.entry_hash, answer.seq, answer.index)),
        seq=answer.seq,
        index=answer.index,
        entry_hash=answer.entry_hash,
        duplicate=messages.Flag.DUPLICATE in flags,
        late=messages.Flag.LATE in flags,
    )


def ungated_pending(*, late: bool) -> Receipt:
    """Stand in for the receipt that nobody gave."""
    return Receipt(UNGATED_PENDING, None, None, None, None, durable=False, late=late)
