"""Rows against a scripted recorder: never blocked, each stored once and in order, or declared lost with its count."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Any

import pytest

from recorder.client import Cycle, Recorder, Stream, Unavailable, outbox, pump
from recorder.client import rows as client_rows
from recorder.core.errors import Misuse
from recorder.core.message_replies import Failed
from recorder.core.messages import Verb
from tests.claims import FIELDS, WHAT, WHO, WHY
from tests.client.peer import Peer
from tests.running import wait_until

Connect = Callable[..., Recorder]
ROW = struct.Struct("<Q2fI")


def open_stream(rec: Recorder, what: dict[str, Any] = WHAT, **more: Any) -> tuple[Cycle, Stream]:
    cycle = rec.open_cycle(who=WHO, why=WHY, actuators=["arm"], action_classes=["motion"])
    return cycle, cycle.stream("arm", fields=FIELDS, what=what, where={}, **more)


def ticks(peer: Peer) -> list[int]:
    return [ROW.unpack(row)[3] for row in peer.ledger.rows]


def test_rows_are_packed_as_declared(peer: Peer, connect: Connect) -> None:
    """A tuple with one item a field, or the packed fields; the time stands before them."""
    rec = connect()
    cycle, stream = open_stream(rec)
    assert stream.record(((1.0, 2.0), 3), at_mono_ns=10)
    assert stream.record(struct.pack("<2fI", 4.0, 5.0, 6), at_mono_ns=11)
    assert stream.record(([7, 8], 9))
    rec.flush(240)
    assert [ROW.unpack(row)[:2] for row in peer.ledger.rows[:2]] == [(10, 1.0), (11, 4.0)]
    assert ticks(peer) == [3, 6, 9]
    message = peer.ledger.of(Verb.ROWS)[0]
    assert (message.carrier, message.action_class) == (cycle.seq, None)
    (declared,) = [request for request in peer.seen if request.verb == Verb.DECLARE_STREAM]
    assert declared.fields == [list(field) for field in FIELDS]
    assert rec.counts.rows_acknowledged == rec.counts.rows_recorded == 3


def test_many_rows_share_a_message(peer: Peer, connect: Connect) -> None:
    """A recorder that gets each row by itself spends a third of a processor on a kilohertz loop."""
    rec = connect()
    _, stream = open_stream(rec)
    for tick in range(1500):
        stream.record(((0, 0), tick))
    rec.flush(240)
    assert ticks(peer) == list(range(1500))
    assert len(peer.ledger.of(Verb.ROWS)) < 50


def test_a_new_stream_wakes_a_thread_that_dozes(peer: Peer, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its first rows would wait for the end of a long sleep, longer than the bound that hello states."""
    monkeypatch.setattr(pump, "LINGER_MS", 0)
    monkeypatch.setattr(pump, "IDLE_MS", 3_600_000)
    rec = connect()
    cycle = rec.open_cycle(who=WHO, why=WHY, actuators=["arm"], action_classes=["motion"])
    rec.flush(240)  # starts the thread, which then has nothing to do
    thread = rec._outbox._pump
    assert thread is not None
    wait_until(lambda: thread.is_dozing)
    time.sleep(0.2)  # it says so just before it begins
    stream = cycle.stream("arm", fields=FIELDS, what=WHAT, where={})
    stream.record(((1.0, 2.0), 3))
    wait_until(lambda: ticks(peer) == [3])


@pytest.mark.parametrize(
    "row",
    [(1.0, 2), ((1.0, 2.0, 3.0), 4), ((1.0, 2.0), -1), ((1.0, 2.0), "x"), b"short", ((1e39, 0.0), 1), ((1.0, 2.0),)],
)
def test_a_row_that_does_not_fit_is_misuse_and_leaves_no_trace(peer: Peer, connect: Connect, row: Any) -> None:
    """The next row takes its place."""
    rec = connect()
    _, stream = open_stream(rec)
    with pytest.raises((Misuse, TypeError)):
        stream.record(row)
    stream.record(((0, 0), 7))
    rec.flush(240)
    assert ticks(peer) == [7]


@pytest.mark.parametrize(
    ("fields", "message"),
    [([("x", "<c16", 1, "")], "is none of"), ([], "1 to 256 fields"), ([("x", "<f4", 0, "")], "count 0")],
)
def test_fields_that_no_row_can_have(peer: Peer, connect: Connect, fields: Any, message: str) -> None:
    """Said when the stream is made, not when the loop runs."""
    cycle, _ = open_stream(connect())
    with pytest.raises(Misuse, match=message):
        cycle.stream("arm", fields=fields, what=WHAT)
    with pytest.raises(Misuse, match="what lacks"):
        cycle.stream("arm", fields=FIELDS, what={})


def test_nothing_is_lost_or_doubled_when_connections_break(peer: Peer, connect: Connect) -> None:
    """Answers are lost after rows became durable; streams are declared again, in their order, before the repeats."""
    rec = connect()
    cycle, first = open_stream(rec)
    second = cycle.stream("arm", fields=FIELDS, what={**WHAT, "mode": "other"}, where={})
    count = [0]

    def swallow(request: Any) -> bool:
        count[0] += request.verb == Verb.ROWS
        return request.verb == Verb.ROWS and count[0] % 3 == 1

    peer.swallow = swallow
    for tick in range(0, 1000, 2):
        first.record(((0, 0), tick))
        second.record(((0, 0), tick + 1))
        if tick % 100 == 0:
            peer.wait_for(lambda: rec.counts.rows_pending < 60)
    rec.flush(240)
    assert [tick for tick in ticks(peer) if tick % 2 == 0] == list(range(0, 1000, 2))
    assert [tick for tick in ticks(peer) if tick % 2] == list(range(1, 1000, 2))
    assert count[0] > 6


def test_rows_recorded_while_the_recorder_is_away_arrive_later(peer: Peer, connect: Connect) -> None:
    """Killed and started again: what the ring holds is delivered, under the same session."""
    rec = connect()
    _, stream = open_stream(rec)
    stream.record(((0, 0), 0))
    rec.flush(240)
    peer.stop()
    assert all(stream.record(((0, 0), tick)) for tick in range(1, 501))
    with pytest.raises(Unavailable, match="500 rows") as caught:
        rec.flush(0.05)
    assert caught.value.pending is not None
    assert caught.value.pending.rows_pending == 500
    peer.start()
    rec.flush(240)
    assert ticks(peer) == list(range(501))
    assert peer.ledger.of(Verb.GAP) == []


def test_streams_that_share_a_declaration(peer: Peer, connect: Connect) -> None:
    """The second one's rows wait for the answer that the first one asked for."""
    rec = connect()
    cycle, first = open_stream(rec)
    second = cycle.stream("arm", fields=FIELDS, what=WHAT, where={})
    peer.stop()  # so that both have rows before either is declared
    assert first.record(((0, 0), 1))
    assert second.record(((0, 0), 2))
    peer.start()
    rec.flush(240)
    assert sorted(ticks(peer)) == [1, 2]
    assert sum(request.verb == Verb.DECLARE_STREAM for request in peer.seen) == 1


def test_streams_take_turns(peer: Peer, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more to send than the window takes, the first stream does not keep the others waiting."""
    monkeypatch.setattr(outbox, "ROWS_WINDOW", 2)
    monkeypatch.setattr(client_rows, "CHUNK_MAX_BYTES", 10 * ROW.size)
    rec = connect()
    streams = [open_stream(rec)[1] for _ in range(3)]
    for stream in streams:
        stream.record(((0, 0), 0))
    rec.flush(240)
    peer.stop()
    for number, stream in enumerate(streams):
        assert all(stream.record(((0, 0), number)) for _ in range(100))
    peer.start()
    rec.flush(240)
    sent = ticks(peer)[3:]
    assert sorted(sent) == [0] * 100 + [1] * 100 + [2] * 100
    assert set(sent[:40]) == {0, 1, 2}


def test_an_overflow_is_declared_with_its_count_and_times_in_its_place(peer: Peer, connect: Connect) -> None:
    """The gap stands between the rows before and after it; all numbers add up."""
    rec = connect(ring_ms=100)
    _, stream = open_stream(rec)
    stream.record(((0, 0), 0), at_mono_ns=1000)
    rec.flush(240)
    peer.mute = True
    taken = [stream.record(((0, 0), tick), at_mono_ns=1000 + tick) for tick in range(1, 251)]
    assert taken == [True] * 100 + [False] * 150
    assert stream.dropped == 150
    assert rec.counts.rows_dropped == 150
    assert rec.counts.losses_pending == 1
    peer.mute = False
    peer.wait_for(lambda: rec.counts.rows_pending == 0)
    stream.record(((0, 0), 251), at_mono_ns=1251)
    rec.flush(240)
    (gap,) = peer.ledger.of(Verb.GAP)
    assert (gap.actuators, gap.count, gap.at_mono_ns) == (["arm"], 150, (1101, 1250))
    assert ticks(peer) == [*range(101), 251]
    order = [request.verb for request in peer.ledger.entries]
    assert order[-2:] == [Verb.GAP, Verb.ROWS], "the loss is declared before what came after it"
    counts = rec.counts
    assert (counts.rows_recorded, counts.rows_acknowledged, counts.lost_declared) == (102, 102, 150)


def test_an_overflow_is_declared_though_no_further_row_comes(peer: Peer, connect: Connect) -> None:
    """The loop ended while rows were being lost."""
    rec = connect(ring_ms=10)
    _, stream = open_stream(rec)
    peer.mute = True
    for tick in range(15):
        stream.record(((0, 0), tick))
    peer.mute = False
    rec.flush(240)
    assert [request.count for request in peer.ledger.of(Verb.GAP)] == [5]


def test_rows_go_before_the_end_of_their_cycle(peer: Peer, connect: Connect) -> None:
    """Behind it they would stand outside the grant."""
    rec = connect()
    cycle, stream = open_stream(rec)
    with cycle:
        for tick in range(100):
            stream.record(((0, 0), tick))
    verbs = [request.verb for request in peer.ledger.entries]
    assert verbs[-1] == Verb.CLOSE_CYCLE
    assert len(ticks(peer)) == 100
    assert stream.record(((0, 0), 100)), "what happens all the same is stored all the same"
    rec.flush(240)
    assert len(ticks(peer)) == 101


def test_rows_that_the_recorder_does_not_take_are_declared_lost(peer: Peer, connect: Connect) -> None:
    """No drop is silent, whoever makes it."""
    rec = connect()
    _, stream = open_stream(rec)
    peer.fail = lambda request: Failed("not_permitted", "uid 7") if request.verb == Verb.ROWS else None
    for tick in range(5):
        stream.record(((0, 0), tick), at_mono_ns=100 + tick)
    rec.flush(240)
    peer.wait_for(lambda: rec.counts.lost_declared == 5)
    assert sum(request.count for request in peer.ledger.of(Verb.GAP)) == 5
    assert "not_permitted" in peer.ledger.of(Verb.GAP)[0].reason
    assert (rec.counts.rows_rejected, rec.counts.rows_acknowledged) == (5, 0)


def test_a_stream_that_cannot_be_declared_is_declared_lost(peer: Peer, connect: Connect) -> None:
    """Its rows cannot be sent at all."""
    rec = connect()
    _, stream = open_stream(rec)
    peer.fail = lambda request: Failed("schemas_max", "full") if request.verb == Verb.DECLARE_STREAM else None
    for tick in range(5):
        stream.record(((0, 0), tick))
    rec.flush(240)
    peer.wait_for(lambda: rec.counts.lost_declared == 5)
    assert "schemas_max" in peer.ledger.of(Verb.GAP)[0].reason


def test_a_full_disk_loses_no_rows(peer: Peer, connect: Connect) -> None:
    """They are sent again, in their order, until there is room."""
    rec = connect()
    _, stream = open_stream(rec)
    peer.fail = lambda request: Failed("store_full", "no room") if request.verb == Verb.ROWS else None
    for tick in range(50):
        stream.record(((0, 0), tick))
    with pytest.raises(Unavailable, match="no room"):
        rec.flush(0.1)
    peer.fail = lambda request: None
    rec.flush(240)
    assert ticks(peer) == list(range(50))
    assert peer.ledger.of(Verb.GAP) == []


def test_a_lost_session_keeps_rows(peer: Peer, connect: Connect) -> None:
    """They follow under new ids."""
    rec = connect()
    _, stream = open_stream(rec)
    stream.record(((0, 0), 0))
    rec.flush(240)
    peer.sessions_closed = True
    for tick in range(1, 20):
        stream.record(((0, 0), tick))
    rec.flush(240)
    assert ticks(peer) == list(range(20))


@pytest.mark.parametrize("declared", [True, False])
def test_rows_that_never_arrived_follow_another_numbering(peer: Peer, connect: Connect, declared: bool) -> None:
    """The next connection numbers its streams otherwise, or takes them no more: then the rows are declared lost."""
    rec = connect()
    _, stream = open_stream(rec)
    stream.record(((0, 0), 0))
    rec.flush(240)
    peer.mute = True
    for tick in range(1, 6):
        stream.record(((0, 0), tick))
    peer.wait_for(lambda: rec._outbox._rows.session.in_flight > 0)
    if declared:
        peer.stream_base = 5
    else:
        peer.fail = lambda request: Failed("streams_max", "") if request.verb == Verb.DECLARE_STREAM else None
    peer.hang_up()
    peer.mute = False
    rec.flush(240)
    assert ticks(peer) == [0, 1, 2, 3, 4, 5][: 6 if declared else 1]
    peer.wait_for(lambda: rec.counts.lost_declared == (0 if declared else 5))


def test_declarations_do_not_pile_up(peer: Peer, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planner that states another what in each cycle gets a fresh connection now and then."""
    monkeypatch.setattr(client_rows, "STREAMS_MAX", 3)
    rec = connect()
    for number in range(10):
        cycle, stream = open_stream(rec, {**WHAT, "magnitude": number})
        with cycle:
            stream.record(((0, 0), number))
    assert ticks(peer) == list(range(10))
    assert sum(request.verb == Verb.HELLO for request in peer.seen) >= 5
    assert rec.counts.rows_acknowledged == 10, "streams that are gone still count"


def test_lagging_is_told_not_raised(peer: Peer, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """More is at risk than hello promised; recording goes on."""
    peer.at_risk_ms = 30
    rec = connect()
    _, stream = open_stream(rec)
    stream.record(((0, 0), 0))
    rec.flush(240)
    assert rec.counts.lagging is None
    peer.mute = True
    assert stream.record(((0, 0), 1))
    peer.wait_for(lambda: "lagging" in caplog.text)
    lagging = rec.lagging
    assert lagging is not None
    assert lagging.rows == 1
    assert lagging.oldest_ms > 30
    peer.mute = False
    rec.flush(240)
    assert rec.counts.lagging is None
