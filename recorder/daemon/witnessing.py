"""Witnesses of commits: who may be asked, as the mesh says; who has signed; and replies that wait for it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from recorder.core.kinds import Kind
from recorder.core.message_replies import Receipt, Refused, Witnessed
from recorder.core.message_requests import WitnessedRequest, Witnesses
from recorder.core.messages import Flag, Status
from recorder.core.protocol import request_id
from recorder.daemon.asked import AskedEntries, AskedEntry
from recorder.daemon.connection import Connection
from recorder.writer.asking import NOBODY, Known
from recorder.writer.context import Context, failed
from recorder.writer.journal import Written
from recorder.writer.session import Answer

REASON = "unwitnessed"
WAITING_MAX = 1024  # replies of each sort; beyond them who asks is told at once how it stands
_NS_PER_MS = 1_000_000
GRACE_NS = 50 * _NS_PER_MS  # for evidence on which nobody has looked when a time is over

Send = Callable[[Connection, int, Answer], None]


@dataclass(slots=True, eq=False)
class _Report:
    """Who asked to hear who has signed, and until when he waits."""

    connection: Connection
    counter: int
    entry: AskedEntry
    until_ns: int


@dataclass(slots=True, eq=False)
class _Held:
    """A receipt that leaves once enough have signed."""

    connection: Connection
    counter: int
    request: bytes
    receipt: Receipt
    deadline_mono_ns: int | None
    entry: AskedEntry | None  # None: asked before this start, so that nobody knows any more who signed


class Witnessing:
    """One mesh at a time speaks, the last one that did; any number of clients wait."""

    def __init__(self, context: Context, root_of: Callable[[int], bytes | None], send: Send) -> None:
        """Make it.

        Args:
            context: of the writer.
            root_of: as `AskedEntries`.
            send: sends a reply.

        """
        self._context = context
        self._send = send
        self._asked = AskedEntries(context.journal.tail.origin, root_of)
        self._mesh: Connection | None = None
        self._reports: list[_Report] = []
        self._held: list[_Held] = []
        self._given_up: list[_Held] = []  # until the log says so
        self._abandoned: OrderedDict[bytes, None] = OrderedDict()  # requests of which it does
        self._next_ns: int | None = None  # when a reply's time is over

    def tell(self, connection: Connection, told: Witnesses) -> Answer:
        """Take who may be asked from now on."""
        self._mesh = connection
        self._context.witnesses = Known(tuple(told.candidates), told.own)
        return Answer(Status.OK, len(told.candidates))

    def gone(self, connection: Connection) -> None:
        """A connection has ended: whom it named nobody would ask now."""
        if connection is self._mesh:
            self._mesh = None
            self._context.witnesses = NOBODY

    def written(self, written: Written) -> None:
        """Take what became durable: entries that ask, and evidence."""
        brought, self._context.brought = self._context.brought, []
        if written.asks:
            self._asked.add(written.asks, _now_ns())
        for seq, note in brought:
            self._asked.bring(seq, note, _now_ns())

    def report(self, connection: Connection, asked: WitnessedRequest) -> None:
        """Say who has signed: when as many as wanted have, when nobody else will, or after the time to wait."""
        entry = self._asked.get(asked.seq)
        if entry is None:
            detail = f"entry {asked.seq} asked no witnesses since this start, or too long ago; `lineage verify` knows"
            self._send(connection, asked.counter, failed("not_asked", detail))
        elif entry.is_settled or not asked.wait_ms or len(self._reports) >= WAITING_MAX:
            self._send(connection, asked.counter, _reported(entry))
        else:
            waiting = _Report(connection, asked.counter, entry, _now_ns() + asked.wait_ms * _NS_PER_MS)
            self._reports.append(waiting)
            self._wake_at(waiting.until_ns)

    def hold(self, connection: Connection, counter: int, receipt: Receipt, deadline_mono_ns: int | None) -> None:
        """Keep a durable commit's receipt back until as many have signed as it asked for.

        What can never come about is given up at once: fewer could be asked, or it was asked before this start; whoever
        asks again then has not had his receipt.
        """
        assert connection.session is not None, "it committed"
        entry = self._asked.get(receipt.seq)
        request = request_id(connection.session.id, counter)
        held = _Held(connection, counter, request, receipt, deadline_mono_ns, entry)
        if request in self._abandoned:
            self._refuse(held)
        elif entry is None or len(entry.ask.chosen) < entry.ask.wish.k or len(self._held) >= WAITING_MAX:
            self._given_up.append(held)
        elif entry.is_met:
            self._release(held)
        else:
            self._held.append(held)
            self._wake_at(entry.until_ns)

    def forgo(self, requests: list[bytes]) -> None:
        """Forget receipts whose clients have said themselves that nobody acted."""
        self._held = [one for one in self._held if one.request not in requests]

    @property
    def is_due(self) -> bool:
        """Whether `serve` has something to do now."""
        return (
            bool(self._given_up) or self._asked.has_work or (self._next_ns is not None and _now_ns() >= self._next_ns)
        )

    def left_s(self) -> float | None:
        """Seconds until `serve` has something to do if nothing happens before; None: never."""
        if self._given_up or self._asked.has_work:
            return 0
        return None if self._next_ns is None else max(0, self._next_ns - _now_ns()) / 1e9

    def serve(self, write: Callable[[], None]) -> None:
        """Check one signature, answer whom it settles, and whose time is over; `write` makes drafts durable."""
        if any(entry.is_settled for entry in self._asked.check()):
            self._sweep(0)
        now_ns = _now_ns()
        # Evidence that came in time counts, also where it was not looked at yet; but a flood of it holds nothing up.
        if self._next_ns is not None and now_ns >= self._next_ns + GRACE_NS * self._asked.has_work:
            self._sweep(now_ns)
        if self._given_up:
            given_up = self._draft_given_up()
            write()
            for one in given_up:
                self._refuse(one)

    def stop(self, write: Callable[[], None]) -> None:
        """Give up what is held, with the transaction that ends this run."""
        self._given_up += self._held
        self._held = []
        for report in self._reports:
            self._send(report.connection, report.counter, _reported(report.entry))
        self._reports = []
        given_up = self._draft_given_up()
        write()
        for one in given_up:
            self._refuse(one)

    def _draft_given_up(self) -> list[_Held]:
        """Draft that nobody acted on what was given up; those that are to be told so once it is durable."""
        given_up, self._given_up = self._given_up, []
        requests = list(dict.fromkeys(one.request for one in given_up))
        for first in range(0, len(requests), WAITING_MAX):
            self._context.journal.draft(Kind.ABANDON, {15: [requests[first : first + WAITING_MAX]]})
        self._abandoned.update(dict.fromkeys(requests))
        while len(self._abandoned) > WAITING_MAX:
            self._abandoned.popitem(last=False)
        return given_up

    def _sweep(self, now_ns: int) -> None:
        """Answer what is settled, or whose time is over."""
        reports, held = self._reports, self._held
        self._reports, self._held, self._next_ns = [], [], None
        for report in reports:
            if report.entry.is_settled or now_ns >= report.until_ns:
                self._send(report.connection, report.counter, _reported(report.entry))
            else:
                self._reports.append(report)
                self._wake_at(report.until_ns)
        for one in held:
            assert one.entry is not None, "else it was given up at once"
            if one.entry.is_met:
                self._release(one)
            elif now_ns >= one.entry.until_ns:
                self._given_up.append(one)
            else:
                self._held.append(one)
                self._wake_at(one.entry.until_ns)

    def _wake_at(self, at_ns: int) -> None:
        self._next_ns = at_ns if self._next_ns is None else min(self._next_ns, at_ns)

    def _release(self, held: _Held) -> None:
        receipt = held.receipt
        if held.deadline_mono_ns is not None and _now_ns() > held.deadline_mono_ns:
            receipt = receipt._replace(flags=receipt.flags | int(Flag.LATE))
        self._send(held.connection, held.counter, Answer(Status.OK, receipt))

    def _refuse(self, held: _Held) -> None:
        reason = f"{REASON}: {_missed(held.entry)}"
        receipt = held.receipt
        refused = Refused(receipt.seq, receipt.entry_hash, [reason], receipt.flags)
        self._send(held.connection, held.counter, Answer(Status.REFUSED, refused))


def _missed(entry: AskedEntry | None) -> str:
    if entry is None:
        return "it was asked before the recorder's last start, and who signed is not known"
    wish, chosen = entry.ask.wish, len(entry.ask.chosen)
    if chosen < wish.k:
        return f"{wish.k} were wanted, {chosen} could be asked"
    return f"{len(entry.signed)} of {wish.k} within {wish.within_ms} ms"


def _reported(entry: AskedEntry) -> Answer:
    wish, chosen = entry.ask.wish, entry.ask.chosen
    return Answer(Status.OK, Witnessed(wish.k, wish.within_ms, [one.name for one in chosen], list(entry.signed)))


def _now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
