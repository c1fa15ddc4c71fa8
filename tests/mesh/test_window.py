"""Windows: each datagram counts once, in whatever order it comes, and none of an earlier run."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.window import WIDTH, Seen, Window, take

numbers = st.integers(0, 3 * WIDTH) | st.integers(0, 2**64 - 1)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2), numbers), max_size=40))
def test_against_remembering_everything(datagrams: list[tuple[int, int]]) -> None:
    """The window says of each datagram what a list of all that were seen says, down to its width."""
    window: Window | None = None
    seen: set[int] = set()
    run = -1
    for its_run, number in datagrams:
        window, verdict = take(window, its_run, number)
        if its_run > run:
            run, seen = its_run, set()
        if its_run < run:
            assert verdict is Seen.REPLAYED
        elif number in seen and number > max(seen) - WIDTH:
            assert verdict is Seen.REPEATED
        elif seen and number <= max(seen) - WIDTH:
            assert verdict is Seen.LATE
        else:
            assert verdict is Seen.NEW
            seen.add(number)
        assert (window.run, window.top) == (run, max(seen))


def test_order_does_not_matter_within_the_width() -> None:
    """A whole width of datagrams, backwards: all new once, all repeats after."""
    window: Window | None = None
    for number in reversed(range(WIDTH)):
        window, verdict = take(window, 1, number)
        assert verdict is Seen.NEW
    for number in range(WIDTH):
        window, verdict = take(window, 1, number)
        assert verdict is Seen.REPEATED
    assert take(window, 1, WIDTH)[1] is Seen.NEW
    assert take(take(window, 1, WIDTH)[0], 1, 0)[1] is Seen.LATE


def test_a_window_does_not_grow() -> None:
    """However far a number jumps, what is kept has the same width."""
    window, _ = take(None, 1, 0)
    window, _ = take(window, 1, 2**64 - 1)
    assert window == (1, 2**64 - 1, 1)
    window, _ = take(Window(1, 5, (1 << WIDTH) - 1), 1, 6)
    assert window.bits.bit_length() == WIDTH
