"""Moments: bounds that only rise, from the times of entries."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recorder.core.delegation import Moment
from recorder.core.kinds import Time
from recorder.core.moments import Floor


def time(utc_ns: int, quality: int = 2, error_us: int | None = 3) -> Time:
    return Time(utc_ns, 0, 1, quality, error_us)


def after(*times: Time) -> Floor:
    floor = Floor()
    for one in times:
        floor.passing(one)
    return floor


def test_a_synchronised_clock_bounds_both_ends() -> None:
    """The moment reaches its error to either side, and the entry's own time counts."""
    assert Floor().moment(time(1_000_000), 7) == Moment(997_000, 1_003_000, 7)


def test_what_leaves_the_end_open() -> None:
    """A clock that runs free, or one whose error is not known, says how late it is at least and not at most."""
    assert Floor().moment(time(1_000_000, quality=1), 7) == Moment(997_000, None, 7)
    assert Floor().moment(time(1_000_000, error_us=None), 7) == Moment(1_000_000, None, 7)


def test_a_clock_that_was_never_set_says_nothing() -> None:
    """Quality 0 neither raises the floor nor bounds the moment; what was known before still holds."""
    unset = time(9_000_000, quality=0)
    assert Floor().moment(unset, 7) == Moment(None, None, 7)
    assert after(unset).utc_ns is None
    assert after(time(1_000_000)).moment(unset, 7) == Moment(997_000, None, 7)


def test_setting_the_clock_back_does_not_lower_the_floor() -> None:
    """What was once past stays past, also where the clock that says less is synchronised: then the floor is all there is."""
    floor = after(time(9_000_000, quality=1, error_us=None), time(1_000_000))
    assert floor.utc_ns == 9_000_000
    assert floor.moment(time(1_000_000), 7) == Moment(9_000_000, 9_000_000, 7)


def test_asking_does_not_pass() -> None:
    """A moment that was only asked for leaves the floor as it was: the entry may not come to be."""
    floor = after(time(1_000_000))
    floor.moment(time(5_000_000), 7)
    assert floor.utc_ns == 997_000


_times = st.builds(
    Time, st.integers(0, 50_000), st.just(0), st.just(1), st.integers(0, 3), st.none() | st.integers(0, 20)
)


@given(st.lists(_times, min_size=1, max_size=6))
def test_bounds_never_cross_and_the_floor_only_rises(times: list[Time]) -> None:
    """Of any times, the floor is that of a restart that read it again, and earliest is not above latest."""
    floor, before = Floor(), -1_000_000
    for one in times:
        moment = floor.moment(one, 0)
        floor = Floor(floor.utc_ns)
        floor.passing(one)
        assert moment.earliest_utc_ns == floor.utc_ns
        if floor.utc_ns is not None:
            assert before <= floor.utc_ns
            assert moment.latest_utc_ns is None or floor.utc_ns <= moment.latest_utc_ns
            before = floor.utc_ns
