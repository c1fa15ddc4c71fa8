"""A device on a pty: the compiled C part with a firmware around it, in a thread of its own, and the cable to pull."""

from __future__ import annotations

import os
import pty
import select
import threading
import time
import tty
from collections import Counter, deque
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.bridge.device import Device

LOOK_S = 0.001


class Cable:
    """A port by a name that stays, whatever is plugged in."""

    def __init__(self, port: Path) -> None:
        self.port = port
        self.master = -1

    def plug(self) -> None:
        """A new device node under the old name."""
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        path = os.ttyname(slave)
        os.set_blocking(self.master, False)
        self.port.symlink_to(path)
        self._slave = slave  # open, so that the master reads EAGAIN and not EIO before the bridge is there

    def pull(self) -> None:
        """The device node is gone."""
        self.port.unlink()
        os.close(self._slave)
        os.close(self.master)
        self.master = -1


class Firmware:
    """A device that runs by the clock; `do` what a firmware does from any thread."""

    def __init__(self, port: Path, ring: int = 64) -> None:
        self.device = Device(ring)
        self.cable = Cable(port)
        self.cable.plug()
        self.boots = 1
        self.made = self.refused = 0  # confirmations that found room, and that did not
        self.asked: Counter[int] = Counter()  # boot -> both
        self._lock = threading.Lock()
        self._since_ns = time.monotonic_ns()
        self._ending = False
        self._left: deque[bytes] = deque()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def do(self, command: str) -> int:
        """One call of the C part."""
        with self._lock:
            return self.device.do(command)

    def reached(self, commit: tuple[int, int, bytes], value: float) -> bool:
        """Confirm a commit: its seq, place and hash."""
        seq, place, digest = commit
        with self._lock:
            self.device.do(f"now {self._now_us()}")
            made = bool(self.device.do(f"reached {seq} {place} {digest[:16].hex()} 2:{value}"))
            self.made, self.refused = self.made + made, self.refused + (not made)
            self.asked[self.boots] += 1
        return made

    def reboot(self) -> None:
        """Power off and on."""
        with self._lock:
            self.boots += 1
            self._since_ns = time.monotonic_ns()
            self._left.clear()
            self.device.boot(self.boots)

    def pull(self) -> None:
        """Pull the cable; what is under way is lost."""
        with self._lock:
            self.cable.pull()
            self._left.clear()

    def plug(self) -> None:
        """Put it back."""
        with self._lock:
            self.cable.plug()

    def write_raw(self, line: bytes) -> None:
        """Bytes that no device sent."""
        with self._lock:
            os.write(self.cable.master, line)

    def _now_us(self) -> int:
        return (time.monotonic_ns() - self._since_ns) // 1000

    def _run(self) -> None:
        while not self._ending:
            with self._lock:
                master = self.cable.master
                if master >= 0:
                    self._turn(master)
            if master >= 0:
                with suppress(OSError, ValueError):
                    select.select([master], [], [], LOOK_S)
            else:
                time.sleep(LOOK_S)

    def _turn(self, master: int) -> None:
        try:
            chunk = os.read(master, 16_384)
        except OSError:  # nothing there, or nobody at the other end
            chunk = b""
        self.device.received(chunk)
        self._left.extend(self.device.poll(self._now_us()))
        while self._left:
            try:
                sent = os.write(master, self._left[0])
            except OSError:
                return
            self._left[0] = self._left[0][sent:]
            if self._left[0]:
                return
            self._left.popleft()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        self._thread.join()
        if self.cable.master >= 0:
            self.cable.pull()
        self.device.end()
