"""Exactly once: what is remembered of answered requests, and what is closed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recorder.store.sessions import REQUESTS_MAX, SESSIONS_MAX, Sessions


def _id(number: int) -> bytes:
    return number.to_bytes(8, "big")


def test_a_session_remembers_its_last_requests() -> None:
    """The last 1,024 are found with their entry, the one before is forgotten, the greatest counter is known."""
    sessions = Sessions()
    for counter in range(REQUESTS_MAX + 1):
        sessions.add(_id(1), counter, counter + 7, bytes(16), 1000)
    assert sessions.find(_id(1), 0) is None
    found = sessions.find(_id(1), 1)
    assert found is not None
    assert found.seq == 8
    assert sessions.last_counter(_id(1)) == REQUESTS_MAX
    assert sessions.last_counter(_id(2)) == -1


def test_counters_with_holes_and_a_ring_that_went_round() -> None:
    """Counters rise but need not be dense; a snapshot of a full ring goes on where it was."""
    sessions = Sessions()
    for counter in range(0, 3 * 2500, 3):
        sessions.add(_id(1), counter, counter + 1, counter.to_bytes(16, "big"), 1000)
    restored = Sessions.restore(sessions.snapshot())
    for each in (sessions, restored):
        each.add(_id(1), 9000, 9001, bytes(16), 1000)
        assert each.last_counter(_id(1)) == 9000
        kept = [counter for counter in range(9002) if each.find(_id(1), counter) is not None]
        assert kept == [*range(3 * (2500 - REQUESTS_MAX + 1), 3 * 2500, 3), 9000]
        found = each.find(_id(1), 7200)
        assert found is not None
        assert (found.seq, found.digest) == (7201, (7200).to_bytes(16, "big"))
    assert restored.snapshot() == sessions.snapshot()


def test_the_session_used_least_recently_is_closed_for_good() -> None:
    """The 257th session closes the idle one, not the busy one, and the closed one is never taken for a new one."""
    sessions = Sessions()
    for number in range(SESSIONS_MAX):
        sessions.add(_id(number), 0, 0, bytes(16), 1000)
    sessions.add(_id(0), 1, 0, bytes(16), 1000)
    sessions.add(_id(1000), 0, 0, bytes(16), 1000)
    assert sessions.is_closed(_id(1))
    assert not sessions.is_closed(_id(0))
    assert not sessions.is_closed(_id(1001))


@given(st.lists(st.tuples(st.integers(0, 300), st.binary(min_size=16, max_size=16)), max_size=400))
def test_a_snapshot_restores_everything(added: list[tuple[int, bytes]]) -> None:
    """What `restore` makes of a snapshot answers and snapshots as the original does."""
    sessions = Sessions()
    for counter, (number, digest) in enumerate(added):
        sessions.add(_id(number), counter, counter, digest, number)
    restored = Sessions.restore(sessions.snapshot())
    assert restored.snapshot() == sessions.snapshot()
    for counter, (number, _) in enumerate(added):
        assert restored.find(_id(number), counter) == sessions.find(_id(number), counter)


def test_requests_that_a_snapshot_has_already_are_added_once() -> None:
    """A segment sealed on request begins with a snapshot, and its first record may have operations of before it."""
    sessions = Sessions()
    for counter in (5, 6, 5, 6, 7):
        sessions.add(_id(1), counter, counter + 1, bytes(16), 1000)
    assert [counter for counter in range(9) if sessions.find(_id(1), counter)] == [5, 6, 7]
    assert sessions.snapshot()[1][0][2] == b"".join(
        counter.to_bytes(8, "big") + (counter + 1).to_bytes(8, "big") + bytes(16) for counter in (5, 6, 7)
    )
