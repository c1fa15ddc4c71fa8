"""A device on a pseudo-terminal, in real time: what a serial adapter with a microcontroller behind it looks like."""

from __future__ import annotations

import os
import select
import time
import tty
from collections.abc import Callable
from pathlib import Path

from hwsim.firmware.device import Device
from hwsim.firmware.faults import Faults
from hwsim.firmware.flash import Flash
from hwsim.firmware.motor import Motor
from hwsim.firmware.wire import Wire
from recorder.core.keys import SeedSigner, Signer

LOOP_S = 0.001
READ_BYTES = 4096
BITS_PER_BYTE = 10  # start and stop bit with eight of data
FIFO_BYTES = 512  # what a UART's driver has room for
OTHER_SEED = b"another actuator's seed, not its"
NS_PER_MS = 1_000_000


class _Forger:
    """Names one key and signs with another: all that somebody can do who does not have the first."""

    def __init__(self, public_key: bytes, has: Signer) -> None:
        self.public_key = public_key
        self.sign = has.sign


class Simulator:
    """One device behind one port that stands under a name of its own."""

    def __init__(
        self, link: Path, flash: Flash, motor: Motor, faults: Faults | None = None, *, baud: int = 0, ring: int = 32
    ) -> None:
        """Stand behind `link`, a symbolic link to the terminal; `baud` 0 is a line that is never full."""
        self.motor, self.flash, self.link = motor, flash, link
        self._faults = faults or Faults()
        self._baud, self._ring = baud, ring
        self._up, self._down = Wire(self._faults, "up"), Wire(self._faults, "down")
        self._controller: int | None = None  # the device's end of the terminal
        self._waiting = bytearray()  # a line that nobody reads is a line that is full
        self._frames = 0
        self._room, self._filled_ns = float(FIFO_BYTES), 0
        self._plug_ns: int | None = None  # when a cable that was pulled is put back
        self._half = bytearray()
        self.device = self._boot()

    @property
    def frames(self) -> int:
        """How many frames of the line were sent."""
        return self._frames

    def plug(self) -> None:
        """The cable is in: there is a terminal, and `link` leads to it."""
        controller, terminal = os.openpty()
        tty.setraw(terminal)
        os.set_blocking(controller, False)
        beside = self.link.with_name(f".{self.link.name}.{os.getpid()}")
        beside.unlink(missing_ok=True)
        beside.symlink_to(os.ttyname(terminal))
        beside.replace(self.link)  # whoever opens it meets this terminal or the last one, and never nothing half made
        os.close(terminal)
        self._controller = controller
        self._waiting.clear()

    def pull(self, for_ms: int | None = None) -> None:
        """The cable is out, for a time or until `plug`: who has it open reads the end, and the name is gone."""
        self._plug_ns = time.monotonic_ns() + for_ms * NS_PER_MS if for_ms is not None else None
        self.link.unlink(missing_ok=True)
        if self._controller is not None:
            os.close(self._controller)
        self._controller = None

    def reset(self) -> None:
        """The device loses its power and comes back; the terminal stays, as that of an adapter does."""
        self.motor.reset()
        self.motor.told.append("reset")
        self.device = self._boot()

    def run(self, until: Callable[[], bool]) -> None:
        """Be a device until `until` says that it is over."""
        if self._controller is None:
            self.plug()
        try:
            while not until():
                self.step()
        finally:
            self.pull()

    def step(self) -> None:
        """One turn of the firmware's loop, at most a millisecond long where nothing comes."""
        now_ns = time.monotonic_ns()
        if self._controller is None:
            if self._plug_ns is not None and now_ns >= self._plug_ns:
                self.plug()
            else:
                time.sleep(LOOP_S)
        chunk = self._read()
        now_ns = time.monotonic_ns()  # behind the reading: what is answered with it lies after the question
        tick_us = self._tick_us(now_ns)
        for message in self.device.received(chunk, tick_us):
            self.motor.take(self.device, message, tick_us)
        self.motor.run(self.device, tick_us)
        self._write(tick_us, now_ns)

    def _boot(self) -> Device:
        if self._faults.boot_counter_is_lost:
            self.flash.boots = 0
        boot, other = self.flash.next_boot(), SeedSigner(OTHER_SEED)
        self._booted_ns = time.monotonic_ns()
        shown: Signer = self.flash.signer
        if self._faults.lie == "key":
            shown = other
        elif self._faults.lie == "forged":
            shown = _Forger(self.flash.signer.public_key, other)
        signs = other if self._faults.lie == "signature" else shown
        return Device(shown, boot, ring=self._ring, batch_signer=signs)

    def _tick_us(self, now_ns: int) -> int:
        return int((now_ns - self._booted_ns) * (1 + self._faults.drift_ppm / 1e6) / 1000)

    def _read(self) -> bytes:
        """What came down the line, as the line has left it."""
        if self._controller is None:
            return b""
        readable, _, _ = select.select([self._controller], [], [], LOOP_S)
        if not readable:
            return b""
        try:
            came = os.read(self._controller, READ_BYTES)
        except OSError:  # EIO: nobody has the terminal open
            time.sleep(LOOP_S)
            return b""
        *frames, rest = (bytes(self._half) + came).split(b"\0")
        self._half = bytearray(rest)
        return b"".join(self._down.carry(frame + b"\0") for frame in frames)

    def _write(self, tick_us: int, now_ns: int) -> None:
        """Send what fits the line at its rate, and be struck by what strikes between frames."""
        if self._controller is None:
            return
        if self._waiting:
            self._flush()
        for frame in self.device.sends(tick_us, 0 if self._waiting else self._room_at(now_ns)):
            self._frames += 1
            self._room -= len(frame)
            if self._strikes(self._faults.reboot_after):
                self._waiting += frame[: len(frame) // 2]
                self.reset()
                break
            self._waiting += self._up.carry(frame)
            if self._strikes(self._faults.pull_after):
                self.pull(self._faults.pulled_ms)
                return
        self._flush()

    def _flush(self) -> None:
        if self._controller is None or not self._waiting:
            return
        try:
            del self._waiting[: os.write(self._controller, self._waiting)]
        except BlockingIOError:
            return  # the terminal's buffer is full: nobody reads

    def _room_at(self, now_ns: int) -> int:
        if not self._baud:
            return 2**31
        gained = (now_ns - self._filled_ns) * self._baud / BITS_PER_BYTE / 1e9
        self._room, self._filled_ns = min(FIFO_BYTES, self._room + gained), now_ns
        return int(self._room)

    def _strikes(self, every: int | None) -> bool:
        return every is not None and self._frames % every == 0
