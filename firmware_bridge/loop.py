"""The one thread of a bridge: port and recorder, as they are ready."""

from __future__ import annotations

import select
from collections.abc import Callable
from pathlib import Path

from firmware_bridge.desk import Desk
from firmware_bridge.frontfile import write_front
from firmware_bridge.known import Memory
from firmware_bridge.line.confirmations import Known, Signed
from firmware_bridge.line.happenings import Arrived, Clock, Happening, Trouble, Up
from firmware_bridge.line.link import Link
from firmware_bridge.line.states import State
from firmware_bridge.port import Port, PortGoneError
from firmware_bridge.session import READS, RECORDS, Recorder, page_of, read_request
from recorder.client.connection import boottime_ns
from recorder.client.wake import Wake
from recorder.core import messages
from recorder.core.deviceframe import PREV_BYTES
from recorder.core.entry import entry_hash
from recorder.core.protocol import body_of

TICK_MS = 20  # what of a link goes by the clock
RETRY_PORT_US = 250_000
FRONT_EVERY_US = 10_000_000
OUTPUT_MAX_BYTES = 16_384  # waiting for a port that takes nothing; what is more is lost, as on any line
CLOSING_US = 1_000_000  # for what is on its way to the recorder at the end


class Loop:
    """Serves until told to stop."""

    def __init__(
        self,
        state: Path,
        port: str,
        baud: int,
        recorder: Recorder,
        link: Link,
        desk: Desk,
        memory: Memory,
        wake: Wake,
        say: Callable[[str], None],
    ) -> None:
        self._state, self._path, self._baud = state, port, baud
        self._recorder, self._link, self._desk, self._memory = recorder, link, desk, memory
        self._wake, self._say = wake, say
        self._port: Port | None = None
        self._port_trouble: str | None = None  # told once, until the port is there again
        self._open_at_us = 0
        self._out = b""
        self._poll = select.poll()
        self._polled: dict[int, int] = {}
        self._is_readable = self._reading = False
        self._front_at_us = 0
        self._seq = self._seq_before = 0  # below these, all of ours was answered
        self._recorder_trouble: str | None = None

    def run(self, stopping: Callable[[], bool], seq: int) -> None:
        """Serve; entries below `seq` have been taken.

        Raises:
            BridgeError: the recorder does not take what it must.
            AnewError: it has begun another log.

        """
        self._seq = self._seq_before = seq
        now_us = _now_us()
        while not stopping():
            self._turn(now_us, TICK_MS)
            now_us = _now_us()
        self._hang_up()
        until_us = now_us + CLOSING_US
        while not self._desk.is_idle and self._recorder.is_ready and now_us < until_us:
            self._turn_recorder()
            self._wait(TICK_MS)
            now_us = _now_us()
        self._keep_front()

    def _turn(self, now_us: int, wait_ms: int) -> None:
        self._turn_port(now_us)
        self._turn_recorder()
        self._write(now_us)
        if now_us >= self._front_at_us + FRONT_EVERY_US:
            self._keep_front()
            self._front_at_us = now_us
        self._wait(wait_ms)

    # The port.

    def _turn_port(self, now_us: int) -> None:
        if self._port is None:
            if now_us >= self._open_at_us:
                self._open(now_us)
            return
        if self._is_readable:
            self._is_readable = False
            try:
                chunk = self._port.read()
            except PortGoneError as gone:
                self._lost(gone, now_us)
                return
            self._take(self._link.received(chunk, now_us), now_us)
        self._take(self._link.at(now_us), now_us)

    def _open(self, now_us: int) -> None:
        try:
            self._port = Port(self._path, self._baud)
        except PortGoneError as gone:
            self._lost(gone, now_us)
            return
        self._port_trouble = None
        self._say(f"{self._path} is open at {self._baud} baud")
        self._link.opened(now_us)

    def _lost(self, gone: PortGoneError, now_us: int) -> None:
        self._hang_up()
        self._open_at_us = now_us + RETRY_PORT_US
        if self._port_trouble != gone.condition.value:
            self._port_trouble = gone.condition.value
            self._take([Trouble(gone.condition, gone.detail)], now_us)

    def _hang_up(self) -> None:
        if self._port is not None:
            self._port.close()
            self._link.closed()
        self._port, self._out, self._is_readable = None, b"", False

    def _take(self, happenings: list[Happening], now_us: int) -> None:
        for happened in happenings:
            match happened:
                case Up(boot, _):
                    self._say(f"the device has shown its key: boot {boot}")
                    self._desk.began(boot, now_us)
                case Arrived():
                    pass
                case Trouble(condition, detail):
                    self._say(f"{condition.value}: {detail}")
                    self._desk.put(happened)
                case Signed() | Clock():
                    self._desk.put(happened)
                case _:
                    self._say(f"gap: {happened.reason}")
                    self._desk.put(happened)

    def _write(self, now_us: int) -> None:
        if self._port is None:
            return
        if self._link.state is not State.SHUT:
            out = self._link.take_output()
            if len(self._out) + len(out) <= OUTPUT_MAX_BYTES:
                self._out += out
        if self._out:
            try:
                self._out = self._out[self._port.write(self._out) :]
            except PortGoneError as gone:
                self._lost(gone, now_us)

    # The recorder.

    def _turn_recorder(self) -> None:
        now_ns = boottime_ns()
        for connection in self._recorder.connections:
            connection.advance(now_ns)
        for answer in self._recorder.of(RECORDS).read(now_ns):
            durable = self._desk.answered(answer)
            self._seq = max(self._seq, body_of(answer.body, messages.Receipt).seq + 1)
            if isinstance(durable, Signed):
                self._link.recorded(durable)
                self._memory.went_on(Known(durable.boot, durable.last + 1, durable.frames[-1].leaf[:PREV_BYTES]))
            elif durable is not None:
                self._memory.went_on(Known(*durable.until, None))
        self._look_up(now_ns)
        records = self._recorder.of(RECORDS)
        for request in self._desk.due(records.session.room):
            records.session.give(request)
        for connection in self._recorder.connections:
            connection.write()
        if self._recorder.trouble != self._recorder_trouble:
            self._recorder_trouble = self._recorder.trouble
            self._say(self._recorder_trouble or "the recorder is back")

    def _look_up(self, now_ns: int) -> None:
        """Ask for entries that are confirmed and that we know only a part of the hash of."""
        reads = self._recorder.of(READS)
        for answer in reads.read(now_ns):
            self._reading = False
            page = page_of(answer)
            if page is None:
                continue
            seq = answer.outgoing.token
            assert isinstance(seq, int)
            for place, (raw, _) in enumerate(page[1]):
                self._desk.learn(seq + place, entry_hash(raw))
            if not page[1]:
                self._desk.learn(seq, None)
        wanted = self._desk.wanted()
        if wanted is not None and not self._reading:
            reads.session.give(read_request(wanted))
            self._reading = True

    def _keep_front(self) -> None:
        """Note where a next process may begin to read.

        That is where we were the last time: what was asked of the recorder since may stand between there and here.
        """
        origin = self._recorder.hello.origin if self._recorder.hello is not None else ""
        write_front(self._state, self._memory.front_at(origin, self._seq_before))
        self._seq_before = self._seq

    def _wait(self, most_ms: int) -> None:
        wanted = {self._wake.fd: select.POLLIN}
        if self._port is not None and not self._desk.is_full:
            wanted[self._port.fileno()] = select.POLLIN | (select.POLLOUT if self._out else 0)
        for connection in self._recorder.connections:
            if (interest := connection.interest()) is not None:
                wanted[interest[0]] = interest[1]
        for descriptor in self._polled.keys() - wanted.keys():
            self._poll.unregister(descriptor)
        for descriptor, events in wanted.items():
            if self._polled.get(descriptor) != events:
                self._poll.register(descriptor, events)
        self._polled = wanted
        for descriptor, ready in self._poll.poll(most_ms):
            if descriptor == self._wake.fd:
                self._wake.clear()
            elif self._port is not None and descriptor == self._port.fileno() and ready != select.POLLOUT:
                self._is_readable = True


def _now_us() -> int:
    return boottime_ns() // 1000
