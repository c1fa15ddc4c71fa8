"""What a platform tells next: hashes together, never more than may go, and a beacon at rest."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import digest
from mesh.digest import HELD_MAX, Digest, Head, Held
from mesh.node.announcing import FILL_S, WAITING_MAX, Announcer
from mesh.node.config import Digests
from tests.mesh.fleet import ORIGIN, hashes, signer

LEAVES = hashes(3000)
HEAD = Head(5, LEAVES[0], bytes(64))
HELD = [Held(at.to_bytes(8), at) for at in range(HELD_MAX + 10)]


def announcer(per_s: float = 10.0, burst: int = 20, size: int = 0, *, beacon_s: float = 0.0) -> Announcer:
    """One that knows its log and has sent its first beacon."""
    made = Announcer(Digests(interval_s=5.0, per_s=per_s, burst=burst), beacon_s)
    made.pushed(ORIGIN, size, [], 0.0)
    (first,) = made.due([], beacon_s)
    assert (first.first, first.hashes, first.head, first.held) == (size, b"", None, [])
    return made


def sent_hashes(sent: list[Digest]) -> list[bytes]:
    return [one for says in sent for one in says.entry_hashes]


def test_nothing_is_said_before_there_is_a_log() -> None:
    """Without the recorder there is nothing to say, and no hurry."""
    made = Announcer(Digests(interval_s=5.0), 0.0)
    assert made.due(HELD, 9.0) == []
    assert made.wait_s(9.0) == 5.0
    assert not made.is_beacon_due(9.0)


def test_hashes_wait_a_little_and_go_together() -> None:
    """As many as fit a datagram, in order, each at its place."""
    made = announcer()
    made.pushed(ORIGIN, 0, LEAVES[:1], 1.0)
    made.pushed(ORIGIN, 1, LEAVES[1:40], 1.01)
    assert made.wait_s(1.01) == pytest.approx(FILL_S - 0.01)
    assert made.due([], 1.04) == []
    sent = made.due([], 1.05)
    assert sent_hashes(sent) == LEAVES[:40]
    assert [says.first for says in sent] == [0, len(sent[0].entry_hashes)]
    assert len(sent[0].entry_hashes) >= 30
    for says in sent:
        digest.make(says._replace(run=(1 << 64) - 1, number=(1 << 64) - 1), signer("any"))
    assert made.due([], 2.0) == []
    assert made.wait_s(2.0) == 3.0


def test_a_new_head_goes_with_the_next_hashes_or_soon_by_itself() -> None:
    """Once; the beacon has it always."""
    made = announcer()
    made.headed(ORIGIN, HEAD, 1.0)
    assert [says.head for says in made.due([], 1.05)] == [HEAD]
    made.headed(ORIGIN, HEAD, 2.0)
    made.pushed(ORIGIN, 0, LEAVES[:1], 2.0)
    assert [says.head for says in made.due([], 2.05)] == [None]
    assert [says.head for says in made.due([], 5.0)] == [HEAD]
    made.headed("acme/arm-7/ffffffffffffffff", HEAD, 6.0)
    assert [says.head for says in made.due([], 10.0)] == [None], (
        "a head of another incarnation says nothing of this one"
    )


def test_a_beacon_at_rest_has_the_sizes_held_in_turn() -> None:
    """All are told after as many as it takes."""
    made = announcer()
    told: list[Held] = []
    for at in (5.0, 10.0):
        assert made.is_beacon_due(at)
        (beacon,) = made.due(HELD, at)
        assert len(beacon.held) == HELD_MAX
        digest.make(beacon._replace(head=HEAD, run=1, number=1), signer("any"))
        told += beacon.held
        assert not made.is_beacon_due(at)
    assert set(told) == set(HELD)


def test_what_comes_faster_than_it_may_go_leaves_the_latest() -> None:
    """The oldest are left out and counted; peers pull them."""
    made = announcer(per_s=1.0, burst=2)
    made.pushed(ORIGIN, 0, LEAVES[:200], 1.0)
    sent = sent_hashes(made.due([], 1.05))
    assert sent == LEAVES[200 - len(sent) : 200]
    assert 60 <= len(sent) < 70, "two datagrams"
    assert made.left_out == 200 - len(sent)
    made.pushed(ORIGIN, 200, LEAVES[200:300], 1.1)
    assert made.due([], 1.2) == [], "no token is left"
    assert made.wait_s(1.2) > 0.5
    (only,) = made.due([], 2.1)
    assert only.first + len(only.entry_hashes) == 300


@pytest.mark.parametrize(("origin", "first"), [(ORIGIN, 10), ("acme/arm-7/ffffffffffffffff", 0), (ORIGIN, 0)])
def test_hashes_of_a_digest_lie_side_by_side(origin: str, first: int) -> None:
    """After a push that was lost, of another incarnation, or of a store that was put back."""
    made = announcer()
    made.pushed(ORIGIN, 0, LEAVES[:5], 1.0)
    made.pushed(origin, first, LEAVES[7:9], 1.0)
    (only,) = made.due([], 1.1)
    assert (only.origin, only.first, only.entry_hashes) == (origin, first, LEAVES[7:9])
    assert made.left_out == 5 * (origin == ORIGIN)


def test_what_waits_is_bounded_while_nothing_may_go() -> None:
    """Of a recorder that writes while the loop is held up the latest hashes are kept."""
    made = announcer()
    for at in range(0, 3000, 100):
        made.pushed(ORIGIN, at, LEAVES[at : at + 100], 1.0)
    assert made.left_out == 3000 - WAITING_MAX
    assert made.due([], 2.0)[-1].entry_hashes[-1] == LEAVES[-1]


@given(st.lists(st.tuples(st.integers(0, 200), st.floats(0, 0.3)), max_size=40))
def test_no_more_goes_than_the_bucket_has_and_nothing_twice(pushes: list[tuple[int, float]]) -> None:
    """Whatever comes: sequences rise, hashes are those of their places, and datagrams are within rate and burst."""
    per_s, burst = 5.0, 4
    made = announcer(per_s, burst)
    now_s, size, sent = 0.0, 0, []
    for count, pause_s in pushes:
        leaves = (LEAVES * 4)[size : size + count]
        made.pushed(ORIGIN, size, leaves, now_s)
        size += count
        now_s += pause_s
        sent += made.due([], now_s)
    assert len(sent) + 1 <= burst + per_s * now_s
    spans = [(says.first, says.first + len(says.entry_hashes)) for says in sent if says.hashes]
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
    for says in sent:
        assert says.entry_hashes == (LEAVES * 4)[says.first : says.first + len(says.entry_hashes)]
    assert len(made._waiting) <= WAITING_MAX
