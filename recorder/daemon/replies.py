"""Replies: those that leave at once, those that wait for their entry to be durable, and pushes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from recorder.core.entry import entry_hash
from recorder.core.message_replies import Head, Receipt
from recorder.core.messages import Flag, Status
from recorder.core.protocol import encode_reply
from recorder.daemon.connection import Connection
from recorder.daemon.poller import Poller
from recorder.store.store import Store
from recorder.writer.journal import Written
from recorder.writer.session import Answer

_LATE = int(Flag.LATE)  # combining members of an IntFlag takes 2 µs

Hold = Callable[[Connection, int, Receipt, int | None], None]


class Waiting(NamedTuple):
    """A reply that leaves once its entry is durable."""

    connection: Connection
    counter: int
    answer: Answer
    deadline_mono_ns: int | None


class Replies:
    """Everything that is sent; who does not read it is dropped."""

    def __init__(self, store: Store, poller: Poller, drop: Callable[[Connection], None]) -> None:
        """Make it.

        Args:
            store: has hashes of entries that are durable.
            poller: watches for room to send.
            drop: hangs up.

        """
        self._store = store
        self._poller = poller
        self._drop = drop
        self.waiting: list[Waiting] = []

    def send(self, connection: Connection, counter: int, answer: Answer) -> None:
        """Send a reply, as soon as there is room."""
        if connection.closed:
            return
        had_unsent = connection.wants_to_send
        if not connection.send(encode_reply(answer.status, counter, answer.body)):
            self._drop(connection)
        elif connection.wants_to_send and not had_unsent:
            self._poller.change(connection.fd, writable=True)

    def send_stored(self, connection: Connection, counter: int, answer: Answer) -> None:
        """Send a reply about an entry that is durable already."""
        self.send(connection, counter, self._filled(answer, None, late=False))

    def leave(self, written: Written, hold: Hold) -> None:
        """Send what waited for the transaction just written; what witnesses are to sign first goes to `hold`."""
        waiting, self.waiting = self.waiting, []
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        for connection, counter, answer, deadline in waiting:
            if not connection.closed:
                late = deadline is not None and now_ns > deadline
                filled = self._filled(answer, written, late=late)
                if answer.holds:
                    hold(connection, counter, filled.body, deadline)
                else:
                    self.send(connection, counter, filled)
        self._poller.answered()

    def push(self, connections: Iterable[Connection], written: Written) -> None:
        """Tell subscribers of the transaction just written."""
        asks = tuple(one.told() for one in written.asks)
        for connection in connections:
            if connection.subscribed:
                head = Head(written.first, written.hashes, connection.pushes_dropped, asks)
                connection.push(encode_reply(Status.PUSH, 0, head.sent()))

    def _filled(self, answer: Answer, written: Written | None, *, late: bool) -> Answer:
        """The answer with its entry's hash, out of the transaction just written or of the store."""
        body = answer.body
        if answer.hash_of is None or not hasattr(body, "entry_hash"):
            return answer
        if written is not None and answer.hash_of >= written.first:
            found = written.hashes[answer.hash_of - written.first]
        else:
            found = entry_hash(self._store.entry(answer.hash_of))
        flags = body.flags | _LATE if late else body.flags
        if type(body) is Receipt:  # nearly all are; `_replace` takes four times as long
            return Answer(answer.status, Receipt(body.seq, body.index, found, body.decision, flags))
        return Answer(answer.status, body._replace(entry_hash=found, flags=flags))
