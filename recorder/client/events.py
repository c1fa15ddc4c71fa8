"""Events and gaps on their way: a bounded queue that anyone may fill, also a signal's handler.

Pure.  `put` never waits for the sender: what both hold is a lock around a few lines, re-entrant because the handler
of an emergency stop may interrupt a `put` of the same thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from threading import RLock
from typing import Any

from recorder.client.session import Outgoing, outgoing
from recorder.core.protocol import Verb

EVENTS_MAX = 4096
BYTES_MAX = 4 * 1024 * 1024
GAP_ACTUATORS_MAX = 64  # protocol.GapRequest


@dataclass(slots=True, eq=False)
class Ticket:
    """What the queue knows of one event or gap; the token of its request."""

    at_mono_ns: int
    actuators: tuple[str, ...]
    size_bytes: int
    number: int = 0  # in the order of giving; 0 for a gap that declares this queue's own losses
    lost: int = 0  # events and rows that this gap declares
    is_gap: bool = False
    lacks_platform: bool = False  # its who is completed when it is sent


@dataclass(slots=True)
class _Run:
    count: int
    first_mono_ns: int
    last_mono_ns: int
    actuators: dict[str, None]


class EventQueue:
    """Requests in order of giving, with what overflowed declared as a gap at its place."""

    def __init__(self, client: str, events_max: int = EVENTS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self.recorded = 0
        self.acknowledged = 0
        self.rejected = 0
        self.dropped = 0
        self.lost_declared = 0
        self._client = client
        self._events_max = events_max
        self._bytes_max = bytes_max
        self._lock = RLock()
        self._queue: deque[Outgoing] = deque()
        self._unsettled: dict[int, None] = {}
        self._bytes = 0
        self._run: _Run | None = None
        self._gaps_pending = 0

    @property
    def pending(self) -> int:
        """Events and gaps that were given and are neither acknowledged nor rejected."""
        return len(self._unsettled)

    @property
    def losses_pending(self) -> int:
        """Gaps about this queue's own losses that are not declared yet."""
        return self._gaps_pending + (self._run is not None)

    def put(self, ticket: Ticket, request: Outgoing) -> bool:
        """Queue a request; False if there is no room and it is counted lost."""
        request.token = ticket
        with self._lock:
            if len(self._unsettled) >= self._events_max or self._bytes + ticket.size_bytes > self._bytes_max:
                self._lose(ticket)
                return False
            self._end_run()
            self.recorded += 1
            ticket.number = self.recorded
            self._unsettled[ticket.number] = None
            self._bytes += ticket.size_bytes
            self._queue.append(request)
            return True

    def take(self) -> Outgoing | None:
        """Sender: the next request."""
        if not self._queue:
            with self._lock:
                if len(self._unsettled) < self._events_max:
                    self._end_run()
        return self._queue.popleft() if self._queue else None

    def settle(self, ticket: Ticket, *, recorded: bool) -> None:
        """Sender: the recorder answered; an event that it did not take is declared lost."""
        with self._lock:
            if ticket.number:
                self._unsettled.pop(ticket.number, None)
                self._bytes -= ticket.size_bytes
                self.acknowledged += recorded
                self.rejected += not recorded
            else:
                self._gaps_pending -= 1
            if recorded:
                self.lost_declared += ticket.lost
            elif not ticket.is_gap:
                times = (ticket.at_mono_ns, ticket.at_mono_ns)
                self._declare(1, times, ticket.actuators, f"event of client {self._client} not taken by the recorder")

    def is_settled(self, number: int) -> bool:
        """Everything up to this number was answered."""
        with self._lock:
            oldest = next(iter(self._unsettled), None)
            return (oldest is None or oldest > number) and self.losses_pending == 0

    def _lose(self, ticket: Ticket) -> None:
        self.dropped += 1
        if self._run is None:
            self._run = _Run(0, ticket.at_mono_ns, ticket.at_mono_ns, {})
        self._run.count += 1
        self._run.last_mono_ns = ticket.at_mono_ns
        for name in ticket.actuators:
            if len(self._run.actuators) < GAP_ACTUATORS_MAX:
                self._run.actuators[name] = None

    def _end_run(self) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        times = (run.first_mono_ns, run.last_mono_ns)
        self._declare(run.count, times, tuple(run.actuators), f"event queue of client {self._client} full")

    def _declare(self, count: int, times: tuple[int, int], actuators: tuple[str, ...], reason: str) -> None:
        self._gaps_pending += 1
        ticket = Ticket(times[0], actuators, 0, lost=count, is_gap=True)
        request = gap(actuators, count, times, reason)
        request.token = ticket
        self._queue.append(request)


def gap(actuators: Sequence[str], count: int | None, times: tuple[int, int] | None, reason: str) -> Outgoing:
    """Say what was not recorded.

    Raises:
        FormatError: cbor_malformed, where a value has no place in the format.

    """
    span: Any = None if times is None else [min(times), max(times)]
    return outgoing(Verb.GAP, list(actuators), count, span, reason)
