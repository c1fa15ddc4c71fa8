"""Windows: each datagram counts once, in whatever order it comes, and neither an earlier run nor a thief's hides others."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.window import LATELY_MS, RUNS_MAX, WIDTH, Seen, Window, Windows, take

NOW_MS = 1_790_000_000_000
LAST = 2**64 - 1
numbers = st.integers(0, 3 * WIDTH) | st.integers(0, LAST)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2), numbers), max_size=40))
def test_against_remembering_everything(datagrams: list[tuple[int, int]]) -> None:
    """The windows say of each datagram what lists of all that were seen say, down to the width of each."""
    windows: Windows = ()
    seen: dict[int, set[int]] = {}
    for run, number in datagrams:
        windows, verdict = take(windows, run, number, None)
        if run not in seen and run < max(seen, default=0):
            assert verdict is Seen.REPLAYED
            continue
        its = seen.setdefault(run, set())
        if number in its and number > max(its) - WIDTH:
            assert verdict is Seen.REPEATED
        elif its and number <= max(its) - WIDTH:
            assert verdict is Seen.LATE
        else:
            assert verdict is Seen.NEW
            its.add(number)
            assert (windows[-1].run, windows[-1].top) == (run, max(its))
        assert sorted(one.run for one in windows) == sorted(seen)


def test_order_does_not_matter_within_the_width() -> None:
    """A whole width of datagrams, backwards: all new once, all repeats after."""
    windows: Windows = ()
    for number in reversed(range(WIDTH)):
        windows, verdict = take(windows, 1, number, None)
        assert verdict is Seen.NEW
    for number in range(WIDTH):
        windows, verdict = take(windows, 1, number, None)
        assert verdict is Seen.REPEATED
    assert take(windows, 1, WIDTH, None)[1] is Seen.NEW
    assert take(take(windows, 1, WIDTH, None)[0], 1, 0, None)[1] is Seen.LATE


def test_windows_do_not_grow() -> None:
    """However far a number jumps, and however many runs there are, what is kept has the same size."""
    windows, _ = take((), 1, 0, None)
    windows, _ = take(windows, 1, LAST, None)
    assert windows == ((1, LAST, 1),)
    windows, _ = take((Window(1, 5, (1 << WIDTH) - 1),), 1, 6, None)
    assert windows[0].bits.bit_length() == WIDTH
    for run in range(2, 99):
        windows, verdict = take(windows, run, 1, None)
        assert verdict is Seen.NEW
    assert [one.run for one in windows] == list(range(99 - RUNS_MAX, 99))


def test_a_thief_of_the_key_silences_nobody_where_there_is_a_clock() -> None:
    """Whatever runs he sends under, however many: each digest of the sender counts, of this run and of the next ones."""
    windows: Windows = ()
    number = 0
    for hour in range(4):
        now_ms = NOW_MS + hour * 3_600_000
        for stolen in (LAST, LAST - 1, now_ms + 9, now_ms + 8, now_ms + 7, LAST - 2):
            windows, _ = take(windows, stolen, number, now_ms)
            number += 1
            windows, verdict = take(windows, now_ms, number, now_ms)
            assert verdict is Seen.NEW


def test_a_known_run_goes_on_beside_a_greater_one_without_a_clock() -> None:
    """Until the sender begins another: that one is hidden by the thief's, and counts as soon as there is a clock."""
    windows, _ = take((), NOW_MS, 1, None)
    windows, verdict = take(windows, LAST, 1, None)
    assert verdict is Seen.NEW
    windows, verdict = take(windows, NOW_MS, 2, None)
    assert verdict is Seen.NEW
    assert take(windows, NOW_MS + 1, 1, None)[1] is Seen.REPLAYED
    assert take(windows, NOW_MS + 1, 1, NOW_MS + 5)[1] is Seen.NEW


def test_an_old_recording_is_a_replay() -> None:
    """By whoever has no key: a run of before counts neither beside a greater one nor, once it is known, twice."""
    windows, _ = take((), NOW_MS, 1, NOW_MS)
    assert take(windows, NOW_MS - LATELY_MS - 1, 5, NOW_MS)[1] is Seen.REPLAYED
    assert take(windows, NOW_MS - LATELY_MS, 5, NOW_MS)[1] is Seen.NEW
    assert take(windows, NOW_MS, 1, NOW_MS)[1] is Seen.REPEATED
