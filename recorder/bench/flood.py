"""A flood, for `bench`: many clients of one recorder, in a process that ends with the one that began it.

It says "flooding" once the recorder has begun to record what it sends, and what it did as one line of JSON at its end:
after so many seconds, or when its standard input is closed, which the system does for a parent that was killed.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import socket
import sys
import time
from collections import Counter
from pathlib import Path

from recorder.bench.acts import VALID_MS, WHAT, WHERE, opened
from recorder.client import Recorder
from recorder.client.connection import Connection, boottime_ns
from recorder.client.session import Outgoing, Session, outgoing
from recorder.core import cbor
from recorder.core.limits import REQUEST_MAX_BYTES
from recorder.core.messages import Status, Verb

ACTUATOR = "flood"
COMMITTING, ROWING, HOSTILE = 12, 8, 4  # clients
WINDOW = 64  # unanswered requests of each
ROWS_A_MESSAGE = 16
FIELDS = [["position_rad", "<f4", 6, "rad"]]
NICE = 10  # a tenth of a control loop's share where both want the processor
START_MS = 10_000
POLL_MS = 10
MALFORMED_A_TURN = 4
SEED = 1
UNDER_WAY = ("commits", "row_messages", "malformed", "recorded", "hung_up")


def main() -> None:
    """Flood the recorder at argv[1] for argv[2] seconds."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C also reaches the parent, which then ends us
    os.nice(NICE)
    sys.stdout.write(json.dumps(flood(Path(sys.argv[1]), float(sys.argv[2]))) + "\n")


def flood(path: Path, seconds: float) -> dict[str, int | float]:
    """Flood until the time is over or standard input ends.

    Returns:
        commits, row_messages, rows, malformed: sent; recorded, refused, errors: how the recorder answered;
        hung_up: hostile connections that it closed; clients, nice, seconds, cpu_s.

    Raises:
        Unavailable: no recorder there.

    """
    counts: Counter[str] = Counter()
    clients: list[Pipelining | Hostile] = [*_pipelining(path, counts)]
    clients += [Hostile(path, random.Random(SEED + at), counts) for at in range(HOSTILE)]  # noqa: S311 -- repeatable
    began = time.monotonic()
    is_under_way = False
    while time.monotonic() - began < seconds and not _rest([one.interest() for one in clients]):
        for one in clients:
            one.turn()
        if not is_under_way and min(counts[name] for name in UNDER_WAY) > 0:
            is_under_way = True
            sys.stdout.write("flooding\n")
            sys.stdout.flush()
    for one in clients:
        one.close()
    return {
        **{name: counts[name] for name in ("commits", "row_messages", "malformed")},
        **{name: counts[name] for name in ("recorded", "refused", "errors", "hung_up")},
        "rows": counts["row_messages"] * ROWS_A_MESSAGE,
        "clients": len(clients),
        "nice": os.nice(0),
        "seconds": round(time.monotonic() - began, 3),
        "cpu_s": round(time.process_time(), 3),
    }


def _rest(interests: list[tuple[int, int] | None]) -> bool:
    """Wait until something can be done; True when standard input has ended."""
    poll = select.poll()
    poll.register(sys.stdin.fileno(), select.POLLIN)
    for interest in interests:
        if interest is not None:
            poll.register(*interest)
    return any(descriptor == sys.stdin.fileno() for descriptor, _ in poll.poll(POLL_MS))


def _pipelining(path: Path, counts: Counter[str]) -> list[Pipelining]:
    """Each with a cycle of its own, so that their commits do not share entries."""
    clients = []
    with Recorder(path, client_name="flood", timeout_ms=START_MS) as recorder:
        for at in range(COMMITTING + ROWING):
            cycle = opened(recorder, VALID_MS, ACTUATOR)
            now_ns = boottime_ns()
            if at < COMMITTING:
                number = cycle.number_of(ACTUATOR)
                request = outgoing(Verb.COMMIT, cycle.seq, None, number, WHAT, WHERE, now_ns, None)
                clients.append(Pipelining(path, request, None, "commits", counts))
            else:
                packed = (now_ns.to_bytes(8, "little") + bytes(24)) * ROWS_A_MESSAGE
                request = outgoing(Verb.ROWS, cycle.seq, None, 0, packed)
                declaration = outgoing(Verb.DECLARE_STREAM, ACTUATOR, FIELDS, WHAT, {})
                clients.append(Pipelining(path, request, declaration, "row_messages", counts))
    return clients


class Pipelining:
    """Sends one request again and again, under new ids, as fast as the recorder answers."""

    def __init__(
        self, path: Path, request: Outgoing, declaration: Outgoing | None, name: str, counts: Counter[str]
    ) -> None:
        """Make it without connecting.

        Args:
            path: the recorder's socket.
            request: to repeat.
            declaration: first message of each connection; the stream that it declares has number 0.
            name: under which what was sent is counted.
            counts: where.

        """
        self._session = Session("flood", WINDOW)
        self._connection = Connection(str(path), self._session, lambda _: None)
        self._request = request
        self._declaration = declaration
        self._generation = 0
        self._name = name
        self._counts = counts

    def interest(self) -> tuple[int, int] | None:
        """What to poll for."""
        return self._connection.interest()

    def turn(self) -> None:
        """Read answers and fill the window."""
        now_ns = boottime_ns()
        self._connection.advance(now_ns)
        for answer in self._connection.read(now_ns):
            if answer.outgoing.verb == self._request.verb:
                self._counts[{Status.OK: "recorded", Status.REFUSED: "refused"}.get(answer.status, "errors")] += 1
        if not self._connection.is_ready:
            return
        declared = 0
        if self._declaration is not None and self._connection.generation != self._generation:
            self._session.give_urgent(_again(self._declaration))
            declared = 1
        self._generation = self._connection.generation
        for _ in range(self._session.room):
            self._session.give(_again(self._request))
        self._counts[self._name] += self._connection.write() - declared

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


class Hostile:
    """Says hello and then nothing that can be read; comes back when it is thrown out."""

    def __init__(self, path: Path, chance: random.Random, counts: Counter[str]) -> None:
        self._path = str(path)
        self._chance = chance
        self._counts = counts
        self._socket: socket.socket | None = None

    def interest(self) -> tuple[int, int] | None:
        """What to poll for."""
        return None if self._socket is None else (self._socket.fileno(), select.POLLIN)

    def turn(self) -> None:
        """Connect where that is due; send some messages and read what there is."""
        if self._socket is None and not self._connect():
            return
        assert self._socket is not None, "connected"
        try:
            for _ in range(MALFORMED_A_TURN):
                self._socket.send(self._malformed())
                self._counts["malformed"] += 1
            while self._socket.recv(REQUEST_MAX_BYTES):
                pass
        except BlockingIOError:  # it is busy, or has answered all: later
            return
        except OSError:
            pass  # hung up, as an end of what can be read says it too
        self._counts["hung_up"] += 1
        self.close()

    def _connect(self) -> bool:
        seqpacket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            seqpacket.connect(self._path)
            seqpacket.send(Session("hostile", 1).hello())
        except OSError:  # it takes no connections just now
            seqpacket.close()
            return False
        self._socket = seqpacket
        return True

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _malformed(self) -> bytes:
        kind = self._chance.randrange(16)
        if kind == 0:
            return bytes(REQUEST_MAX_BYTES + 1)
        if kind < 6:
            return self._chance.randbytes(self._chance.randrange(1, 200))
        if kind < 11:
            return cbor.pack([int(Verb.COMMIT), self._chance.randrange(2**32), "carrier", WHAT])
        return cbor.pack([200 + kind, 1, WHAT])


def _again(request: Outgoing) -> Outgoing:
    return Outgoing(request.verb, request.arity, request.tail)
