"""`lineage run`: from a state directory to a recorder that serves, and back to a clean stop."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType

from recorder import config as configs
from recorder.clock import SystemClock
from recorder.core.keys import Signer
from recorder.daemon import boot, identity, trial
from recorder.daemon.desk import Desk
from recorder.daemon.listener import listen
from recorder.daemon.loop import Loop
from recorder.daemon.ownforks import OwnForks
from recorder.daemon.peerheads import PeerHeads
from recorder.daemon.randomness import ReadAhead
from recorder.daemon.room import Room
from recorder.daemon.vitals import Notifier, Vitals
from recorder.store.errors import StoreError
from recorder.store.layout import StateLock

EXIT_OK, EXIT_FAILED = 0, 1
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h
_MMAP_THRESHOLD_BYTES = 128 * 1024


def run(state: Path, socket_path: Path) -> int:
    """Serve until SIGTERM or SIGINT.

    Returns:
        0 after a clean stop; 1 after a failed sync or read, which a service manager answers by starting again.

    Raises:
        LineageError: it cannot start; nothing on disk was changed.

    """
    if not state.is_dir():
        raise StoreError(f"{state} is no directory; `lineage init --state {state}` makes it")
    _steady_memory()
    config = configs.load(state)
    signer = identity.load(state)
    lock = StateLock(state)
    try:
        trial.run(state)
        listener, ours = listen(socket_path)
        asked: list[str] = []  # to stop, by which signal
        try:
            while (status := _serve(state, socket_path, config, signer, listener, asked)) is None:
                pass  # peers hold what the store lacks: a new incarnation begins
            return status
        finally:
            listener.close()
            if ours:
                socket_path.unlink(missing_ok=True)
    finally:
        lock.close()


def _serve(
    state: Path,
    socket_path: Path,
    config: configs.Config,
    signer: Signer,
    listener: socket.socket,
    asked: list[str],
) -> int | None:
    """Serve one incarnation to its end; None where another one has to follow it."""
    randomness = ReadAhead()
    started = boot.start(state, config, signer, SystemClock(), randomness)
    store = started.context.journal.store
    room = Room(started.context, config, _say, time.monotonic())
    peer_heads = PeerHeads(state, store, started.context.platform, signer.public_key, started.previous)
    own_forks = OwnForks(state, started.context, signer.public_key)
    desk = Desk(started.context, config, signer, started.known, room, peer_heads, own_forks)
    notifier = Notifier(_say)
    vitals = Vitals(socket_path.parent, notifier, desk.page(), _say)
    loop = Loop(listener, started.context, desk, config, vitals, room, randomness, os.geteuid())

    def on_signal(number: int, _frame: FrameType | None) -> None:
        asked.append(signal.Signals(number).name)
        loop.stop(asked[0])

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    if asked:  # while the incarnation before was ending
        loop.stop(asked[0])
    if started.remark is not None:
        _say(started.remark)
    _say(f"recording {store.tail.origin} from entry {store.tail.size}, socket {socket_path}")
    vitals.start()
    notifier.send("READY=1")
    try:
        loop.run()
    except StoreError as error:
        # A failed sync, or pages that went bad: nothing was acknowledged since.  Only a fresh start, which reads back
        # what is really there, may go on.
        _say(f"{error}; stopping without a stop entry: the store is checked at the next start")
        return EXIT_FAILED
    finally:
        if not peer_heads.is_behind:
            notifier.send("STOPPING=1")
        vitals.stop()
        room.close()
        store.close()
    if peer_heads.is_behind:
        _say(f"peers hold what {store.tail.origin} does not lead to: nothing more is recorded in it")
        return None
    _say(f"stopped at entry {store.tail.size - 1}")
    return EXIT_OK


def _steady_memory() -> None:
    """Keep glibc from raising its mmap threshold and from making an arena for each thread.

    Every LMDB environment zeroes 3 MB of page lists.  As maps of their own they stay untouched and go back with the
    environment; once the threshold has risen they come from the heap, all of it resident, for good.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # another C library has none, and no such threshold
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)
        mallopt(_M_ARENA_MAX, 1)


def _say(text: str) -> None:
    """A line for journald: state changes only."""
    sys.stderr.write(f"lineage: {text}\n")
    sys.stderr.flush()
