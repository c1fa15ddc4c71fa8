"""Events and gaps: never blocked, delivered when the recorder is there, or declared lost with their count."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recorder.client import Recorder, Unavailable
from recorder.client import events as client_events
from recorder.client import recorder as client_recorder
from recorder.client.events import EventQueue
from recorder.core.errors import Misuse
from recorder.core.message_replies import Failed
from recorder.core.messages import Verb
from tests.claims import FIELDS, WHAT, WHO, WHY
from tests.client.peer import Peer

Connect = Callable[..., Recorder]
ROOT = Path(__file__).resolve().parents[2]


def stop(rec: Recorder, number: int = 0, **more: Any) -> bool:
    return rec.event("emergency_stop", actuators=["arm"], what={**WHAT, "magnitude": number}, reason="button", **more)


def numbers(peer: Peer) -> list[Any]:
    return [request.what["magnitude"] for request in peer.ledger.of(Verb.EVENT)]


def test_an_event_needs_no_cycle(peer: Peer, connect: Connect) -> None:
    """Who is the platform and nobody else unless someone is named; where is empty unless it is given."""
    rec = connect()
    assert stop(rec, at_mono_ns=5)
    assert stop(rec, who={"operator": "op-2"}, where={"frame": "base"})
    rec.flush(240)
    first, second = peer.ledger.of(Verb.EVENT)
    assert first.who == {"platform": "robot", "operator": None, "delegation": None}
    assert (first.where, first.why, first.at_mono_ns) == ({}, {"reason": "button"}, 5)
    assert second.who["operator"] == "op-2"
    assert second.where == {"frame": "base"}
    assert rec.counts.events_acknowledged == 2


def test_an_event_with_missing_claims_is_taken(peer: Peer, connect: Connect) -> None:
    """What has happened is never refused for its form."""
    rec = connect()
    assert rec.event("emergency_stop", actuators=["arm"], what={}, reason="button")
    rec.flush(240)
    assert peer.ledger.of(Verb.EVENT)[0].what == {}


def test_events_before_the_first_hello_are_completed_when_they_are_sent(socket_path: Path, connect: Connect) -> None:
    """The controller started before the recorder."""
    rec = connect(timeout_ms=20, who={"operator": "op-1"})
    assert stop(rec, 1)
    assert rec.gap(actuators=["arm"], lost_count=3, duration_ms=100, reason="dropout")
    with pytest.raises(Unavailable, match="2 events"):
        rec.flush(0.05)
    peer = Peer(socket_path)
    try:
        rec.flush(240)
        (event,) = peer.ledger.of(Verb.EVENT)
        assert event.who == {"platform": "robot", "operator": "op-1", "delegation": None}
        (declared,) = peer.ledger.of(Verb.GAP)
        assert (declared.count, declared.reason) == (3, "dropout")
        assert declared.at_mono_ns[1] - declared.at_mono_ns[0] == 100_000_000
    finally:
        peer.stop()


def test_events_are_delivered_once_and_in_order_over_broken_connections(peer: Peer, connect: Connect) -> None:
    """Answers are lost after the events became durable."""
    rec = connect()
    count = [0]

    def swallow(request: Any) -> bool:
        count[0] += request.verb == Verb.EVENT
        return request.verb == Verb.EVENT and count[0] % 10 == 1

    peer.swallow = swallow
    for number in range(100):
        assert stop(rec, number)
    rec.flush(240)
    assert numbers(peer) == list(range(100))


def test_an_overflow_is_declared_in_its_place(peer: Peer, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands wait already: what finds no room is counted, and a gap says how many and when."""
    monkeypatch.setattr(client_events.EventQueue.__init__, "__defaults__", (10, 1 << 20))
    rec = connect()
    peer.stop()
    taken = [stop(rec, number, at_mono_ns=100 + number) for number in range(25)]
    assert taken == [True] * 10 + [False] * 15
    assert (rec.counts.events_dropped, rec.counts.events_pending, rec.counts.losses_pending) == (15, 10, 1)
    peer.start()
    rec.flush(240)
    assert stop(rec, 25)
    rec.flush(240)
    assert numbers(peer) == [*range(10), 25]
    (lost,) = peer.ledger.of(Verb.GAP)
    assert (lost.actuators, lost.count, lost.at_mono_ns) == (["arm"], 15, (110, 124))
    assert [request.verb for request in peer.ledger.entries][-2:] == [Verb.GAP, Verb.EVENT]
    assert rec.counts.lost_declared == 15


def test_the_queue_is_bounded_in_bytes_too() -> None:
    """A few large events fill it as well as many small ones."""
    queue = EventQueue("test", 100, 1000)
    sizes = [400, 500, 200, 50]
    assert [queue.put_event(bytes(size), ["arm"], 1) for size in sizes] == [
        True,
        True,
        False,
        True,
    ]
    assert queue.dropped == 1


def test_an_event_that_the_recorder_does_not_take_is_declared(peer: Peer, connect: Connect) -> None:
    """And a gap that it does not take is counted, without end after end."""
    rec = connect()
    peer.fail = lambda request: Failed("not_permitted", "uid 7") if request.verb == Verb.EVENT else None
    stop(rec, at_mono_ns=77)
    peer.wait_for(lambda: rec.counts.lost_declared == 1)
    assert peer.ledger.of(Verb.GAP)[0].at_mono_ns == (77, 77)
    peer.fail = lambda request: Failed("not_permitted", "uid 7") if request.verb == Verb.GAP else None
    rec.gap(actuators=["arm"], reason="test")
    rec.flush(240)
    assert (rec.counts.events_rejected, rec.counts.losses_pending) == (2, 0)


def test_closing_tells_what_is_lost_with_it(peer: Peer, connect: Connect) -> None:
    """Nothing is dropped silently at the end; and a closed recorder takes nothing more."""
    rec = connect()
    peer.stop()
    stop(rec)
    with pytest.raises(Unavailable, match="closed with 0 rows, 1 events") as caught:
        rec.close(0.05)
    assert caught.value.pending is not None
    with pytest.raises(Misuse, match="closed"):
        stop(rec)
    rec.close()
    peer.start()


def test_leaving_the_context_delivers_and_keeps_the_error_on_its_way(peer: Peer, socket_path: Path) -> None:
    """The error of the body matters more than what could not be delivered."""
    with Recorder(socket_path, timeout_ms=60_000) as rec:
        stop(rec, 1)
    assert numbers(peer) == [1]
    with pytest.raises(ZeroDivisionError), Recorder(socket_path) as rec:
        peer.mute = True
        stop(rec, 2)
        raise ZeroDivisionError
    peer.mute = False


def test_closing_ends_futures_as_their_class_says(
    peer: Peer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One raises, one becomes an ungated event, which is still delivered if it can be."""
    monkeypatch.setattr(client_recorder, "LAST_FLUSH_S", 60.0)  # it can be, but not always within 0.2 s
    rec = connect()
    cycle = rec.open_cycle(who=WHO, why=WHY, actuators=["arm"], action_classes=["motion", "hover"])
    peer.swallow = lambda request: request.verb == Verb.COMMIT
    held = cycle.submit("arm", what=WHAT, action_class="motion")
    continued = cycle.submit("arm", what=WHAT, action_class="hover")
    rec.close(0.3)
    with pytest.raises(Unavailable):
        held.result(0)
    assert continued.result(0).outcome == "ungated_pending"
    assert len(peer.ledger.of(Verb.EVENT)) == 1


def test_an_event_from_a_signal_handler_that_interrupts_an_event(peer: Peer, connect: Connect) -> None:
    """The handler of an emergency stop waits for nothing that it interrupted."""
    rec = connect()
    taken: list[bool] = []

    def interrupt(*_: object) -> None:
        taken.append(stop(rec, -1))
        signal.setitimer(signal.ITIMER_REAL, 0.001)  # only now: on a busy machine nothing else would have its turn

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    try:
        given = sum(stop(rec, number) for number in range(300))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    rec.flush(240)
    assert [number for number in numbers(peer) if number >= 0] == list(range(300))
    assert given == 300
    assert len(peer.ledger.of(Verb.EVENT)) == 300 + len(taken)
    assert taken


def test_threads_share_the_queue(peer: Peer, connect: Connect) -> None:
    """Each event arrives once, those of one thread in their order."""
    rec = connect()
    threads = [
        threading.Thread(target=lambda first=first: [stop(rec, number) for number in range(first, first + 100)])
        for first in (0, 100, 200)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rec.flush(240)
    for first in (0, 100, 200):
        mine = [number for number in numbers(peer) if first <= number < first + 100]
        assert mine == list(range(first, first + 100))


@pytest.fixture
def process(socket_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The scripted recorder as a process that can be stopped and killed."""
    started = subprocess.Popen(
        [sys.executable, ROOT / "tests/client/peer.py", socket_path],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    yield started
    started.send_signal(signal.SIGCONT)
    started.kill()
    started.wait()
    started.stdout.close()


def test_a_stopped_recorder_blocks_nobody(process: subprocess.Popen[str], connect: Connect) -> None:
    """SIGSTOP: its sockets fill up; all that is given returns, and arrives or is declared when it goes on."""
    rec = connect(ring_ms=500)
    cycle = rec.open_cycle(who=WHO, why=WHY, actuators=["arm"], action_classes=["motion"])
    stream = cycle.stream("arm", fields=FIELDS, what=WHAT)
    process.send_signal(signal.SIGSTOP)
    rows = [stream.record(((0, 0), tick)) for tick in range(1200)]
    events = [stop(rec, number) for number in range(300)]
    assert (sum(rows), sum(events)) == (500, 300)
    with pytest.raises(Unavailable):
        cycle.commit("arm", what=WHAT, deadline_ms=20)
    with pytest.raises(Unavailable, match="500 rows, 300 events and 1 gaps"):
        rec.flush(0.05)
    process.send_signal(signal.SIGCONT)
    rec.flush(240)
    counts = rec.counts
    assert (counts.rows_acknowledged, counts.rows_dropped, counts.lost_declared) == (500, 700, 700)
    assert (counts.events_acknowledged, counts.events_dropped) == (300, 0)
    assert cycle.commit("arm", what=WHAT).durable


def test_a_killed_recorder_blocks_nobody(process: subprocess.Popen[str], connect: Connect) -> None:
    """All that is given is kept, bounded, and counted."""
    rec = connect(ring_ms=500)
    cycle = rec.open_cycle(who=WHO, why=WHY, actuators=["arm"], action_classes=["motion"])
    stream = cycle.stream("arm", fields=FIELDS, what=WHAT)
    process.kill()
    process.wait()
    assert sum(stream.record(((0, 0), tick)) for tick in range(600)) == 500
    assert all(stop(rec, number) for number in range(100))
    with pytest.raises(Unavailable, match="500 rows, 100 events and 1 gaps") as caught:
        rec.close(0.05)
    assert "nobody listens" in str(caught.value)
