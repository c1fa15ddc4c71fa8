"""Legal holds: which are in force, and how one ends."""

from __future__ import annotations

from typing import Any

from recorder.core.controls import Hold
from recorder.core.kinds import RefType
from recorder.store.errors import StoreError
from recorder.store.tail import Op
from recorder.writer.context import Context

HOLDS_MAX = 1024  # in force: each stays in memory and in every snapshot

Refs = dict[int, list[list[Any]]] | None


def check(context: Context, hold: Hold, refs: Refs) -> None:
    """See to it that a hold can be added or released.

    Raises:
        StoreError: it cannot; the message says why.

    """
    tail = context.journal.tail
    if hold.action == "add":
        if hold.last is not None and hold.last < hold.first:
            raise StoreError(f"entries {hold.first} to {hold.last} are none")
        if hold.first >= context.journal.next_seq:
            raise StoreError(f"entry {hold.first} is not there yet; without an end a hold covers what follows")
        if len(tail.holds) >= HOLDS_MAX:
            raise StoreError(f"{HOLDS_MAX} holds are in force; release some")
        return
    seq = _released(refs)
    held = tail.holds.get(seq)
    if held is None:
        raise StoreError(f"entry {seq} is no hold in force")
    if (held.first, held.last) != (hold.first, hold.last):
        raise StoreError(f"hold {seq} is of entries {held.first} to {held.last}")


def take(context: Context, seq: int, hold: Hold, refs: Refs) -> None:
    """Put the hold that entry `seq` states in force, or end the one that it refers to."""
    if hold.action == "add":
        context.journal.move(Op.HOLD, seq, hold.first, hold.last)
    else:
        context.journal.move(Op.RELEASE, _released(refs))


def _released(refs: Refs) -> int:
    """The one hold entry that a release supersedes; that it is there was checked."""
    named = (refs or {}).get(RefType.SUPERSEDES, [])
    if len(named) != 1 or named[0][0] is not None:
        raise StoreError("a release refers to the one hold entry that it supersedes (reference type 4)")
    seq: int = named[0][1]
    return seq
