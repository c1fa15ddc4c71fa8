"""The ring of rows: every row is sent once and in order, or counted as lost at its place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recorder.client.ring import FULL, Chunk, Lost, RowRing

ROW_BYTES = 16


def put(ring: RowRing, at: int) -> bool:
    with ring.producing:
        offset = ring.offset(at)
        if offset == FULL:
            return False
        ring.buffer[offset : offset + ROW_BYTES] = at.to_bytes(8, "little") + at.to_bytes(8, "big")
        ring.publish(at)
    return True


def times(chunk: Chunk) -> list[int]:
    return [int.from_bytes(chunk.view[at : at + 8], "little") for at in range(0, len(chunk.view), ROW_BYTES)]


def told_by(piece: Chunk | Lost) -> list[tuple[str, int]]:
    """What the recorder hears: each row, and of each lost one its time, as far as count and times tell."""
    if isinstance(piece, Chunk):
        return [("row", at) for at in times(piece)]
    assert piece.last_mono_ns - piece.first_mono_ns + 1 == piece.count
    return [("lost", at) for at in range(piece.first_mono_ns, piece.last_mono_ns + 1)]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 9)),
        st.tuples(st.just("take"), st.integers(1, 5)),
        st.tuples(st.just("release"), st.integers(0, 3)),
        st.tuples(st.just("settle"), st.just(0)),
    ),
    max_size=60,
)


@given(st.integers(1, 7), steps)
def test_what_was_given_is_taken_once_in_order_or_declared_lost_in_its_place(
    capacity: int, plan: list[tuple[str, int]]
) -> None:
    """Whatever the interleaving of producer, sender and receipts, also out of order."""
    ring = RowRing(ROW_BYTES, capacity)
    given_at = 0
    expected: list[tuple[str, int]] = []  # ("row", at) and ("lost", at) in the order of giving
    got: list[Chunk | Lost] = []
    out: list[Chunk] = []

    def take(rows_max: int) -> bool:
        piece = ring.take(rows_max * ROW_BYTES)
        if piece is not None:
            got.append(piece)
        if isinstance(piece, Chunk):
            assert piece.count <= rows_max
            out.append(piece)
            # A copy, since its room is reused later.
            got[-1] = Chunk(piece.start, piece.stop, memoryview(bytes(piece.view)))
        return piece is not None

    for step, number in plan:
        if step == "put":
            for _ in range(number):
                given_at += 1
                expected.append(("row" if put(ring, given_at) else "lost", given_at))
        elif step == "take":
            take(number)
        elif step == "release" and out:
            ring.release(out.pop(number % len(out)))
        elif step == "settle":
            ring.settle_run()
    for chunk in out:
        ring.release(chunk)
    while True:
        ring.settle_run()
        if not take(4):
            break
        while out and out[-1].stop == ring.taken and not out[-1].settled:
            ring.release(out.pop())

    assert [told for piece in got for told in told_by(piece)] == expected
    assert ring.is_empty
    assert ring.dropped == sum(kind == "lost" for kind, _ in expected)
    assert ring.written == sum(kind == "row" for kind, _ in expected)


@given(st.lists(st.integers(0, 20), max_size=40))
def test_a_chunk_holds_rows_in_the_order_of_their_times(order: list[int]) -> None:
    """The recorder takes no other; where a controller's clock claims run backwards a new message begins."""
    ring = RowRing(ROW_BYTES, 64)
    for at in order:
        assert put(ring, at)
    seen: list[int] = []
    while (piece := ring.take(1 << 16)) is not None:
        assert isinstance(piece, Chunk), "nothing was lost"
        assert times(piece) == sorted(times(piece))
        seen += times(piece)
        ring.release(piece)
    assert seen == order
    assert ring.is_empty


def test_room_is_free_only_when_all_before_it_is_acknowledged() -> None:
    """A receipt that comes early does not let the producer write over rows that may be sent again."""
    ring = RowRing(ROW_BYTES, 4)
    for at in range(4):
        assert put(ring, at)
    first, second = ring.take(2 * ROW_BYTES), ring.take(2 * ROW_BYTES)
    assert isinstance(first, Chunk)
    assert isinstance(second, Chunk)
    ring.release(second)
    assert not put(ring, 4)
    ring.release(first)
    assert put(ring, 5)
    assert ring.take(1 << 16) == Lost(4, 1, 4, 4)


def test_the_oldest_row_is_the_first_that_still_waits() -> None:
    """Its age is what is at risk."""
    ring = RowRing(ROW_BYTES, 4)
    assert ring.oldest_mono_ns() is None
    assert put(ring, 7)
    assert put(ring, 8)
    chunk = ring.take(ROW_BYTES)
    assert isinstance(chunk, Chunk)
    assert ring.oldest_mono_ns() == 7
    ring.release(chunk)
    assert ring.oldest_mono_ns() == 8
