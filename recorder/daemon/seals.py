"""SEALs: each is answered once the next segment is made, so that no commit waits for one that is made in a hurry."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from recorder.daemon.connection import Connection
from recorder.daemon.desk import Desk
from recorder.store.store import Store
from recorder.writer.context import failed
from recorder.writer.session import Answer

LOOK_S = 0.02


class Seals:
    """The queue; one SEAL at a time, since each takes the segment that was made ahead."""

    def __init__(self, store: Store, desk: Desk, send: Callable[[Connection, int, Answer], None]) -> None:
        self._store = store
        self._desk = desk
        self._send = send
        self._queue: deque[tuple[Connection, int]] = deque()
        self._tried = False  # to make the segment that was not there for the first one

    def add(self, connection: Connection, counter: int) -> None:
        """Take a request; `serve` answers it."""
        if any(one is connection for one, _ in self._queue):
            self._send(connection, counter, failed("busy", "a SEAL of this connection waits already"))
            return
        self._queue.append((connection, counter))

    @property
    def is_waiting(self) -> bool:
        """Whether `serve` should be called again within LOOK_S."""
        return bool(self._queue)

    def serve(self, write: Callable[[], None]) -> None:
        """Answer the first one if it can be; `write` makes durable what was drafted before it.

        Raises:
            SyncFailedError: a new segment may or may not have been begun.

        """
        while self._queue and self._queue[0][0].closed:
            self._queue.popleft()
        if not self._queue or not self._is_possible():
            return
        connection, counter = self._queue.popleft()
        self._tried = False
        write()
        self._send(connection, counter, self._desk.answer_checkpoint(seal=True))

    def _is_possible(self) -> bool:
        """Whether sealing takes no time, or fails for want of a segment."""
        store = self._store
        if store.has_next or store.is_sealed:
            return True
        if store.is_preparing:
            store.hurry_next()
            return False
        if self._tried:
            return True
        self._tried = True
        store.prepare_next()
        return not store.is_preparing
