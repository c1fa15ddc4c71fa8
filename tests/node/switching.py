"""The switch as a process: one TAP device in each network namespace, orders as lines of JSON on standard input.

    python -m tests.node.switching SEED NAMESPACE...

Each order is answered by a line of JSON. The end of standard input ends the process, and the devices with it.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import selectors
import struct
import sys
import time
from contextlib import suppress
from typing import Any

from tests.node.switch import Faults, Switch

DEVICE = "eth0"
FRAME_MAX_BYTES = 2048  # of an MTU of 1,500 bytes; the kernel hands over no larger ones, since no offload is asked for
PRIORITY = -15
_BATCH = 64  # frames from one port before the others have their turn
_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_TAP, _NO_PREFIX = 0x0002, 0x1000


def open_tap(namespace: str) -> int:
    """Make the device inside a namespace, and hold its descriptor outside."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(there, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
        try:
            tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _TAP | _NO_PREFIX))
        finally:
            if libc.setns(home, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "cannot come back")
    finally:
        os.close(home)
        os.close(there)
    return tap


def obey(switch: Switch, order: dict[str, Any], now_s: float) -> Any:
    """Carry out one order; what to answer."""
    match order:
        case {"impair": faults, "ports": ports, "way": way}:
            switch.impair(Faults(**faults), ports, way)
        case {"part": islands}:
            switch.part(islands)
        case {"plug": port, "up": is_up}:
            switch.plug(port, is_up=is_up)
        case {"flap": port, "up_s": up_s, "down_s": down_s}:
            switch.flap(port, up_s, down_s, now_s)
        case {"counts": _}:
            return {"ports": switch.counts(), "lost": switch.lost}
        case _:
            raise ValueError(f"no such order: {order}")
    return "done"


def run(seed: int, namespaces: list[str]) -> None:
    """Forward until standard input ends; before all platforms on this machine, since a wire waits for no processor."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    taps = [open_tap(name) for name in namespaces]
    switch = Switch(len(taps), seed)
    waiting = selectors.DefaultSelector()
    for port, tap in enumerate(taps):
        waiting.register(tap, selectors.EVENT_READ, port)
    waiting.register(sys.stdin.fileno(), selectors.EVENT_READ, None)
    orders = b""
    _answer("ready")
    while True:
        next_s = switch.next_s()
        wait_s = None if next_s is None else max(0.0, next_s - time.monotonic())
        for ready, _ in waiting.select(wait_s):
            if ready.data is not None:
                _read(switch, ready.data, taps[ready.data])
                continue
            more = os.read(sys.stdin.fileno(), 65_536)
            if not more:
                return
            *lines, orders = (orders + more).split(b"\n")
            for line in lines:
                _answer(obey(switch, json.loads(line), time.monotonic()))
        for port, frame in switch.due(time.monotonic()):
            # A device whose namespace is down or full takes nothing: a frame that is lost, as on a cable.
            with suppress(OSError):
                os.write(taps[port], frame)


def _read(switch: Switch, port: int, tap: int) -> None:
    for _ in range(_BATCH):
        try:
            frame = os.read(tap, FRAME_MAX_BYTES)
        except OSError:  # nothing more, or the device is down
            return
        switch.take(port, frame, time.monotonic())


def _answer(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(int(sys.argv[1]), sys.argv[2:])
