"""Cycles and commits against a scripted recorder on a real socket: durable, refused, late, away, exactly once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recorder.client import Cycle, NotRecorded, Recorder, Refused, Unavailable
from recorder.core.errors import Misuse
from recorder.core.protocol import Failed, Flag, Verb, request_id
from tests.client.claims import WHAT, WHO, WHY
from tests.client.peer import Peer

Connect = Callable[..., Recorder]


def open_cycle(rec: Recorder, *classes: str, **more: Any) -> Cycle:
    return rec.open_cycle(who=WHO, why=WHY, actuators=["arm"], action_classes=list(classes or ("motion",)), **more)


def numbers(peer: Peer, verb: Verb = Verb.COMMIT) -> list[Any]:
    return [request.what["magnitude"] for request in peer.ledger.of(verb)]


def act(number: float) -> dict[str, Any]:
    return {**WHAT, "magnitude": number}


def test_hello_says_whom_we_speak_to(peer: Peer, connect: Connect) -> None:
    """As a typed value, with the class table in it."""
    hello = connect().hello
    assert (hello.platform, hello.boot) == ("robot", 1)
    assert hello.classes["motion"].on_unavailable == "hold"


def test_a_commit_is_durable_when_it_returns(peer: Peer, connect: Connect) -> None:
    """Its receipt names its place; the claims and the deadline are as given."""
    with open_cycle(connect()) as cycle:
        receipt = cycle.commit("arm", what=WHAT, where={"frame": "base"}, deadline_ms=500, at_mono_ns=17)
        assert receipt.durable
        assert receipt.outcome == "external"
        assert receipt.entry_id == f"{receipt.seq}.0-{(receipt.entry_hash or b'').hex()[:8]}"
        (commit,) = peer.ledger.of(Verb.COMMIT)
        assert (commit.carrier, commit.what, commit.where, commit.at_mono_ns) == (
            cycle.seq,
            WHAT,
            {"frame": "base"},
            17,
        )
        assert commit.deadline_mono_ns is not None
    assert [request.reason for request in peer.ledger.of(Verb.CLOSE_CYCLE)] == ["done"]
    assert peer.ledger.of(Verb.OPEN_CYCLE)[0].who == {"platform": "robot", **WHO}


def test_a_cycle_is_joined_by_its_printed_id_and_superseded(peer: Peer, connect: Connect) -> None:
    """Another process commits under it; a later cycle names the one that it takes over from."""
    rec, other = connect(), connect()
    cycle = open_cycle(rec)
    joined = other.join_cycle(cycle.id)
    assert joined.id == cycle.id
    joined.commit("arm", what=WHAT)
    for earlier in (cycle, cycle.id, cycle.seq):
        open_cycle(rec, supersedes=earlier)
        assert peer.ledger.of(Verb.OPEN_CYCLE)[-1].supersedes == cycle.seq


def test_a_refusal_is_raised_with_its_reasons(peer: Peer, connect: Connect) -> None:
    """For a cycle and for a commit."""
    rec = connect()
    cycle = open_cycle(rec)
    peer.refuse = lambda request: ["limit: magnitude"] if request.verb in (Verb.COMMIT, Verb.OPEN_CYCLE) else []
    with pytest.raises(Refused, match="limit: magnitude") as caught:
        cycle.commit("arm", what=WHAT)
    assert caught.value.entry_id.startswith(f"{caught.value.seq}-")
    with pytest.raises(Refused):
        open_cycle(rec)


def test_misuse_is_named_before_anything_is_sent(peer: Peer, connect: Connect) -> None:
    """Missing claims, unknown names, values without a place in the format."""
    rec = connect()
    cycle = open_cycle(rec, "motion", "hover")
    count = len(peer.ledger.entries)
    wrong: list[tuple[str, Callable[[], object]]] = [
        ("what lacks .*unit", lambda: cycle.commit("arm", what={"mode": "x"}, action_class="motion")),
        ("where lacks frame", lambda: cycle.commit("arm", what=WHAT, where={"x": 1}, action_class="motion")),
        ("say which", lambda: cycle.commit("arm", what=WHAT)),
        ("no actuator 'leg'", lambda: cycle.commit("leg", what=WHAT, action_class="motion")),
        ("can't be recorded", lambda: cycle.commit("arm", what={**WHAT, "x": {1, 2}}, action_class="motion")),
        ("can't be recorded", lambda: cycle.commit("arm", what={**WHAT, "x": "y" * 99_000}, action_class="motion")),
        ("no actuator 'leg'", lambda: rec.event("motion", actuators=["leg"], what=WHAT, reason="r")),
        ("no action class 'dance'", lambda: rec.event("dance", actuators=["arm"], what=WHAT, reason="r")),
        ("why lacks evaluator", lambda: rec.open_cycle(who=WHO, why={}, actuators=["arm"], action_classes=["motion"])),
        ("who lacks operator", lambda: rec.open_cycle(why=WHY, actuators=["arm"], action_classes=["motion"])),
        ("is not SEQ", lambda: rec.join_cycle("nonsense")),
        ("can't be recorded", lambda: rec.gap(actuators=["arm"], lost_count=-1, reason="r")),
    ]
    for message, call in wrong:
        with pytest.raises(Misuse, match=message):
            call()
    assert len(peer.ledger.entries) == count


def test_pipelined_commits_end_in_order_and_survive_a_lost_connection(peer: Peer, connect: Connect) -> None:
    """Each is in the log once, though answers were lost on the way."""
    hung_up: list[int] = []

    def swallow(request: Any) -> bool:
        if (
            request.verb == Verb.COMMIT
            and request.what["magnitude"] % 7 == 3
            and request.what["magnitude"] not in hung_up
        ):
            hung_up.append(request.what["magnitude"])
            return True
        return False

    cycle = open_cycle(connect())
    peer.swallow = swallow
    futures = [cycle.submit("arm", what=act(number)) for number in range(40)]
    receipts = [future.result(10) for future in futures]
    assert numbers(peer) == list(range(40))
    assert [receipt.seq for receipt in receipts] == sorted(receipt.seq or 0 for receipt in receipts)
    assert {number for number, receipt in enumerate(receipts) if receipt.duplicate} >= set(hung_up)
    assert hung_up == [3, 10, 17, 24, 31, 38]


def test_a_waiting_commit_gets_its_first_receipt_after_a_lost_connection(peer: Peer, connect: Connect) -> None:
    """The recorder was killed between durability and its answer, and restarted."""
    cycle = open_cycle(connect())
    swallowed: list[int] = []

    def swallow(request: Any) -> bool:
        return request.verb == Verb.COMMIT and not swallowed and not swallowed.append(1)  # type: ignore[func-returns-value]

    peer.swallow = swallow
    receipt = cycle.commit("arm", what=WHAT, deadline_ms=5000)
    assert receipt.duplicate
    assert len(peer.ledger.of(Verb.COMMIT)) == 1


def test_several_threads_share_one_session(peer: Peer, connect: Connect) -> None:
    """One of them reads for all."""
    cycle = open_cycle(connect(timeout_ms=10_000))
    failures: list[BaseException] = []

    def commit(first: int) -> None:
        try:
            for number in range(first, first + 25):
                receipt = cycle.commit("arm", what=act(number))
                assert peer.ledger.entries[receipt.seq or 0].what["magnitude"] == number
        except BaseException as error:  # noqa: BLE001 -- told to the test below
            failures.append(error)

    threads = [threading.Thread(target=commit, args=(first,)) for first in range(0, 100, 25)]
    futures = [cycle.submit("arm", what=act(number)) for number in range(100, 120)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [future.result(5).durable for future in futures] == [True] * 20
    assert sorted(numbers(peer)) == list(range(120))


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
        future.result(5)
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
    assert future.result(5).outcome == "ungated_pending"
    peer.start()
    rec.flush(5)
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
    rec.flush(5)
    assert len(peer.ledger.of(Verb.EVENT)) == 1
    assert peer.ledger.of(Verb.ABANDON) == []


def test_an_error_of_the_recorder_is_raised_by_its_name(peer: Peer, connect: Connect) -> None:
    """Nothing was recorded."""
    cycle = open_cycle(connect())
    peer.fail = lambda request: Failed("not_permitted", "uid 7") if request.verb == Verb.COMMIT else None
    with pytest.raises(NotRecorded, match="uid 7") as caught:
        cycle.commit("arm", what=WHAT)
    assert caught.value.error == "not_permitted"


@pytest.mark.parametrize("how", ["session_closed", "origin"])
def test_a_lost_session_is_replaced(peer: Peer, connect: Connect, how: str) -> None:
    """What was unanswered follows under a new id."""
    cycle = open_cycle(connect())
    assert cycle.commit("arm", what=act(1)).durable
    if how == "session_closed":
        peer.sessions_closed = True
    else:
        peer.ledger.origin += "x"
        peer.hang_up()
    assert cycle.commit("arm", what=act(2), deadline_ms=5000).durable
    assert numbers(peer) == [1, 2]


def test_a_cycle_that_cannot_be_closed_now_is_closed_later(peer: Peer, connect: Connect) -> None:
    """Leaving it does not raise: a controller that flies goes on; the end follows."""
    rec = connect(timeout_ms=50)
    with open_cycle(rec):
        peer.stop()
    peer.start()
    peer.wait_for(lambda: bool(peer.ledger.of(Verb.CLOSE_CYCLE)))


def test_a_cycle_that_has_ended_already_is_closed(peer: Peer, connect: Connect) -> None:
    """It expired: there is nothing to tell."""
    cycle = open_cycle(connect())
    peer.fail = lambda request: Failed("cycle_unknown", "ended") if request.verb == Verb.CLOSE_CYCLE else None
    assert cycle.close() is None
    assert cycle.close() is None


def test_opening_fails_by_its_deadline(peer: Peer, connect: Connect) -> None:
    """And what was sent is abandoned."""
    rec = connect()
    peer.mute = True
    with pytest.raises(Unavailable, match="open_cycle within") as caught:
        open_cycle(rec, deadline_ms=30)
    assert caught.value.on_unavailable == "hold"
    peer.mute = False
    peer.wait_for(lambda: bool(peer.ledger.of(Verb.ABANDON)))


def test_too_many_in_flight_are_not_taken(peer: Peer, connect: Connect) -> None:
    """Pipelining is bounded: a controller hears that the recorder does not keep up."""
    cycle = open_cycle(connect(timeout_ms=50))
    peer.mute = True
    futures = []
    with pytest.raises(Unavailable, match="256 commits are in flight"):
        for number in range(300):
            futures.append(cycle.submit("arm", what=act(number)))  # noqa: PERF401 -- the last one raises
    assert len(futures) == 256
    peer.mute = False
    assert all(future.result(10).durable for future in futures)
    assert numbers(peer) == list(range(256))


def test_queries(peer: Peer, connect: Connect) -> None:
    """Each returns what the recorder said."""
    rec = connect()
    assert rec.checkpoint() == rec.seal() == b"a signed note"
    assert rec.status() == {"entries": 0}
    assert rec.read(0).entries == [(b"entry", None)]
    assert rec.declare_actuator("arm.joint3") == 1
    assert rec.append(23, body={"note": "x"}).outcome == "recorded"
    assert next(rec.subscribe()).first == 0


@pytest.mark.parametrize("verb", [Verb.CHECKPOINT, Verb.SUBSCRIBE])
def test_a_query_that_is_not_permitted(peer: Peer, connect: Connect, verb: Verb) -> None:
    """Raised by its name."""
    peer.fail = lambda request: Failed("not_permitted", "uid 7") if request.verb == verb else None
    rec = connect()
    with pytest.raises(NotRecorded, match="uid 7"):
        rec.checkpoint() if verb == Verb.CHECKPOINT else next(rec.subscribe())


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
        rec.status()
    socket_path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.bind(str(socket_path))
        stream.listen()
        with pytest.raises(Unavailable, match="is not a recorder's socket"):
            rec.status()
    assert "there is no such socket" in caplog.text


def test_garbage_instead_of_a_hello(socket_path: Path, connect: Connect) -> None:
    """What listens there is no recorder."""
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(socket_path))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.send(b"\xff\xff")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        rec = connect(timeout_ms=500)
        thread.join()
        with pytest.raises(Unavailable, match="does not speak the recorder's protocol"):
            _ = rec.hello
