"""Ladders: dense at the end, sparse behind, the beginning never lost, and one head for each size."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.ladder import NEWEST_KEPT, Ladder
from recorder.core.checkpoint import Checkpoint
from recorder.core.errors import FormatError, Misuse
from recorder.core.forks import verify_fork
from recorder.core.note import Note, NoteSignature
from tests.mesh.fleet import FLEET, NEXT_ORIGIN, ORIGIN, hashes, note_of


def unsigned(size: int) -> bytes:
    """A note of the right form: ladders take what was verified."""
    text = Checkpoint(ORIGIN, size, size.to_bytes(32, "big")).text()
    return Note(text, (NoteSignature(ORIGIN, bytes(4), bytes(64)),)).encode()


def sizes(ladder: Ladder) -> list[int]:
    return [rung.head.size for rung in ladder.rungs]


@settings(max_examples=20)
@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=150, unique=True))
def test_bounded_and_never_without_the_ends(added: list[int]) -> None:
    """The newest stay, the very first stays, and of each distance at most one; what was dropped is counted."""
    ladder = Ladder(ORIGIN)
    for size in added:
        assert ladder.add(unsigned(size)) is None
    kept = sizes(ladder)
    assert kept == sorted(kept)
    assert kept[-NEWEST_KEPT:] == sorted(added)[-NEWEST_KEPT:]
    assert len(kept) <= NEWEST_KEPT + 31
    assert len(kept) + ladder.dropped == len(added)
    distances = [(kept[-1] - size).bit_length() for size in kept[:-NEWEST_KEPT]]
    assert len(set(distances)) == len(distances)
    assert set(distances) >= {(kept[-1] - min(added)).bit_length()} or len(kept) <= NEWEST_KEPT


def test_a_year_of_heads() -> None:
    """A head each second for long: the ladder stays as long as the logarithm, and the first head stays."""
    ladder = Ladder(ORIGIN)
    for size in range(1, 2000):
        ladder.add(unsigned(size), keep=500)
    assert len(sizes(ladder)) <= NEWEST_KEPT + 12
    assert len(sizes(ladder)) + ladder.dropped == 1999
    assert {1, 500, 1999} <= set(sizes(ladder))
    assert ladder.at(500) is not None
    assert ladder.at(501) is None


def test_another_head_of_one_size() -> None:
    """It is a fork, and the head that was there first stays; the same head again is none."""
    ladder = Ladder(ORIGIN)
    first, other = note_of(hashes(5)), note_of(hashes(5, "other"))
    assert ladder.add(first) is None
    assert ladder.add(first) is None
    fork = ladder.add(other)
    assert fork is not None
    verify_fork(fork, FLEET.trust)
    assert [rung.note for rung in ladder.rungs] == [first]


def test_kept_and_taken_up_again() -> None:
    """What was kept is the ladder again; heads of another origin, or two of one size, are not one."""
    notes = [unsigned(5), unsigned(3)]
    assert sizes(Ladder(ORIGIN, notes, 7)) == [3, 5]
    assert Ladder(ORIGIN, notes, 7).dropped == 7
    for wrong in ([unsigned(5), unsigned(5)], [note_of(hashes(2), NEXT_ORIGIN)]):
        with pytest.raises(Misuse):
            Ladder(ORIGIN, wrong)
    with pytest.raises(Misuse):
        Ladder(ORIGIN).add(note_of(hashes(2), NEXT_ORIGIN))
    with pytest.raises(FormatError):
        Ladder(ORIGIN, [b"x"])
    assert Ladder(ORIGIN).rungs == []
