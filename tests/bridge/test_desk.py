"""What a link tells, on its way into the lineage: in order, acts beside their proof, and what waits for a hash."""

from __future__ import annotations

import pytest

from firmware_bridge.desk import WAITING_MAX, Desk
from firmware_bridge.line.confirmations import Signed
from firmware_bridge.line.happenings import Clock, Condition, Trouble
from recorder.client.session import Outgoing
from recorder.core import deviceframe
from recorder.core.deviceframe import Body, Event
from recorder.core.devicegap import Place
from recorder.core.messages import Verb
from tests.frames import KID, chain, confirmed, signed

HASH = (7).to_bytes(16, "big") + bytes(16)  # of the entry that `confirmed(7)` names


def desk(*told: Place) -> Desk:
    """One that takes emergency stops for acts."""
    return Desk(KID, "/dev/ttyS9", ["arm"], "arm-7", {1: "emergency_stop"}, told)


def batch(*bodies: Body) -> Signed:
    """A batch from frame 0 on."""
    frames = chain(*bodies)
    return Signed(1, 0, len(frames) - 1, signed(frames), [deviceframe.read(raw) for raw in frames])


def verbs(found: list[Outgoing]) -> list[Verb]:
    return [one.verb for one in found]


def test_an_event_is_an_act_once() -> None:
    """Before its batch, and not where the lineage has it already: the process before this one died between the two."""
    held = batch(Event(1, []), Event(3, []), Event(1, []))
    first, last, ahead = Place(1, 0), Place(1, 2), Place(2**32 - 1, 0)
    for told, count in (((), 2), ((first,), 1), ((first, last), 0), ((ahead,), 2)):
        one = desk(*told)
        one.put(held)
        assert verbs(one.due(9)) == [Verb.EVENT] * count + [Verb.APPEND]


@pytest.mark.parametrize(
    ("tick_us", "at_ns"),
    [(4_000_000, 9_000_000_000), (0, 5_000_000_000), (2**64 - 1, 2**64 - 1)],
)
def test_when_an_event_was(tick_us: int, at_ns: int) -> None:
    """By the clock that the device showed with its key; one that lies about it has a time that can be written."""
    prev = deviceframe.first_prev(KID, 1)
    frame = deviceframe.read(deviceframe.make(KID, 1, 0, tick_us, prev, Event(1, [])))
    one = desk()
    one.began(1, 6_000_000, 1_000_000)
    one.put(Signed(1, 0, 0, signed([frame.raw]), [frame]))
    act, _ = one.due(9)
    assert at_ns.to_bytes(8, "big") in bytes(act.tail[-1])


def test_what_waits_for_a_hash_holds_up_what_follows() -> None:
    """Entries keep the order of the link; a commit that is not there is told before the batch."""
    one = desk()
    one.put(batch(confirmed(7)))
    one.put(Trouble(Condition.NOISE, "3 frames"))
    assert (one.wanted(), one.due(9)) == (7, [])
    one.learn(7, HASH)
    assert verbs(one.due(9)) == [Verb.APPEND] * 2
    two = desk()
    two.put(batch(confirmed(7)))
    two.learn(7, None)
    assert verbs(two.due(9)) == [Verb.APPEND] * 2
    assert two.conditions == {"unknown_commit": 1}


def test_no_more_than_there_is_room_for() -> None:
    """And where too much waits, the port is not read."""
    one = desk()
    for _ in range(WAITING_MAX):
        one.put(Trouble(Condition.NOISE, ""))
    assert one.is_full
    assert len(one.due(3)) == 3
    assert one.is_full, "they are on their way"


def test_clocks_are_compared_once_a_minute() -> None:
    """At once when a session is up, then the narrowest of a minute."""
    one = desk()
    one.began(1, 0, 0)
    one.put(Clock(10, 40, 5))
    assert len(one.due(9)) == 1
    for at_us in range(1_000_000, 60_000_000, 1_000_000):
        one.put(Clock(at_us, at_us + 300, at_us))
    assert one.due(9) == []
    one.put(Clock(61_000_000, 61_000_020, 61_000_010))
    (request,) = one.due(9)
    assert (61_000_020 * 1000).to_bytes(8, "big") in bytes(request.tail[0]), "it is the narrowest"
