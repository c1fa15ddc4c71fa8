"""A recorder that is away, late or full: the client fails as the action class says, and nobody acts on a doubt."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from recorder.client import Recorder, Unavailable
from recorder.core.message_replies import Failed
from recorder.core.messages import Flag, Verb
from recorder.core.protocol import request_id
from tests.claims import WHAT, WHO
from tests.client.acts import act, numbers, open_cycle
from tests.client.peer import Peer

Connect = Callable[..., Recorder]


def test_a_commit_that_times_out_is_abandoned(peer: Peer, connect: Connect) -> None:
    """The class holds: the controller must not act, and the recorder hears that it did not."""
    rec = connect()
    cycle = open_cycle(rec)
    peer.mute = True
    with pytest.raises(Unavailable, match="does not answer") as caught:
        cycle.commit("arm", what=WHAT, deadline_ms=30)
    assert caught.value.on_unavailable == "hold"
    peer.mute = False
    peer.wait_for(lambda: bool(peer.ledger.of(Verb.ABANDON)))
    (commit,) = peer.ledger.of(Verb.COMMIT)
    (abandon,) = peer.ledger.of(Verb.ABANDON)
    assert abandon.requests == [request_id(bytes(7) + b"\x01", commit.counter)]
    assert cycle.commit("arm", what=WHAT).durable


def test_abandoning_comes_first_after_a_reconnect(peer: Peer, connect: Connect) -> None:
    """Nothing is to be repeated: the first message after hello says that nobody acted."""
    rec = connect()
    cycle = open_cycle(rec)
    peer.swallow = lambda request: request.verb == Verb.COMMIT
    peer.delay_s = 0.1
    with pytest.raises(Unavailable):
        cycle.commit("arm", what=WHAT, deadline_ms=50)
    peer.delay_s = 0
    peer.wait_for(lambda: bool(peer.ledger.of(Verb.ABANDON)))
    assert [request.verb for request in peer.seen][-3:] == [Verb.COMMIT, Verb.HELLO, Verb.ABANDON]


def test_what_never_left_is_not_abandoned(peer: Peer, connect: Connect) -> None:
    """The recorder was away all the time."""
    rec = connect()
    cycle = open_cycle(rec)
    peer.stop()
    with pytest.raises(Unavailable, match="no recorder at"):
        cycle.commit("arm", what=WHAT, deadline_ms=60)
    peer.start()
    assert cycle.commit("arm", what=act(2)).durable
    assert peer.ledger.of(Verb.ABANDON) == []
    assert numbers(peer) == [2]


def test_a_late_receipt_is_no_permission(peer: Peer, connect: Connect) -> None:
    """Durable after its deadline: raised, and abandoned at once."""
    cycle = open_cycle(connect())
    peer.flags = lambda request: Flag.LATE if request.verb == Verb.COMMIT else 0
    with pytest.raises(Unavailable, match="after the deadline") as caught:
        cycle.commit("arm", what=WHAT)
    assert caught.value.late
    future = cycle.submit("arm", what=WHAT)
    with pytest.raises(Unavailable):
        future.result(240)
    peer.wait_for(lambda: sum(len(request.requests) for request in peer.ledger.of(Verb.ABANDON)) == 2)


def test_a_refusal_for_lateness_alone_counts_as_late(peer: Peer, connect: Connect) -> None:
    """Nothing was admitted, so there is nothing to abandon; the class decides as for any lateness."""
    cycle = open_cycle(connect(), "motion", "hover")
    peer.refuse = lambda request: ["deadline_passed"] if request.verb == Verb.COMMIT else []
    with pytest.raises(Unavailable) as caught:
        cycle.commit("arm", what=WHAT, action_class="motion")
    assert caught.value.late
    receipt = cycle.commit("arm", what=WHAT, action_class="hover")
    assert (receipt.outcome, receipt.late) == ("ungated_pending", True)
    assert peer.ledger.of(Verb.ABANDON) == []


def test_a_class_that_continues_acts_without_the_recorder_and_says_so_later(peer: Peer, connect: Connect) -> None:
    """At once where nobody is there; the act follows as an ungated event with the reason and how long."""
    rec = connect()
    cycle = open_cycle(rec, "hover")
    peer.stop()
    receipt = cycle.commit("arm", what=act(1), where={"frame": "base"}, at_mono_ns=5, deadline_ms=60_000)
    assert (receipt.durable, receipt.outcome, receipt.seq) == (False, "ungated_pending", None)
    future = cycle.submit("arm", what=act(2), deadline_ms=20)
    assert future.result(240).outcome == "ungated_pending"
    peer.start()
    rec.flush(240)
    first, second = peer.ledger.of(Verb.EVENT)
    assert (first.action_class, first.actuators, first.at_mono_ns) == ("hover", ["arm"], 5)
    assert (first.what, first.where) == (act(1), {"frame": "base"})
    assert first.who == {"platform": "robot", **WHO}
    assert first.why["reason"] == "recorder_unavailable"
    assert first.why["unavailable_ms"] >= 0
    assert second.what == act(2)
    assert numbers(peer) == []


def test_a_class_that_continues_is_served_again_at_once_after_a_restart(peer: Peer, connect: Connect) -> None:
    """The recorder was restarted while nothing was sent: the next commit finds it."""
    rec = connect()
    cycle = open_cycle(rec, "hover")
    peer.wait_for(lambda: True)
    threading.Event().wait(0.3)
    peer.stop()
    peer.start()
    assert cycle.commit("arm", what=WHAT).durable


def test_a_full_disk_is_unavailability(peer: Peer, connect: Connect) -> None:
    """The recorder is there but cannot store: the class decides, and what continued is delivered when it can."""
    rec = connect()
    cycle = open_cycle(rec, "motion", "hover")
    peer.fail = lambda request: Failed("store_full", "no room") if request.verb in (Verb.COMMIT, Verb.EVENT) else None
    with pytest.raises(Unavailable, match="no room"):
        cycle.commit("arm", what=WHAT, action_class="motion")
    assert cycle.commit("arm", what=WHAT, action_class="hover").outcome == "ungated_pending"
    with pytest.raises(Unavailable, match="1 events") as caught:
        rec.flush(0.1)
    assert caught.value.pending is not None
    assert caught.value.pending.events_pending == 1
    peer.fail = lambda request: None
    rec.flush(240)
    assert len(peer.ledger.of(Verb.EVENT)) == 1
    assert peer.ledger.of(Verb.ABANDON) == []


def test_a_cycle_that_cannot_be_closed_now_is_closed_later(peer: Peer, connect: Connect) -> None:
    """Leaving it does not raise: a controller that flies goes on; the end follows."""
    rec = connect(timeout_ms=50)
    with open_cycle(rec):
        peer.stop()
    peer.start()
    peer.wait_for(lambda: bool(peer.ledger.of(Verb.CLOSE_CYCLE)))


def test_opening_fails_by_its_deadline(peer: Peer, connect: Connect) -> None:
    """And what was sent is abandoned."""
    rec = connect()
    peer.mute = True
    with pytest.raises(Unavailable, match="open_cycle within") as caught:
        open_cycle(rec, deadline_ms=30)
    assert caught.value.on_unavailable == "hold"
    peer.mute = False
    peer.wait_for(lambda: bool(peer.ledger.of(Verb.ABANDON)))


def test_why_there_is_no_connection_is_said(
    socket_path: Path, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """No socket, nobody behind it, no recorder at all, another kind of socket: one clear line each."""
    import socket

    rec = connect(timeout_ms=50)
    with pytest.raises(Unavailable, match="there is no such socket"):
        _ = rec.hello
    with pytest.raises(Unavailable, match="there is no such socket"):
        next(rec.subscribe())
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
        stale.bind(str(socket_path))
    with pytest.raises(Unavailable, match="nobody listens"):
        connect(timeout_ms=50).status()
    socket_path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.bind(str(socket_path))
        stream.listen()
        with pytest.raises(Unavailable, match="is not a recorder's socket"):
            connect(timeout_ms=50).status()
    assert "there is no such socket" in caplog.text


def test_garbage_instead_of_a_hello(socket_path: Path, connect: Connect) -> None:
    """What listens there is no recorder."""
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(socket_path))
        listener.listen()

        def answer() -> None:
            with suppress(OSError):  # until it is shut
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(1000)
                        connection.send(b"\xff\xff")

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            with pytest.raises(Unavailable, match="does not speak the recorder's protocol"):
                _ = connect(timeout_ms=1_000).hello
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_an_abandonment_that_could_not_be_stored_is_said_again(peer: Peer, connect: Connect) -> None:
    """Until it is: else a commit that nobody acted on would stand in the log as an act."""
    rec = connect()
    cycle = open_cycle(rec)
    turned_away: list[list[bytes]] = []

    def fail(request: Any) -> Failed | None:
        if request.verb != Verb.ABANDON or turned_away:
            return None
        turned_away.append(request.requests)
        return Failed("store_full", "no room")

    peer.fail = fail
    peer.mute = True
    with pytest.raises(Unavailable):
        cycle.commit("arm", what=WHAT, deadline_ms=30)
    peer.mute = False
    peer.wait_for(lambda: bool(peer.ledger.of(Verb.ABANDON)))
    assert [abandon.requests for abandon in peer.ledger.of(Verb.ABANDON)] == turned_away
