"""Cycles and commits against a scripted recorder on a real socket: durable, refused, late, away, exactly once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from recorder.client import NotRecorded, Recorder, Refused, Unavailable
from recorder.core.errors import Misuse
from recorder.core.message_replies import Failed
from recorder.core.messages import Verb
from tests.claims import WHAT, WHO, WHY
from tests.client.acts import act, numbers, open_cycle
from tests.client.peer import Peer

Connect = Callable[..., Recorder]


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
    receipts = [future.result(240) for future in futures]
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
    receipt = cycle.commit("arm", what=WHAT, deadline_ms=60_000)
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
    assert [future.result(240).durable for future in futures] == [True] * 20
    assert sorted(numbers(peer)) == list(range(120))


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
    assert cycle.commit("arm", what=act(2), deadline_ms=60_000).durable
    assert numbers(peer) == [1, 2]


def test_a_cycle_that_has_ended_already_is_closed(peer: Peer, connect: Connect) -> None:
    """It expired: there is nothing to tell."""
    cycle = open_cycle(connect())
    peer.fail = lambda request: Failed("cycle_unknown", "ended") if request.verb == Verb.CLOSE_CYCLE else None
    assert cycle.close() is None
    assert cycle.close() is None


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
    assert all(future.result(240).durable for future in futures)
    assert numbers(peer) == list(range(256))


def test_queries(peer: Peer, connect: Connect) -> None:
    """Each returns what the recorder said."""
    rec = connect()
    assert rec.checkpoint() == rec.seal() == b"a signed note"
    assert rec.status() == {"entries": 0}
    assert rec.read(0).entries == [(b"entry", None)]
    assert rec.declare_actuator("arm.joint3") == 1
    appended = rec.append(23, body={"note": "x"})
    assert appended.outcome == "recorded"
    assert appended.entry_id == f"{appended.seq}-{(appended.entry_hash or b'').hex()[:8]}"
    assert next(rec.subscribe()).first == 0


@pytest.mark.parametrize("verb", [Verb.CHECKPOINT, Verb.SUBSCRIBE])
def test_a_query_that_is_not_permitted(peer: Peer, connect: Connect, verb: Verb) -> None:
    """Raised by its name."""
    peer.fail = lambda request: Failed("not_permitted", "uid 7") if request.verb == verb else None
    rec = connect()
    with pytest.raises(NotRecorded, match="uid 7"):
        rec.checkpoint() if verb == Verb.CHECKPOINT else next(rec.subscribe())
