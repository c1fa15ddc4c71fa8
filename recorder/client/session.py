"""One session with the recorder: request ids, what is unanswered, and what is sent again in which order.

Pure: messages come out, replies go in.  The laws (PROTOCOL.md section 4):

1. Counters rise in the order of sending; a message keeps its counter and its bytes for as long as the session lives,
   so that the recorder can answer a repeat with the first receipt.
2. After a lost connection everything unanswered is sent again, in the order of its counters, whether the recorder's
   last durable counter covers it or not: for what is covered it answers with the first receipt.
3. What is new, the abandoning of timed-out requests included, comes after that: its counters are higher, and a
   counter below the last durable one that the recorder does not know would be an error.  With nothing to repeat, the
   abandoning is the first message.
4. A session that the recorder has closed, or an origin that changed, ends all ids: what is unanswered is sent again
   under new ids.  The recorder can't recognise a repeat then, so an act may stand in the log twice, once under each
   id; losing it would be worse.
5. What the recorder is unable to store for now (its disk is full) was not recorded under its id; a patient session,
   one of rows or events, sends it again later, under a new id and before all that is new.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

from recorder.core import cbor
from recorder.core.errors import FormatError
from recorder.core.limits import REQUEST_MAX_BYTES
from recorder.core.message_replies import Failed
from recorder.core.message_requests import REQUESTS, Hello
from recorder.core.messages import PROTOCOL_VERSION, Status, Verb
from recorder.core.protocol import body_of, decode_reply, encode, request_id

HELLO_COUNTER = 0
SESSION_CLOSED = "session_closed"
STORE_FULL = "store_full"
HEAD_MAX_BYTES = 320  # list, verb, counter; and the platform, which an event gets when it is sent
_CONNECTION_BOUND = frozenset({Verb.DECLARE_STREAM})  # means nothing on the next connection


@dataclass(slots=True, eq=False)
class Outgoing:
    """A request on its way: its elements after verb and counter, encoded, in as many buffers as they lie in."""

    verb: Verb
    arity: int  # elements of the whole message
    tail: tuple[bytes | memoryview, ...]
    token: object = None  # whose it is
    counter: int | None = None
    sent_as: bytes | None = None  # request id under which it last left, in this session or an earlier one


class Answer(NamedTuple):
    """A reply and the request that it answers."""

    outgoing: Outgoing
    status: Status
    body: Any


def outgoing(verb: Verb, *parts: cbor.Value, token: object = None) -> Outgoing:
    """Check and encode all of a request but its counter.

    A message that the recorder cannot read gets an answer that names no request, so its shape is checked here.

    Raises:
        FormatError: cbor_malformed, message_malformed.

    """
    # A list of at most 23 has a head of one byte; what follows are the elements, one after the other.
    tail = cbor.encode_as_given(list(parts))[1:]
    body_of([int(verb), HELLO_COUNTER, *parts], REQUESTS[verb])
    if len(tail) + HEAD_MAX_BYTES > REQUEST_MAX_BYTES:
        raise FormatError("message_malformed", f"a message of {len(tail)} bytes is over {REQUEST_MAX_BYTES}")
    return Outgoing(verb, 2 + len(parts), (tail,), token)


class Session:
    """Requests of one connection at a time."""

    def __init__(self, client: str, window: int, *, patient: bool = False) -> None:
        """Make a session that the recorder has still to issue.

        Args:
            client: name of this client, for the recorder's status page.
            window: requests that may be unanswered at once; well below the 1,024 that the recorder remembers.
            patient: what cannot be stored for now is sent again (law 5), not answered.

        """
        self.id: bytes | None = None
        self.origin: str | None = None
        self.durable_counter = -1
        self.closed = False  # the recorder said so; the connection has to go
        self.held = False  # only urgent messages leave
        self.pushes = 0  # heads that came for a subscriber
        self.renewals = 0  # times that ids ended with requests unanswered (law 4)
        self.stalled: str | None = None  # why nothing new leaves until `resume`
        self._client = client
        self._patient = patient
        self._parked: list[Outgoing] = []
        self._window = window
        self._next = HELLO_COUNTER + 1
        self._unanswered: dict[int, Outgoing] = {}
        self._unsent: deque[Outgoing] = deque()
        self._urgent: deque[Outgoing] = deque()

    @property
    def in_flight(self) -> int:
        """Requests that were sent and not answered."""
        return len(self._unanswered)

    @property
    def room(self) -> int:
        """Requests that may be given until the window is full."""
        return self._window - len(self._unanswered) - len(self._unsent) - len(self._parked)

    @property
    def is_idle(self) -> bool:
        """Nothing is unsent or unanswered."""
        return not (self._unanswered or self._unsent or self._urgent or self._parked)

    @property
    def unsent(self) -> tuple[Outgoing, ...]:
        """What waits to be sent, in order."""
        return tuple(self._unsent)

    def hello(self) -> bytes:
        """Encode the first message of a connection."""
        return encode(Hello(Verb.HELLO, HELLO_COUNTER, PROTOCOL_VERSION, self.id, self._client))

    def greeted(self, session: bytes, origin: str, durable_counter: int) -> None:
        """Take the recorder's hello: the same session goes on, or ids begin anew."""
        if self.id is not None and (session, origin) != (self.id, self.origin):
            self._renew()
        self.id, self.origin, self.durable_counter = session, origin, durable_counter
        self._next = max(self._next, durable_counter + 1)

    def give(self, request: Outgoing) -> None:
        """Queue a request behind all others."""
        self._unsent.append(request)

    def give_urgent(self, request: Outgoing) -> None:
        """Queue a request before all others, also while the session is held."""
        self._urgent.append(request)

    def peek(self) -> tuple[bytes | memoryview, ...] | None:
        """Return the message to send next, or None; call `sent` once it has left."""
        queue = self._queue()
        if queue is None:
            return None
        request = queue[0]
        if request.counter is None:
            request.counter = self._next
            self._next += 1
        # All verbs are below 24, where a number is its own encoding.
        head = bytes((0x80 + request.arity, request.verb)) + cbor.pack(request.counter)
        return (head, *request.tail)

    @property
    def may_send(self) -> bool:
        """Whether `peek` has something."""
        return self._queue() is not None

    def sent(self) -> None:
        """Note that what `peek` returned has left."""
        queue = self._queue()
        assert queue is not None, "sent() follows peek()"
        request = queue.popleft()
        assert request.counter is not None, "peek() numbers"
        assert self.id is not None, "hello comes first"
        request.sent_as = request_id(self.id, request.counter)
        self._unanswered[request.counter] = request

    def receive(self, message: bytes) -> Answer | None:
        """Take a reply; None where nobody waits for it any more.

        Raises:
            FormatError: cbor_malformed, message_malformed.

        """
        status, counter, body = decode_reply(message)
        if status is Status.ERROR:
            failed = body_of(body, Failed)
            if counter == HELLO_COUNTER:
                raise FormatError(failed.error, f"it could not read a message of ours: {failed.detail}")
            if failed.error == SESSION_CLOSED:
                self.closed = True  # the request stays unanswered and follows under a new id
                return None
            if failed.error == STORE_FULL and self._patient and counter in self._unanswered:
                self._parked.append(self._unanswered.pop(counter))
                self.stalled = failed.detail
                return None
        if status is Status.PUSH:
            self.pushes += 1
            return None
        if counter not in self._unanswered:
            return None
        return Answer(self._unanswered.pop(counter), status, body)

    def resume(self) -> None:
        """Try again what was parked (law 5)."""
        self.stalled = None
        repeats = [request for request in self._unsent if request.sent_as is not None]
        fresh = [request for request in self._unsent if request.sent_as is None]
        for request in (*self._parked, *fresh):
            request.counter = None
        self._unsent = deque((*repeats, *self._parked, *fresh))
        self._parked = []

    def lost(self) -> None:
        """Forget the connection: what is unanswered is to be sent again, but for what dies with it."""
        again = [self._unanswered[counter] for counter in sorted(self._unanswered)]
        self._unsent.extendleft(request for request in reversed(again) if request.verb not in _CONNECTION_BOUND)
        self._unanswered.clear()
        self._urgent.clear()
        self.held = False
        self.resume()
        if self.closed:
            self.renew()

    def renew(self) -> None:
        """Ask for another session at the next hello: the recorder does not know this one."""
        self.closed = False
        self.id = None
        self._renew()

    def withdraw(self, request: Outgoing) -> bytes | None:
        """Stop waiting; returns the id to abandon if the recorder may have it, None if it was never sent."""
        if request.counter is not None and self._unanswered.get(request.counter) is request:
            del self._unanswered[request.counter]
        elif request in self._unsent:
            self._unsent.remove(request)
        else:
            return None
        return request.sent_as

    def _renew(self) -> None:
        self.renewals += any(request.sent_as is not None for request in self._unsent)
        self._next = HELLO_COUNTER + 1
        for request in self._unsent:
            request.counter = None

    def _queue(self) -> deque[Outgoing] | None:
        if self._urgent:
            return self._urgent
        if self._unsent and not (self.held or self.stalled) and len(self._unanswered) < self._window:
            return self._unsent
        return None
