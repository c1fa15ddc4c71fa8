"""Events and gaps on their way: a bounded queue that anyone may fill, also a signal's handler.

Pure.  `put_event` never waits for the sender: what both hold is a lock around a few lines, re-entrant because the
handler of an emergency stop may interrupt another call of the same thread.

A waiting event is one `bytes` and some integers, which Python's garbage collector does not look at: with thousands of
waiting objects its runs would be the longest that an `event` takes (measured: 0.8 ms).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from threading import RLock
from typing import Any

from recorder.client.session import Outgoing, outgoing
from recorder.core import cbor
from recorder.core.messages import Verb

EVENTS_MAX = 4096
BYTES_MAX = 4 * 1024 * 1024
GAP_ACTUATORS_MAX = 64  # message_requests.GapRequest
_COUNTED = 2  # verb and counter, which stand before an event's parts
_LIST = 0x80  # head of a list of at most 23
_ACTUATORS, _WHO, _AT = 1, 2, 6


@dataclass(slots=True, eq=False)
class Ticket:
    """What the queue knows of a request that has left it; the request's token."""

    size_bytes: int
    number: int = 0  # in the order of giving; 0 for a gap that declares this queue's own losses
    lost: int = 0  # events and rows that this gap declares
    event: bytes | None = None  # as packed; None for a gap


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
        self._queue: deque[bytes | Outgoing] = deque()
        self._taken = 0
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

    def put_event(self, event: bytes, actuators: Sequence[str], at_mono_ns: int) -> bool:
        """Queue an event; False if there is no room and it is counted lost.

        Args:
            event: as packed; the who may lack the platform.
            actuators: of it.
            at_mono_ns: of it.

        """
        with self._lock:
            if not self._make_room(len(event)):
                self._lose(actuators, at_mono_ns)
                return False
            self._queue.append(event)
            return True

    def put_gap(self, request: Outgoing, actuators: Sequence[str], at_mono_ns: int, lost: int = 0) -> bool:
        """Queue a gap that declares `lost` events or rows of this client; False if it is itself counted lost."""
        ticket = Ticket(len(request.tail[0]), lost=lost)
        with self._lock:
            if not self._make_room(ticket.size_bytes):
                self._lose(actuators, at_mono_ns)
                return False
            ticket.number = self.recorded
            request.token = ticket
            self._queue.append(request)
            return True

    def take(self, platform: str) -> Outgoing | None:
        """Sender: the next request; events before the first hello get their platform now."""
        if not self._queue:
            with self._lock:
                if len(self._unsettled) < self._events_max:
                    self._end_run()
            if not self._queue:
                return None
        item = self._queue.popleft()
        if isinstance(item, Outgoing):
            if isinstance(item.token, Ticket) and item.token.number:
                self._taken = item.token.number
            return item
        self._taken += 1  # events and gaps leave in the order of their numbers
        parts = cbor.load(item)
        tail = item[1:]
        if "platform" not in parts[_WHO]:
            parts[_WHO]["platform"] = platform
            tail = cbor.pack(parts)[1:]
        token = Ticket(len(item), self._taken, event=item)
        return Outgoing(Verb.EVENT, _COUNTED + len(parts), (tail,), token)

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
            elif ticket.event is not None:
                parts = cbor.load(ticket.event)
                times = (parts[_AT], parts[_AT])
                self._declare(1, times, parts[_ACTUATORS], f"event of client {self._client} not taken by the recorder")

    def is_settled(self, number: int) -> bool:
        """Everything up to this number was answered."""
        with self._lock:
            oldest = next(iter(self._unsettled), None)
            return (oldest is None or oldest > number) and self.losses_pending == 0

    def _make_room(self, size_bytes: int) -> bool:
        """Count one more that waits, or say that there is no room."""
        if len(self._unsettled) >= self._events_max or self._bytes + size_bytes > self._bytes_max:
            return False
        self._end_run()
        self.recorded += 1
        self._unsettled[self.recorded] = None
        self._bytes += size_bytes
        return True

    def _lose(self, actuators: Sequence[str], at_mono_ns: int) -> None:
        self.dropped += 1
        if self._run is None:
            self._run = _Run(0, at_mono_ns, at_mono_ns, {})
        self._run.count += 1
        self._run.last_mono_ns = at_mono_ns
        for name in actuators:
            if len(self._run.actuators) < GAP_ACTUATORS_MAX:
                self._run.actuators[name] = None

    def _end_run(self) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        times = (run.first_mono_ns, run.last_mono_ns)
        self._declare(run.count, times, tuple(run.actuators), f"event queue of client {self._client} full")

    def _declare(self, count: int, times: tuple[int, int], actuators: Sequence[str], reason: str) -> None:
        self._gaps_pending += 1
        request = gap(actuators, count, times, reason)
        request.token = Ticket(0, lost=count)
        self._queue.append(request)


def packed(event: Outgoing) -> bytes:
    """An event's parts as one list, to wait for its number."""
    return bytes((_LIST + event.arity - _COUNTED,)) + bytes(event.tail[0])


def gap(actuators: Sequence[str], count: int | None, times: tuple[int, int] | None, reason: str) -> Outgoing:
    """Say what was not recorded.

    Raises:
        FormatError: cbor_malformed, where a value has no place in the format.

    """
    span: Any = None if times is None else [min(times), max(times)]
    return outgoing(Verb.GAP, list(actuators), count, span, reason)
