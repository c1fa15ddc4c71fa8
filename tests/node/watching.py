"""Who opens files of a directory, as the kernel tells it (fanotify): also a file that is closed again at once."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_NONBLOCKING, _UNLIMITED = 0x3, 0x10  # FAN_CLOEXEC | FAN_NONBLOCK, FAN_UNLIMITED_QUEUE
_ADD = 0x1  # FAN_MARK_ADD
_OPENED = 0x20 | 0x08000000 | 0x40000000  # FAN_OPEN | FAN_EVENT_ON_CHILD | FAN_ONDIR
_EVENT = struct.Struct("=IBBHQii")  # length, version, reserved, length of this, mask, descriptor, pid
_READ_BYTES = 65_536


class Opened:
    """What was opened since the watch began."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._seen: set[tuple[int, str]] = set()

    def seen(self) -> set[tuple[int, str]]:
        """Process ids, and the path that each opened."""
        while True:
            try:
                events = os.read(self._descriptor, _READ_BYTES)
            except BlockingIOError:
                return self._seen
            at = 0
            while at < len(events):
                length, _, _, _, _, file, pid = _EVENT.unpack_from(events, at)
                self._seen.add((pid, str(Path(f"/proc/self/fd/{file}").readlink())))
                os.close(file)
                at += length


@contextmanager
def opened_below(top: Path) -> Iterator[Opened]:
    """Watch a directory and all that are below it now."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.fanotify_init(_NONBLOCKING | _UNLIMITED, os.O_RDONLY | os.O_CLOEXEC)
    if descriptor < 0:
        pytest.skip(f"no fanotify here: {os.strerror(ctypes.get_errno())}")
    try:
        for directory in (top, *(one for one in top.rglob("*") if one.is_dir())):
            done = libc.fanotify_mark(descriptor, _ADD, ctypes.c_uint64(_OPENED), -1, os.fsencode(directory))
            assert done == 0, f"{directory}: {os.strerror(ctypes.get_errno())}"
        yield Opened(descriptor)
    finally:
        os.close(descriptor)
