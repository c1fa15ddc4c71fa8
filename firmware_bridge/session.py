"""The recorder's side of a bridge: its connections, and what is asked on them before the port is opened."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from firmware_bridge.frontfile import read_sessions, write_sessions
from firmware_bridge.places import AnewError, BridgeError, DamagedError
from recorder.client.answers import Hello
from recorder.client.connection import Connection, boottime_ns, wait_for
from recorder.client.session import Answer, Outgoing, Session, outgoing
from recorder.core.message_replies import Failed
from recorder.core.messages import Status, Verb
from recorder.core.protocol import body_of

RECORDS, COMMITS, READS, FOLLOWS = "records", "commits", "reads", "follows"
WINDOWS = {RECORDS: 64, COMMITS: 64, READS: 1, FOLLOWS: 2}
READ_MAX_BYTES = 60_000
READ_AGAIN = {"busy", "read_failed"}
LOOK_NS = 200_000_000

Page = tuple[int, list[tuple[bytes, Any]]]
_PAGE: Any = Page


class Recorder:
    """Four sessions, so that what waits for one need holds up no other."""

    def __init__(self, socket: Path, client: str, state: Path) -> None:
        """Make it without connecting; sessions of the process before this one are resumed.

        Resuming ends the older connection, and with it whatever a killed process had sent and nobody had read.
        """
        self.hello: Hello | None = None
        self.readable: set[int] = set()  # descriptors, by the last poll
        self._state = state
        held = read_sessions(state)
        self._sessions: dict[str, bytes] = {}
        self._connections: dict[str, Connection] = {}
        for name, window in WINDOWS.items():
            session = Session(client, window, patient=name == RECORDS)
            session.id = held.get(name)
            self._connections[name] = Connection(str(socket), session, self._greeted_on(name))

    @property
    def connections(self) -> tuple[Connection, ...]:
        """All of them."""
        return tuple(self._connections.values())

    @property
    def is_ready(self) -> bool:
        """All of them are greeted."""
        return all(connection.is_ready for connection in self.connections)

    @property
    def trouble(self) -> str | None:
        """Why nothing moves."""
        return next((one.problem for one in self.connections if one.problem is not None), None)

    def of(self, name: str) -> Connection:
        """The connection for this need."""
        return self._connections[name]

    def read(self, name: str, now_ns: int) -> list[Answer]:
        """The answers on the connection for this need; to look at one that has none costs as much as a whole frame."""
        connection = self._connections[name]
        interest = connection.interest()
        return connection.read(now_ns) if interest is not None and interest[0] in self.readable else []

    def greet(self, stopping: Callable[[], bool], say: Callable[[str], None]) -> Hello | None:
        """Wait until all are greeted; None where we are to stop before.

        Raises:
            BridgeError: somebody has to do something about it.

        """
        said: str | None = None
        while not stopping():
            now_ns = boottime_ns()
            for connection in self.connections:
                connection.advance(now_ns)
                connection.read(now_ns)
            if self.is_ready:
                return self.hello
            lasting = next((one for one in self.connections if one.trouble_is_lasting), None)
            if lasting is not None:
                raise BridgeError(f"{lasting.trouble}")
            if self.trouble != said and self.trouble is not None:
                said = self.trouble
                say(f"{said}; waiting for it")
            _wait(self.connections, LOOK_NS)
        return None

    def entries(self, seq: int, stopping: Callable[[], bool]) -> Iterator[tuple[int, bytes, bytes | None]]:
        """Seq, entry and claims of all entries from `seq` on.

        Raises:
            BridgeError: we may not read, or the recorder went away.

        """
        while not stopping():
            next_seq, entries = self._read(seq, stopping)
            if not entries:
                return
            for place, (raw, beside) in enumerate(entries):
                yield seq + place, raw, beside
            seq = next_seq

    def number(self, actuator: str, stopping: Callable[[], bool]) -> int | None:
        """The number of an actuator; None where we are to stop.

        Raises:
            BridgeError: the configuration does not let us act for it.

        """
        answer = self._ask(outgoing(Verb.DECLARE_ACTUATOR, actuator), stopping)
        if answer is None:
            return None
        if answer.status is not Status.OK:
            failed = body_of(answer.body, Failed)
            raise BridgeError(
                f"the recorder gives {actuator!r} no number: {failed.error}: {failed.detail}; recorder.toml: actuators"
            )
        number: int = body_of(answer.body, int)
        return number

    def _read(self, seq: int, stopping: Callable[[], bool]) -> Page:
        while True:
            answer = self._ask(read_request(seq), stopping)
            if answer is None:
                return seq, []
            page = page_of(answer)
            if page is not None:
                return page

    def _ask(self, request: Outgoing, stopping: Callable[[], bool]) -> Answer | None:
        """Ask and wait, over reconnects; None where we are to stop."""
        connection = self.of(READS)
        connection.session.give(request)
        while not stopping():
            now_ns = boottime_ns()
            connection.advance(now_ns)
            connection.write()
            for answer in connection.read(now_ns):
                return answer
            _wait((connection,), LOOK_NS)
        return None

    def _greeted_on(self, name: str) -> Callable[[Hello], None]:
        def greeted(hello: Hello) -> None:
            if self.hello is not None and hello.origin != self.hello.origin:
                # What the device signed is for the log that it was told of, and for no other.
                raise AnewError(f"the recorder has begun another log, {hello.origin}")
            self.hello = hello
            self._sessions[name] = hello.session
            if len(self._sessions) == len(WINDOWS) and self._sessions != read_sessions(self._state):
                write_sessions(self._state, self._sessions)

        return greeted

    def close(self) -> None:
        """Disconnect."""
        for connection in self.connections:
            connection.close()


def read_request(seq: int, max_bytes: int = READ_MAX_BYTES) -> Outgoing:
    """Ask for entries from a seq on."""
    return outgoing(Verb.READ, seq, max_bytes, token=seq)


def page_of(answer: Answer) -> Page | None:
    """Read a READ's answer: where to go on, and entries with their claims; None where it is to be asked again.

    Raises:
        DamagedError: the store is damaged there.
        BridgeError: we may not.

    """
    if answer.status is Status.OK:
        next_seq, entries = body_of(answer.body, _PAGE)
        return next_seq, entries
    failed = body_of(answer.body, Failed)
    if failed.error in READ_AGAIN:
        return None
    if failed.error == "store_damaged":
        raise DamagedError(f"the recorder cannot read what is asked for: {failed.detail}")
    hint = "; recorder.toml: read = true for our uid" if failed.error == "not_permitted" else ""
    raise BridgeError(f"the recorder gives no entries: {failed.error}: {failed.detail}{hint}")


def _wait(connections: tuple[Connection, ...], most_ns: int) -> None:
    """Until one of them can be read or written, or is due."""
    now_ns = boottime_ns()
    due = [one.due_ns for one in connections if one.due_ns is not None]
    for_ns = min([most_ns, *(max(0, at - now_ns) for at in due)])
    interests = [interest for one in connections if (interest := one.interest()) is not None]
    if len(interests) < 2:
        wait_for(interests[0] if interests else None, for_ns)
        return
    poll = select.poll()
    for interest in interests:
        poll.register(*interest)
    poll.poll(for_ns / 1e6)
