"""What the recorder answers, as the client's callers see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from recorder.core import ids, message_replies
from recorder.core.kinds import Decision
from recorder.core.messages import Flag

RECORDED = "recorded"  # outcome of what carries no decision: a cycle's end, a gap, an appended entry
UNGATED_PENDING = "ungated_pending"  # the class continues while the recorder is away; an event will say so

_OUTCOMES = {int(decision): decision.name.lower() for decision in Decision}
_DUPLICATE, _LATE = int(Flag.DUPLICATE), int(Flag.LATE)  # an IntFlag takes 2 µs to combine


class Receipt(NamedTuple):
    """One request's place in the log; `durable` unless the class continued without the recorder.

    Where it is not durable (`outcome` is "ungated_pending"), there is no place yet, and seq, index, hash and id are
    None; the act follows as an ungated event.
    """

    outcome: str  # admitted, deviated, external, ungated, outside_grant, recorded, ungated_pending
    seq: int | None
    index: int | None  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    entry_hash: bytes | None
    durable: bool = True
    duplicate: bool = False  # the recorder had answered this request before; this is its first answer
    late: bool = False  # durable only after the deadline

    @property
    def entry_id(self) -> str | None:
        """The printed id, `SEQ.IDX-HHHHHHHH`."""
        if self.entry_hash is None or self.seq is None:
            return None
        return str(ids.entry_id(self.entry_hash, self.seq, self.index))


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


class Signed(NamedTuple):
    """A witness that cosigned a head which covers the commit."""

    name: str
    after_ms: int  # from the durable commit to the durable evidence, by the recorder's clock
    evidence: int  # seq of that entry


class Witnessed(NamedTuple):
    """What a commit asked of witnesses, and who has signed by now."""

    wanted: int
    within_ms: int
    asked: tuple[str, ...]  # fewer than wanted where not as many could be asked
    signed: tuple[Signed, ...]

    @property
    def is_met(self) -> bool:
        """Whether as many signed as were wanted, and in time."""
        return sum(one.after_ms <= self.within_ms for one in self.signed) >= self.wanted


class Page(NamedTuple):
    """Stored entries as they are read: where to go on, and each entry's bytes with its claims."""

    next_seq: int
    entries: list[tuple[bytes, Any]]


def receipt_of(answer: message_replies.Receipt) -> Receipt:
    """Name what the wire only numbers."""
    return Receipt(
        RECORDED if answer.decision is None else _OUTCOMES[answer.decision],
        answer.seq,
        answer.index,
        answer.entry_hash,
        duplicate=answer.flags & _DUPLICATE != 0,
        late=answer.flags & _LATE != 0,
    )


def ungated_pending(*, late: bool) -> Receipt:
    """Stand in for the receipt that nobody gave."""
    return Receipt(UNGATED_PENDING, None, None, None, durable=False, late=late)
