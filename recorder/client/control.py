"""Requests that someone waits for: cycles, commits, queries, on one connection that the waiting threads drive.

A thread that commits sends and receives by itself, since two thread switches would cost a tenth of a durable commit.
With several, one reads for all (`_reading`) and the others sleep on the condition.  Where nobody waits but futures are
open, the pump's thread takes turns.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, Lock
from typing import NamedTuple

from recorder.client.answers import Hello
from recorder.client.connection import STALL_NS, Connection, boottime_ns, wait_for
from recorder.client.session import STORE_FULL, Answer, Outgoing, Session, outgoing
from recorder.core.message_replies import Failed
from recorder.core.messages import Status, Verb
from recorder.core.protocol import body_of

WINDOW = 512  # unanswered at once; the recorder remembers 1,024 answers
ABANDON_MAX = 1024  # message_requests.AbandonRequest


class Waiting:
    """A request and who hears of its end: a thread inside `ask`, or `ended`, called once and without any lock."""

    __slots__ = ("answer", "deadline_ns", "ended", "outgoing", "started_ns")

    def __init__(
        self, request: Outgoing, deadline_ns: int | None, ended: Callable[[Waiting], None] | None = None
    ) -> None:
        self.outgoing = request
        self.deadline_ns = deadline_ns
        self.ended = ended
        self.started_ns = boottime_ns()
        self.answer: Answer | None = None  # None at the end: it never came, and was given up
        request.token = self


class Abandoned(NamedTuple):
    """Requests that one message abandons."""

    requests: list[bytes]


class Control:
    """The session of commits and of everything else that is asked and answered."""

    def __init__(self, path: str, client: str, greeted: Callable[[Hello], None], wake: Callable[[], None]) -> None:
        """Make it without connecting.

        Args:
            path: the recorder's socket.
            client: our name.
            greeted: hears of every hello.
            wake: wakes the pump, which then calls `turn`.

        """
        self._session = Session(client, WINDOW)
        self._connection = Connection(path, self._session, greeted)
        self._wake = wake
        self._changed = Condition(Lock())  # held for a few system calls that don't block, never while waiting
        self._reading = False
        self._open: dict[Waiting, None] = {}  # futures
        self._given_up: list[bytes] = []
        self._abandon_at_ns = 0  # not before: the recorder could not store the last ones

    @property
    def trouble(self) -> str:
        """Why nobody answers."""
        return self._connection.trouble or "the recorder does not answer"

    @property
    def lost_ns(self) -> int | None:
        """Since when there is no connection."""
        return self._connection.lost_ns

    @property
    def is_idle(self) -> bool:
        """No request is open, and nothing is to be abandoned."""
        return self._session.is_idle and not self._given_up

    def connect(self, deadline_ns: int) -> None:
        """Wait for a hello; returns without one where the socket does not answer now, or at the deadline."""
        ended: list[Waiting] = []
        with self._changed:
            while not self._is_greeted() and boottime_ns() < deadline_ns:
                if self._reading:
                    self._changed.wait((deadline_ns - boottime_ns()) / 1e9)
                    continue
                ended += self._turn(boottime_ns())
                if self._is_greeted() or self._connection.is_down:
                    break
                self._wait(deadline_ns)
        _end(ended)

    def ask(self, waiting: Waiting, *, while_down: bool = True) -> Answer | None:
        """Send a request and wait for its answer until its deadline; None if there is none, then it is given up.

        Args:
            waiting: the request, with a deadline.
            while_down: wait for the recorder to come back, rather than return at once when it is known to be away.

        """
        deadline_ns = waiting.deadline_ns
        assert deadline_ns is not None, "what a thread waits for has a deadline"
        ended: list[Waiting] = []
        with self._changed:
            self._send(waiting)
            while waiting.answer is None and boottime_ns() < deadline_ns:
                if not while_down and self._connection.is_down:
                    break
                if self._reading:
                    self._changed.wait((deadline_ns - boottime_ns()) / 1e9)
                else:
                    self._wait(deadline_ns)
                    ended += self._turn(boottime_ns())
            if waiting.answer is None:
                self._give_up(waiting.outgoing)
            self._changed.notify_all()  # someone else may read now
            leftover = not self.is_idle
        _end(ended)
        if leftover:
            self._wake()
        return waiting.answer

    def submit(self, waiting: Waiting) -> None:
        """Send a request and return; `ended` hears of its answer."""
        with self._changed:
            self._open[waiting] = None
            self._send(waiting)
        self._wake()

    def give_up(self, request_id: bytes) -> None:
        """Tell the recorder that nobody acted on this request."""
        with self._changed:
            self._given_up.append(request_id)
        self._wake()

    def turn(self, now_ns: int) -> int:
        """Pump: do what the threads that wait don't, and end futures whose deadline is over; returns how many ended."""
        ended: list[Waiting] = []
        with self._changed:
            if not self._reading and not self.is_idle:
                ended += self._turn(now_ns)
            for waiting in [one for one in self._open if one.deadline_ns is not None and one.deadline_ns <= now_ns]:
                self._give_up(waiting.outgoing)
                del self._open[waiting]
                ended.append(waiting)
            self._changed.notify_all()
        _end(ended)
        return len(ended)

    def interest(self) -> tuple[int, int] | None:
        """Pump: what to poll for, if nobody else does."""
        with self._changed:
            return None if self._reading or self.is_idle else self._connection.interest()

    def next_ns(self) -> int | None:
        """Pump: when to take the next turn if nothing happens before."""
        with self._changed:
            times = [one.deadline_ns for one in self._open if one.deadline_ns is not None]
            if self._connection.is_down and not self.is_idle:
                times.append(self._connection.retry_ns)
            if self._given_up:
                times.append(self._abandon_at_ns)
            return min(times, default=None)

    def close(self) -> list[Waiting]:
        """Close the connection; returns the futures that stay open."""
        with self._changed:
            self._connection.close()
            left = list(self._open)
            self._open.clear()
            return left

    def _is_greeted(self) -> bool:
        return self._connection.is_ready

    def _send(self, waiting: Waiting) -> None:
        self._session.give(waiting.outgoing)
        if not self._reading:
            self._connection.advance(boottime_ns())
        self._write()

    def _wait(self, deadline_ns: int) -> None:
        """Poll without the lock."""
        until = min(deadline_ns, self._connection.retry_ns) if self._connection.is_down else deadline_ns
        interest = self._connection.interest()
        self._reading = True
        self._changed.release()
        try:
            wait_for(interest, until - boottime_ns())
        finally:
            self._changed.acquire()
            self._reading = False

    def _turn(self, now_ns: int) -> list[Waiting]:
        ended = []
        self._connection.advance(now_ns)
        for answer in self._connection.read(now_ns):
            waiting = answer.outgoing.token
            if isinstance(waiting, Abandoned):
                self._abandoned(waiting, answer, now_ns)
            if isinstance(waiting, Waiting):
                waiting.answer = answer
                if waiting in self._open:
                    del self._open[waiting]
                    ended.append(waiting)
        if self._connection.is_down:  # a recorder that was restarted meanwhile answers at once
            self._connection.advance(now_ns)
        self._write()
        self._changed.notify_all()
        return ended

    def _write(self) -> None:
        self._connection.write()
        # Behind what is sent again (session.py, law 3), and all that was given up in one message.
        if not self._given_up or self._session.unsent or not self._connection.is_ready:
            return
        if boottime_ns() >= self._abandon_at_ns:
            requests, self._given_up = self._given_up[:ABANDON_MAX], self._given_up[ABANDON_MAX:]
            self._session.give(outgoing(Verb.ABANDON, requests, token=Abandoned(requests)))
            self._connection.write()

    def _abandoned(self, abandoned: Abandoned, answer: Answer, now_ns: int) -> None:
        """Say it again later where the recorder could not store it."""
        if answer.status is Status.ERROR and body_of(answer.body, Failed).error == STORE_FULL:
            self._given_up[:0] = abandoned.requests
            self._abandon_at_ns = now_ns + STALL_NS

    def _give_up(self, request: Outgoing) -> None:
        request_id = self._session.withdraw(request)
        if request_id is not None:
            self._given_up.append(request_id)
            self._write()


def _end(ended: list[Waiting]) -> None:
    for waiting in ended:
        if waiting.ended is not None:
            waiting.ended(waiting)
