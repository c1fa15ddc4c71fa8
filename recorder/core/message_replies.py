"""What replies and pushes on the recorder's local socket hold, in the order of their elements (`messages`)."""

from __future__ import annotations

from typing import Any, NamedTuple

from recorder.core.chosen import Kid
from recorder.core.kinds import Hash, Name, Positive, Uint

HELLO_KEYS = (
    "protocol",  # version
    "session",  # 8 bytes
    "durable_counter",  # greatest counter of this session whose request is durable, or -1
    "origin",
    "platform",
    "boot",  # daemon starts of this origin
    "bundle",  # digest of the policy bundle in force
    "classes",  # {name: {"gated", "on_unavailable", "retention", "claims"}}
    "actuators",  # {name: number or null where nothing was declared yet}, those this peer may act for
    "at_risk_rows",  # rows that may be lost with a power cut, as configured
    "at_risk_ms",
    "max_message_bytes",
    "mono_ns",
)


class Receipt(NamedTuple):
    """Durable: this request is commit `index` of entry `seq`."""

    seq: Uint
    index: Uint  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    entry_hash: Hash
    decision: Uint | None
    flags: Uint


class Opened(NamedTuple):
    """A cycle: its carrier, its bounds and the numbers of its actuators."""

    seq: Uint
    entry_hash: Hash
    not_after_mono_ns: Uint
    max_commits: Positive
    commits: Uint  # made so far
    actuators: dict[Name, Uint]
    action_classes: list[Name]
    bundle: Hash
    flags: Uint


class Refused(NamedTuple):
    """Not admitted, and recorded as refusal entry `seq`."""

    seq: Uint
    entry_hash: Hash
    reasons: list[str]
    flags: Uint


class Failed(NamedTuple):
    """Not understood, not permitted or not possible; nothing was recorded."""

    error: str
    detail: str


class Signed(NamedTuple):
    """A witness that cosigned a head which covers the entry."""

    name: Name
    after_ms: Uint  # from the entry to the evidence, durable both
    evidence: Uint  # seq of that


class Witnessed(NamedTuple):
    """What an entry asked, and who has signed by now."""

    k: Positive
    within_ms: Uint
    asked: list[Name]
    signed: list[Signed]


class Asked(NamedTuple):
    """An entry that asks for witnesses: these, in the order of the choice."""

    seq: Uint
    within_ms: Uint
    kids: list[Kid]


class Head(NamedTuple):
    """What subscribers see: the hashes of new entries; `dropped` counts pushes that this one was too slow for."""

    first: Uint
    hashes: list[Hash]
    dropped: Uint
    asks: tuple[Asked, ...] = ()

    def sent(self) -> tuple[Any, ...]:
        """Its elements; asks are left out where there are none."""
        return self if self.asks else self[:3]


class Compared(NamedTuple):
    """What heads that peers hold say of the log that is recorded here."""

    behind: bool  # it does not lead to all of them: a new incarnation begins now, and this connection ends
    confirmed: Uint | None  # size of the largest one that it leads to; None where none is of this origin
    ignored: list[str]  # of each that counts for nothing: who holds it, the error and what is wrong
