"""Reading of sealed segments by a process of its own, which may die of it: LMDB trusts its pages, and cards wear out.

A page that is not what was written, or that cannot be given back, ends the process that reads it with a signal, and a
card can take its time: neither is the recorder's to suffer.  The child is a fresh interpreter and not a fork: the
recorder has threads, keys and clients' sockets, and a fork would copy pages under the next commits.

One SEQPACKET socket, the child's standard input.  To the child: `[seq, room, until, newest]`.  From the child: `[path]`
before each segment that it reads, `[raw, claims]` for each entry, at last `[error / null, null, null]`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import lmdb

from recorder.core import cbor
from recorder.core.errors import LineageError
from recorder.core.limits import MESSAGE_MAX_BYTES
from recorder.daemon import interpreter
from recorder.store.errors import StoreError
from recorder.store.sealed import Sealed

ENTRY_FRAME_BYTES = 16  # around one entry and its claims
_PACKET_BYTES = MESSAGE_MAX_BYTES + 64
_SEND_BUFFER_BYTES = 4 * MESSAGE_MAX_BYTES
_END_S = 1.0
_NICE = 5  # commits go first
_PROGRAM = "from recorder.daemon.sealed_reader import main; main()"


class Wanted(NamedTuple):
    """Entries from `seq` below `until`, as many as there is room for; `newest` is the newest sealed segment."""

    seq: int
    room: int
    until: int
    newest: int


class ReaderEnded(Exception):
    """The child is no more."""


class SealedReader:
    """The child, as the recorder sees it; nothing here waits for it."""

    def __init__(self, lineage: Path) -> None:
        """Start it.

        Raises:
            OSError: no room for another process.

        """
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            self._sock.settimeout(0)
            try:
                self._process = subprocess.Popen(  # noqa: S603 -- ourselves
                    interpreter.command(_PROGRAM, lineage),
                    env=interpreter.environment(),
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # LMDB's last words; our answer says what matters
                )
            except OSError:
                self._sock.close()
                raise
        self.fd = self._sock.fileno()

    def ask(self, wanted: Wanted) -> None:
        """Ask for entries.

        Raises:
            ReaderEnded: it has gone meanwhile.

        """
        try:
            self._sock.send(cbor.pack(list(wanted)))
        except OSError as error:
            raise ReaderEnded from error

    def take(self) -> list[Any] | None:
        """The next packet; None where none waits.

        Raises:
            ReaderEnded: it has gone, and everything that it said was taken.

        """
        try:
            packet = self._sock.recv(_PACKET_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            raise ReaderEnded from error
        if not packet:
            raise ReaderEnded
        said: list[Any] = cbor.load(packet)
        return said

    def end(self) -> None:
        """Kill it, if it is alive."""
        self._sock.close()
        self._process.kill()

    def is_gone(self) -> bool:
        """Whether it has ended and was reaped."""
        return self._process.poll() is not None

    def status(self) -> int:
        """Exit status, negative for a signal, of one that hung up by itself and so is at its end."""
        try:
            return self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return -signal.SIGKILL


def main() -> None:
    """The child: answers until its socket is closed, so it never outlives the recorder by more than a question."""
    with suppress(OSError):  # the packaged service forbids it, and it is a courtesy only
        os.nice(_NICE)
    with socket.socket(fileno=0) as sock:
        sealed = Sealed(Path(sys.argv[1]), lambda path: _say(sock, [str(path)]))
        while asked := sock.recv(_PACKET_BYTES):
            _say(sock, [_answer(sock, sealed, Wanted(*cbor.load(asked))), None, None])


def fitting(entries: Iterable[tuple[int, bytes, bytes]], room: int) -> Iterator[tuple[bytes, bytes]]:
    """Entries and their claims as long as there is room in the reply, one at least."""
    is_first = True
    for _, raw, claims in entries:
        room -= len(raw) + len(claims) + ENTRY_FRAME_BYTES
        if room < 0 and not is_first:
            return
        yield raw, claims
        is_first = False
        if room <= 0:
            return


def _answer(sock: socket.socket, sealed: Sealed, wanted: Wanted) -> str | None:
    """Send what there is; returns why it went no further, if it did not."""
    try:
        for raw, claims in fitting(sealed.read(wanted.seq, wanted.until, wanted.newest), wanted.room):
            _say(sock, [raw, claims])
    except (LineageError, lmdb.Error, OSError) as error:
        return str(error)
    return None


def _say(sock: socket.socket, packet: list[Any]) -> None:
    packed = cbor.pack(packet)
    if len(packed) > _PACKET_BYTES:
        raise StoreError(f"a record of {len(packed)} bytes does not fit one reply")
    sock.send(packed)
