"""The client's one thread: sends rows and events, reads their receipts, and serves futures that nobody waits for.

It shares the interpreter with a control loop, so it works in short bursts: rows go out as slices of the ring, many to
a message; a burst ends after a few messages; and with more to do it sleeps between two bursts, because a thread that
only makes short system calls takes the interpreter back before the other one has woken up.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable

from recorder.client.answers import Hello
from recorder.client.connection import NS_PER_MS, Connection, boottime_ns
from recorder.client.control import Control
from recorder.client.events import EventQueue, Ticket
from recorder.client.rows import RowSender, failure_of
from recorder.client.wake import Wake

BATCH_MS = 20  # rows wait so long for company
LIGHT_MS = 10  # an event waits so long at most: see `is_dozing`
LINGER_MS = 2000  # after the last move, until the thread sleeps for longer
IDLE_MS = 1000
EVENTS_PER_BURST = 8
BURST_PAUSE_S = 0.0003
LOG = logging.getLogger("recorder.client")


class Pump:
    """Runs until it is told to stop."""

    def __init__(
        self,
        control: Control,
        events: tuple[Connection, EventQueue],
        rows: tuple[Connection, RowSender],
        *,
        wake: Wake,
        hello: Callable[[], Hello | None],
        watch: Callable[[], None],
    ) -> None:
        """Make it without starting it.

        Args:
            control: whose futures it serves.
            events: the connection of events, and their queue.
            rows: the connection of rows, and their sender.
            wake: set when something should not wait for the next batch.
            hello: the last one.
            watch: called after each turn that moved something.

        """
        self.progress = threading.Condition()  # notified when something was acknowledged or refused
        self._control = control
        self._events_connection, self._events = events
        self._rows_connection, self._rows = rows
        self._wake = wake
        self._hello = hello
        self._watch = watch
        self._stopping = False
        self._batch_ns = 0  # when rows go out next
        self._moved_ns = 0  # when something last moved
        # To wake a thread is a point at which the scheduler may take the processor from the control loop (measured on
        # a busy machine: 4 ms), so an event wakes this one only out of a long sleep, which it takes when nothing moves.
        self.is_dozing = False
        self._troubles: dict[int, str | None] = {}
        self._thread = threading.Thread(target=self._run, name="lineage-client", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hurry(self) -> None:
        """Send what is there now, without waiting for more."""
        self._batch_ns = 0
        self._wake.set()

    def stop(self) -> None:
        """End, after the turn under way."""
        self._stopping = True
        self._wake.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
        self._events_connection.close()
        self._rows_connection.close()

    def _run(self) -> None:
        _give_up_real_time()
        while not self._stopping:
            now_ns = boottime_ns()
            moved = self._control.turn(now_ns) + self._turn_events(now_ns) + self._turn_rows(now_ns)
            if moved:
                self._moved_ns = now_ns
                with self.progress:
                    self.progress.notify_all()
                time.sleep(BURST_PAUSE_S)
            self._watch()
            self._sleep()

    def _turn_events(self, now_ns: int) -> int:
        connection, session = self._events_connection, self._events_connection.session
        if session.is_idle and not self._events.pending and not self._events.losses_pending:
            return 0
        connection.advance(now_ns)
        answers = connection.read(now_ns)
        for answer in answers:
            failure = failure_of(answer)
            ticket = answer.outgoing.token
            if failure is not None:
                LOG.error("the recorder did not take an event: %s", failure)
            if isinstance(ticket, Ticket):
                self._events.settle(ticket, recorded=failure is None)
        self._tell(connection)
        if not connection.is_ready:
            return len(answers)
        hello = self._hello()
        platform = hello.platform if hello else ""
        for _ in range(min(session.room, EVENTS_PER_BURST)):
            request = self._events.take(platform)
            if request is None:
                break
            session.give(request)
        return len(answers) + connection.write()

    def _turn_rows(self, now_ns: int) -> int:
        connection, sender = self._rows_connection, self._rows
        if not sender.sources and connection.session.is_idle:
            return 0
        connection.advance(now_ns)
        answers = connection.read(now_ns)
        for answer in answers:
            sender.answered(answer)
        self._tell(connection)
        if not connection.is_ready:
            return len(answers)
        sender.begin(connection.generation)
        if now_ns >= self._batch_ns:
            # Each receipt wakes this thread; without the window, rows would leave one by one as they come.
            caught_up = sender.step()
            self._batch_ns = now_ns + BATCH_MS * NS_PER_MS if caught_up else 0
        if sender.wants_reopen and connection.session.is_idle:
            connection.reopen(now_ns)
        return len(answers) + connection.write()

    def _sleep(self) -> None:
        poll = select.poll()
        poll.register(self._wake.fd, select.POLLIN)
        now_ns = boottime_ns()
        self.is_dozing = not self._rows.sources and now_ns - self._moved_ns > LINGER_MS * NS_PER_MS
        wait_ns = (IDLE_MS if self.is_dozing and not self._events.pending else LIGHT_MS) * NS_PER_MS
        if self._rows.sources and self._batch_ns > now_ns:
            wait_ns = min(wait_ns, self._batch_ns - now_ns)
        interests = [self._control.interest()]
        next_ns = self._control.next_ns()
        if next_ns is not None:
            wait_ns = min(wait_ns, next_ns - now_ns)
        for connection, busy in (
            (self._events_connection, self._events.pending or self._events.losses_pending),
            (self._rows_connection, self._rows.sources),
        ):
            interests.append(connection.interest())
            if busy and (due_ns := connection.due_ns) is not None:
                wait_ns = min(wait_ns, due_ns - now_ns)
        for interest in interests:
            if interest is not None:
                poll.register(*interest)
        for descriptor, _ in poll.poll(max(0, wait_ns) / NS_PER_MS):
            if descriptor == self._wake.fd:
                self._wake.clear()

    def _tell(self, connection: Connection) -> None:
        """Log a state once, not every retry."""
        trouble = connection.problem
        if self._troubles.get(id(connection)) == trouble:
            return
        self._troubles[id(connection)] = trouble
        if trouble is None:
            LOG.info("the recorder is back")
        else:
            LOG.warning("%s; what is recorded meanwhile is kept and sent later", trouble)


def _give_up_real_time() -> None:
    # A thread inherits the scheduling of the one that makes it, which may be a real-time control loop.
    try:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except OSError:
        LOG.debug("the client's thread keeps the scheduling that it inherited")
