"""The one thread of a bridge: port and recorder, as they are ready."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from firmware_bridge.advice import LOOK_AT
from firmware_bridge.frontfile import write_front
from firmware_bridge.line.confirmations import Signed
from firmware_bridge.line.happenings import Arrived, Clock, Happening, Trouble, Up
from firmware_bridge.line.link import Link
from firmware_bridge.line.states import State
from firmware_bridge.port import Port, PortGoneError
from firmware_bridge.recording import Recording
from firmware_bridge.telling import Telling
from recorder.client.connection import boottime_ns
from recorder.client.wake import Wake
from recorder.store.statusfile import write_status

US_PER_MS = 1_000
TICK_MS = 20  # what of a link goes by the clock
RETRY_PORT_US = 250_000
FRONT_EVERY_US = 10_000_000
STATUS_EVERY_US = 1_000_000
OUTPUT_MAX_BYTES = 16_384  # waiting for a port that takes nothing; what is more is lost, as on any line
CLOSING_US = 1_000_000  # for what is on its way to the recorder at the end


class Loop:
    """Serves until told to stop."""

    def __init__(
        self,
        state: Path,
        port: str,
        baud: int,
        link: Link,
        recording: Recording,
        device_kid: bytes,
        wake: Wake,
        say: Callable[[str], None],
    ) -> None:
        self._state, self._path, self._baud, self._kid = state, port, baud, device_kid
        self._link, self._recording = link, recording
        self._wake, self._say = wake, say
        self._port: Port | None = None
        self._port_trouble: str | None = None  # told once, until the port is there again
        self._telling = Telling()
        self._tries = 0  # to open it, since it was there
        self._open_at_us = self._front_at_us = self._status_at_us = 0
        self._out = b""
        self._poll = select.poll()
        self._polled: dict[int, int] = {}
        self._is_readable = False
        self._boot: int | None = None
        self._recorder_trouble: str | None = None
        self._status: dict[str, Any] = {}

    def run(self, stopping: Callable[[], bool]) -> None:
        """Serve.

        Raises:
            BridgeError: the recorder does not take what it must.
            AnewError: it has begun another log.

        """
        now_us = boottime_ns() // 1000
        while not stopping():
            self._turn_port(now_us)
            self._turn_recorder(now_us)
            self._write(now_us)
            self._keep(now_us)
            self._wait(self._wait_ms(now_us))
            now_us = boottime_ns() // 1000
        self._hang_up()
        asking = self._recording.asking
        if asking is not None:
            asking.closing()
        until_us = now_us + CLOSING_US
        while not self._recording.is_idle and self._recording.recorder.is_ready and now_us < until_us:
            self._turn_recorder(now_us)
            self._wait(TICK_MS)
            now_us = boottime_ns() // 1000
        self._keep(now_us + FRONT_EVERY_US)

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
        self._port_trouble, self._tries = None, 0
        self._say(f"{self._path} is open at {self._baud} baud")
        self._link.opened(now_us)

    def _lost(self, gone: PortGoneError, now_us: int) -> None:
        self._hang_up()
        self._tries += 1
        self._open_at_us = now_us + RETRY_PORT_US
        if self._port_trouble != gone.condition.value:
            self._port_trouble = gone.condition.value
            self._take([Trouble(gone.condition, gone.detail)], now_us)

    def _hang_up(self) -> None:
        if self._port is not None:
            self._port.close()
            self._link.closed()
            self._recording.down()
        self._port, self._out, self._is_readable = None, b"", False

    def _take(self, happenings: list[Happening], now_us: int) -> None:
        recording = self._recording
        for happened in happenings:
            match happened:
                case Up(boot, tick_us):
                    self._say(f"the device has shown its key: boot {boot}")
                    self._boot = boot
                    self._take(recording.up(boot, now_us, tick_us), now_us)
                case Arrived(frame):
                    if recording.asking is not None:
                        self._take(recording.asking.asked(frame, now_us), now_us)
                case Trouble():
                    self._trouble(happened, now_us)
                case Signed() | Clock():
                    recording.desk.put(happened)
                case _:
                    self._say(f"gap: {happened.reason}")
                    recording.desk.put(happened)

    def _trouble(self, trouble: Trouble, now_us: int) -> None:
        told = self._telling.take(trouble, now_us)
        if told is None:
            self._recording.desk.count(trouble.condition)
            return
        look_at = LOOK_AT.get(told.condition)
        self._say(f"{told.condition.value}: {told.detail}{f'; look at {look_at}' if look_at else ''}")
        self._recording.desk.put(told)

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

    # The recorder, and what is kept.

    def _turn_recorder(self, now_us: int) -> None:
        self._take(self._recording.turn(boottime_ns(), now_us), now_us)
        trouble = self._recording.recorder.trouble
        if trouble != self._recorder_trouble:
            self._recorder_trouble = trouble
            self._say(trouble or "the recorder is back")

    def _keep(self, now_us: int) -> None:
        if now_us >= self._front_at_us + FRONT_EVERY_US:
            self._front_at_us = now_us
            write_front(self._state, self._recording.front())
        if now_us >= self._status_at_us + STATUS_EVERY_US:
            self._status_at_us = now_us
            status = self._describe()
            if status != self._status:  # a card wears by writing
                self._status = status
                write_status(self._state, {**status, "utc_s": int(time.time())})

    def _describe(self) -> dict[str, Any]:
        desk, memory, asking = self._recording.desk, self._recording.memory, self._recording.asking
        return {
            "port": self._path,
            "baud": self._baud,
            "kid": self._kid.hex(),
            "tries": self._tries,
            "link": self._link.state.value,
            "boot": self._boot,
            "next": memory.front.next if memory.front is not None else 0,
            "frames": desk.recorded_frames,
            "entries": desk.recorded_entries,
            "conditions": dict(desk.conditions),
            "answers": dict(asking.answers) if asking is not None else {},
            "trouble": desk.trouble or (asking.trouble if asking is not None else None),
            "recorder_trouble": self._recorder_trouble,
        }

    # Waiting.

    def _wait_ms(self, now_us: int) -> int:
        asking = self._recording.asking
        next_us = asking.next_us if asking is not None else None
        return TICK_MS if next_us is None else max(0, min(TICK_MS, (next_us - now_us) // US_PER_MS))

    def _wait(self, most_ms: int) -> None:
        wanted = {self._wake.fd: select.POLLIN}
        if self._port is not None and not self._recording.desk.is_full:
            wanted[self._port.fileno()] = select.POLLIN | (select.POLLOUT if self._out else 0)
        for connection in self._recording.recorder.connections:
            if (interest := connection.interest()) is not None:
                wanted[interest[0]] = interest[1]
        for descriptor in self._polled.keys() - wanted.keys():
            self._poll.unregister(descriptor)
        for descriptor, events in wanted.items():
            if self._polled.get(descriptor) != events:
                self._poll.register(descriptor, events)
        self._polled = wanted
        readable = {descriptor for descriptor, ready in self._poll.poll(most_ms) if ready != select.POLLOUT}
        self._recording.recorder.readable = readable
        if self._wake.fd in readable:
            self._wake.clear()
        if self._port is not None and self._port.fileno() in readable:
            self._is_readable = True
