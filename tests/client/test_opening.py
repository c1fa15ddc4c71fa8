"""What an opening carries beside its bounds, and how a staged cycle is aborted, against a scripted recorder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from recorder.client import Recorder
from recorder.client.events import packed
from recorder.client.session import outgoing
from recorder.core import cbor
from recorder.core.errors import Misuse
from recorder.core.kinds import Stage
from recorder.core.messages import Verb
from recorder.core.protocol import decode_request
from tests.claims import FIELDS, WHAT, WHO, WHY
from tests.client.acts import open_cycle
from tests.client.peer import Peer

Connect = Callable[..., Recorder]
ARM: dict[str, Any] = {"actuators": ["arm"], "action_classes": ["motion"]}
HASH = bytes(range(32))
WHERE = {"frame": "base"}


def asked(peer: Peer) -> Any:
    return peer.ledger.of(Verb.OPEN_CYCLE)[-1]


def test_the_recorder_decides_about_what_is_contemplated(peer: Peer, connect: Connect) -> None:
    """Nobody states an evaluator or clauses; inputs, alternatives and the delegation go where the recorder looks."""
    inputs = [{"name": "lidar.nearest_m", "value": 1.5, "unit": "m", "at_mono_ns": 5}]
    cycle = connect().open_cycle(
        who={"operator": "ann"}, delegation=HASH, what=WHAT, where=WHERE, inputs=inputs, alternatives=["wait"], **ARM
    )
    assert cycle.act == (WHAT, WHERE)
    assert asked(peer).act == (WHAT, WHERE)
    assert asked(peer).who == {"platform": "robot", "operator": "ann", "delegation": HASH}
    assert asked(peer).why == {"evaluator": None, "clauses": None, "inputs": inputs, "alternatives": ["wait"]}
    assert (asked(peer).grant, asked(peer).stage, asked(peer).predecessor) == (None, 0, None)


def test_a_controller_may_say_more_of_why(peer: Peer, connect: Connect) -> None:
    """Its claims stand over the placeholders, and what is given by name over those."""
    rec = connect()
    inputs = [{"name": "plan", "value": "7a"}]
    rec.open_cycle(who=WHO, what=WHAT, why={"evaluator": "planner 2", "inputs": [1], "plan": "7a"}, inputs=[], **ARM)
    assert asked(peer).why == {
        "evaluator": "planner 2", "clauses": None, "inputs": [], "alternatives": [], "plan": "7a",
    }  # fmt: skip
    assert asked(peer).act == (WHAT, {})
    rec.open_cycle(who=WHO, why=WHY, inputs=inputs, **ARM)
    assert asked(peer).why == {**WHY, "inputs": inputs}
    assert WHY["inputs"] == []


def test_a_delegation_is_named_in_hex_too(peer: Peer, connect: Connect) -> None:
    """As `lineage credential list` prints it; it goes over the one in who."""
    connect().open_cycle(who=WHO, delegation=HASH.hex(), why=WHY, **ARM)
    assert asked(peer).who["delegation"] == HASH


def test_a_grant_goes_along(peer: Peer, connect: Connect) -> None:
    """An external evaluator's decision, as it signed it."""
    connect().open_cycle(who=WHO, what=WHAT, grant=b"signed", **ARM)
    assert asked(peer).grant == b"signed"


def test_stages_follow_each_other_about_the_same_act(peer: Peer, connect: Connect) -> None:
    """A cycle is the predecessor by itself, by its printed id or by its seq."""
    rec = connect()
    first = rec.open_cycle(who=WHO, what=WHAT, where=WHERE, stage="tentative", **ARM)
    assert (asked(peer).stage, asked(peer).predecessor) == (1, None)
    for stage, number in (("witnessed", 2), (Stage.EXECUTED, 3)):
        rec.open_cycle(who=WHO, stage=stage, predecessor=first, **ARM)
        assert (asked(peer).stage, asked(peer).predecessor) == (number, first.seq)
        assert asked(peer).act == (WHAT, WHERE)
    for named in (first.id, first.seq):
        rec.open_cycle(who=WHO, what=WHAT, where=WHERE, stage="witnessed", predecessor=named, **ARM)
        assert asked(peer).predecessor == first.seq


def test_an_opening_without_any_of_it_is_as_short_as_ever(
    peer: Peer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recorder that does not know the trailing elements reads it."""
    messages: list[Any] = []

    def noted(message: bytes) -> Any:
        messages.append(cbor.load(message))
        return decode_request(message)

    monkeypatch.setattr("tests.client.peer.decode_request", noted)
    rec = connect()
    open_cycle(rec)
    rec.event("emergency_stop", actuators=["arm"], what={}, reason="button")
    rec.flush(240)
    assert [len(message) for message in messages if message[0] == Verb.OPEN_CYCLE] == [10]
    assert [len(message) for message in messages if message[0] == Verb.EVENT] == [9]


def test_misuse_of_an_opening_is_named_before_anything_is_sent(peer: Peer, connect: Connect) -> None:
    """Neither a why nor an act; half an act; no hash; no stage."""
    rec = connect()
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("say why, or what is contemplated", {}),
        ("where without a what", {"why": WHY, "where": WHERE}),
        ("what lacks mode", {"what": {}}),
        ("where lacks frame", {"what": WHAT, "where": {"x": 1}}),
        ("why lacks evaluator", {"why": {}}),
        ("32 bytes or 64 hex digits, not b'short'", {"why": WHY, "delegation": b"short"}),
        ("32 bytes or 64 hex digits, not 'fog'", {"why": WHY, "delegation": "fog"}),
        ("no stage 'later'", {"why": WHY, "stage": "later"}),
        ("Cycle.abort", {"why": WHY, "stage": "aborted"}),
        ("Cycle.abort", {"why": WHY, "stage": Stage.ABORTED}),
    ]
    for message, settings in wrong:
        with pytest.raises(Misuse, match=message):
            rec.open_cycle(who=WHO, **settings, **ARM)
    assert not peer.ledger.entries


def test_aborting_is_an_event_that_names_the_cycle(peer: Peer, connect: Connect) -> None:
    """By whoever opened it, for all its actuators; the cycle is over, and is not closed once more."""
    rec = connect()
    with rec.open_cycle(who=WHO, what=WHAT, stage="tentative", **ARM) as cycle:
        stream = cycle.stream("arm", fields=FIELDS, what=WHAT)
        assert stream.record(((0, 0), 1))
        rec.flush(240)
        assert cycle.abort(what={"mode": "hold"}, where=WHERE, reason="witness objects", at_mono_ns=9)
    rec.flush(240)
    event = peer.ledger.of(Verb.EVENT)[0]
    assert event.who == {"platform": "robot", **WHO}
    assert (event.action_class, event.actuators, event.predecessor) == ("motion", ["arm"], cycle.seq)
    assert (event.what, event.where, event.why) == ({"mode": "hold"}, WHERE, {"reason": "witness objects"})
    assert event.at_mono_ns == 9
    assert not peer.ledger.of(Verb.CLOSE_CYCLE)
    assert cycle.close() is None


def test_aborting_waits_for_nobody(peer: Peer, connect: Connect) -> None:
    """The recorder is away: it is delivered when it is back; other events stay as short as ever."""
    rec = connect()
    cycle = open_cycle(rec)
    peer.stop()
    assert cycle.abort(what={"mode": "hold"}, reason="dropped the part")
    rec.event("emergency_stop", actuators=["arm"], what={}, reason="button")
    peer.start()
    rec.flush(240)
    aborted, stopped = peer.ledger.of(Verb.EVENT)
    assert (aborted.predecessor, stopped.predecessor) == (cycle.seq, None)


def test_a_class_must_be_named_where_the_cycle_has_several(peer: Peer, connect: Connect) -> None:
    """An abort says what was ended."""
    cycle = open_cycle(connect(), "motion", "hover")
    with pytest.raises(Misuse, match="say which"):
        cycle.abort(what={}, reason="r")
    assert cycle.abort(what={}, reason="r", action_class="hover")


def test_an_event_is_kept_with_as_many_elements_as_it_has() -> None:
    """What waits is one list, whose head counts them."""
    parts = ["motion", ["arm"], {}, {}, {}, {"reason": "r"}, 5]
    assert cbor.load(packed(outgoing(Verb.EVENT, *parts))) == parts
    assert cbor.load(packed(outgoing(Verb.EVENT, *parts, 7))) == [*parts, 7]
