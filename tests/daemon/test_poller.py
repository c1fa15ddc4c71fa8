"""The poller: it stays awake only where the next message came at once."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import pytest

from recorder.daemon import poller
from recorder.daemon.poller import Poller

pytestmark = pytest.mark.timing
SPIN_S = 0.2  # long enough to tell from a sleep on a busy machine


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Poller, socket.socket, socket.socket]]:
    """A poller that watches the second of two sockets, as if there were two cores."""
    monkeypatch.setattr(poller, "SPIN_S", SPIN_S)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    watching = Poller()
    watching.watch(theirs.fileno())
    yield watching, mine, theirs
    watching.close()
    mine.close()
    theirs.close()


def busy_s(watching: Poller, timeout_s: float) -> float:
    """Processor time that a poll takes."""
    began = time.thread_time()
    watching.poll(timeout_s)
    return time.thread_time() - began


def exchange(watching: Poller, mine: socket.socket, theirs: socket.socket) -> None:
    """A reply that is followed by a message at once."""
    watching.answered()
    mine.send(b"x")
    assert [fd for fd, _ in watching.poll(1)] == [theirs.fileno()]
    theirs.recv(1)


def test_it_stays_awake_after_a_quick_exchange_and_only_so_long(
    pair: tuple[Poller, socket.socket, socket.socket],
) -> None:
    watching, mine, theirs = pair
    exchange(watching, mine, theirs)
    watching.answered()
    began = time.monotonic()
    assert busy_s(watching, 2 * SPIN_S) > SPIN_S / 10  # a sleep takes next to nothing
    assert time.monotonic() - began >= 2 * SPIN_S


def test_it_sleeps_where_nothing_was_answered_or_the_next_message_took_long(
    pair: tuple[Poller, socket.socket, socket.socket],
) -> None:
    watching, mine, theirs = pair
    assert busy_s(watching, SPIN_S) < SPIN_S / 10
    watching.answered()
    assert watching.poll(1.5 * SPIN_S) == []
    mine.send(b"x")
    assert watching.poll(1)
    theirs.recv(1)
    watching.answered()
    assert busy_s(watching, SPIN_S) < SPIN_S / 10


def test_it_never_outlasts_its_timeout_nor_misses_a_message(pair: tuple[Poller, socket.socket, socket.socket]) -> None:
    watching, mine, theirs = pair
    exchange(watching, mine, theirs)
    watching.answered()
    mine.send(b"y")
    assert watching.poll(0)
    assert watching.poll(5)
