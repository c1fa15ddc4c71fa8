"""Refusals: the first of its kind is an entry, repeats within a second get its id and are counted in a fault entry.

Reasons tell numbers, such as a magnitude, and who asks can choose a new one each time.  So a user has `VARIED_MAX`
entries a second for what differs in details; beyond them, what has the same first reason is of the same kind.
"""

from __future__ import annotations

from typing import Any

from recorder.core import entry
from recorder.core.kinds import Decision, Kind, Stage
from recorder.core.message_replies import Refused
from recorder.core.messages import Status
from recorder.store.open_cycle import OpenCycle
from recorder.writer.journal import Act, Journal
from recorder.writer.session import Answer, Session

QUIET_NS = 1_000_000_000
REMEMBERED_MAX = 1024
VARIED_MAX = 64
FAULT = "refusals_repeated"


class _Repeats:
    __slots__ = ("count", "first", "last", "seq", "since_ns")

    def __init__(self, seq: int, request: bytes, since_ns: int) -> None:
        self.seq = seq
        self.first = self.last = request
        self.count = 0
        self.since_ns = since_ns


class Refusals:
    """Writes refusals and remembers the recent ones."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._recent: dict[tuple[Any, ...], _Repeats] = {}
        self._varied: dict[int, tuple[int, int]] = {}  # by user: since when, how many entries

    def key(self, uid: int, action_class: str, carrier: int | None, reasons: list[str]) -> tuple[Any, ...]:
        """What is the same in refusals of the same kind."""
        exact = (uid, action_class, carrier, tuple(reasons))
        now_ns = self._journal.now.mono_ns
        since_ns, entries = self._varied.get(uid, (now_ns, 0))
        if entries < VARIED_MAX or now_ns - since_ns >= QUIET_NS or exact in self._recent:
            return exact
        return (uid, reasons[0].partition(":")[0])

    def repeat(self, key: tuple[Any, ...], request: bytes, reasons: list[str]) -> Answer | None:
        """The answer to a refusal that was written less than a second ago, or None."""
        repeats = self._recent.get(key)
        if repeats is None or self._journal.now.mono_ns - repeats.since_ns >= QUIET_NS:
            return None
        repeats.count += 1
        repeats.last = request
        return Answer(Status.REFUSED, Refused(repeats.seq, b"", reasons, 0), repeats.seq)

    def remember(self, key: tuple[Any, ...], seq: int, request: bytes) -> None:
        """A refusal was drafted."""
        if len(self._recent) >= REMEMBERED_MAX:
            self.settle(force=True)
        now_ns = self._journal.now.mono_ns
        self._recent[key] = _Repeats(seq, request, now_ns)
        since_ns, entries = self._varied.get(key[0], (now_ns, 0))
        self._varied[key[0]] = (since_ns, entries + 1) if now_ns - since_ns < QUIET_NS else (now_ns, 1)

    def settle(self, *, force: bool = False) -> bool:
        """Draft the fault entries that are due; returns whether there were any."""
        due = [
            key
            for key, repeats in self._recent.items()
            if force or self._journal.now.mono_ns - repeats.since_ns >= QUIET_NS
        ]
        drafted = False
        for key in due:
            repeats = self._recent.pop(key)
            if repeats.count:
                facts = [repeats.seq, repeats.count, repeats.first, repeats.last]
                self._journal.draft(Kind.FAULT, {15: [FAULT, facts]})
                drafted = True
        return drafted


def refuse(
    journal: Journal,
    refusals: Refusals,
    session: Session,
    request: bytes,
    reasons: list[str],
    *,
    who: dict[str, Any],
    why: dict[str, Any],
    action_class: str,
    retention: str,
    stage: int = Stage.DIRECT,
    commit: tuple[OpenCycle, Act] | None = None,
) -> Answer:
    """Refuse a request, on record.

    Args:
        journal: where the entry goes.
        refusals: the recent ones.
        session: who asked.
        request: 16-byte request id.
        reasons: at least one.
        who: claims for an entry of its own; unused where `commit` refers to a cycle.
        why: the same.
        action_class: header key 13.
        retention: header key 13.
        stage: header key 14 of a refused opening.
        commit: a refused commit, and the cycle that it names.

    """
    cycle = commit[0] if commit else None
    key = refusals.key(session.peer.uid, action_class, cycle.carrier if cycle else None, reasons)
    repeated = refusals.repeat(key, request, reasons)
    if repeated is not None:
        return repeated
    fields: dict[int, Any] = {13: [action_class, retention], 14: int(stage), 16: int(Decision.REFUSED)}
    seq = journal.next_seq
    if commit is not None:
        opened, act = commit
        fields.update(
            {
                14: opened.stage,
                8: [opened.who, opened.who_carrier],
                9: [opened.why, opened.carrier],
                15: [None, reasons],
            }
        )
        drafted = journal.draft(Kind.REFUSAL, fields, bundle=opened.bundle)
        journal.add_commit(drafted, act)
    else:
        who_family, why_family = journal.family("who", who), journal.family("why", why)
        fields.update({8: [who_family.digest, seq], 9: [why_family.digest, seq], 15: [request, reasons]})
        journal.draft(Kind.REFUSAL, fields, {8: who_family.claims, 9: why_family.claims}, bundle=journal.tail.bundle)
    refusals.remember(key, seq, request)
    return Answer(Status.REFUSED, Refused(seq, b"", reasons, 0), seq)


def refused_before(raw: bytes, flags: int) -> Answer:
    """The answer that a stored refusal gives to a repeated request."""
    read = entry.decode(raw)
    return Answer(Status.REFUSED, Refused(read.header.seq, read.hash, list(read.header.control.reasons), flags))
