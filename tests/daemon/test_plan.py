"""What goes next when room gets short: rules, holds, and the whys that others share."""

from __future__ import annotations

from recorder.core.quantities import NS
from recorder.core.retention import Rule
from recorder.daemon.growth import YOUNG_S, Growth, Rate, hours_until_full
from recorder.daemon.plan import WORTH_BYTES, Cause, Shelf, next_step
from recorder.store.summary import Held, Summary
from recorder.store.tail import Erasure, Hold

MUCH = 10 * WORTH_BYTES
ALL = (Cause.OVER_MAX, Cause.EXPIRED, Cause.ROWS)
NOW = 1000 * NS


def shelf(*segments: dict[str, Held], open_cycles: dict[int, list[int]] | None = None) -> Shelf:
    """Segments of a hundred entries each, and a newest one, which is never touched."""
    found = {}
    for ordinal, classes in enumerate([*segments, {}], 1):
        first = 100 * (ordinal - 1)
        opened = (open_cycles or {}).get(ordinal, [])
        found[ordinal] = Summary((0, 0, 0), first, first + 99, opened, classes)
    return Shelf(found)


def goes(held: Shelf, rules: dict[str, Rule], *holds: Hold, causes: tuple[Cause, ...] = ALL) -> list[Erasure]:
    """What would go."""
    step = next_step(held, rules, holds, NOW, causes)
    return [] if step is None else step.erasures


def old(size: int = MUCH, **more: object) -> Held:
    """Claims of long ago."""
    return Held(bytes=size, newest_utc_ns=1, **more)  # type: ignore[arg-type]


def test_the_oldest_expired_claims_go_first() -> None:
    """Segment by segment from the oldest, all expired classes of it at once."""
    held = shelf({"a": old(), "b": old()}, {"a": old()})
    rules = {"a": Rule(keep_s=10), "b": Rule(keep_s=10)}
    assert goes(held, rules) == [Erasure(1, 0, 99, "a", False), Erasure(1, 0, 99, "b", False)]
    held.summaries[1].classes.clear()
    assert goes(held, rules) == [Erasure(2, 100, 199, "a", False)]


def test_what_is_not_expired_stays() -> None:
    """By the newest entry of its class in the segment; without a rule, or for ever, never."""
    held = shelf({"a": Held(bytes=MUCH, newest_utc_ns=NOW - 10 * NS + 1), "b": old(), "c": old()})
    assert goes(held, {"a": Rule(keep_s=10), "b": Rule()}) == []
    assert goes(held, {"a": Rule(keep_s=9)}) == [Erasure(1, 0, 99, "a", False)]


def test_the_newest_sealed_segment_is_left_alone() -> None:
    """Its cycles may still be in use."""
    held = Shelf(dict(list(shelf({"a": old()}).summaries.items())[:1]))
    assert goes(held, {"a": Rule(keep_s=0)}) == []


def test_over_its_maximum_a_class_loses_the_oldest_whatever_their_age() -> None:
    """Until it is within; other classes are untouched."""
    held = shelf({"a": Held(bytes=MUCH, newest_utc_ns=NOW), "b": old()}, {"a": Held(bytes=MUCH, newest_utc_ns=NOW)})
    assert goes(held, {"a": Rule(max_bytes=2 * MUCH - 1)}) == [Erasure(1, 0, 99, "a", False)]
    assert goes(held, {"a": Rule(max_bytes=2 * MUCH)}) == []


def test_rows_go_last_and_only_where_the_class_allows_it() -> None:
    """Expired claims before them; only the rows of a class that says so."""
    held = shelf({"a": old(rows_bytes=MUCH), "b": old()})
    rules = {"a": Rule(rows_may_go=True), "b": Rule(keep_s=1)}
    assert goes(held, rules) == [Erasure(1, 0, 99, "b", False)]
    held.summaries[1].classes["b"].bytes = 0
    assert goes(held, rules) == [Erasure(1, 0, 99, "a", True)]
    assert goes(held, rules, causes=(Cause.OVER_MAX, Cause.EXPIRED)) == []
    assert goes(held, {"a": Rule()}) == []


def test_a_hold_exempts_whole_segments() -> None:
    """One entry held keeps its segment; a hold without an end all that follow."""
    held = shelf({"a": old()}, {"a": old()}, {"a": old()})
    rules = {"a": Rule(keep_s=1)}
    assert goes(held, rules, Hold(99, 99))[0].ordinal == 2
    assert goes(held, rules, Hold(0, 100))[0].ordinal == 3
    assert goes(held, rules, Hold(150, None))[0].ordinal == 1
    assert goes(held, rules, Hold(0, None)) == []


def test_what_is_shared_is_not_tried_again_until_it_is_free() -> None:
    """What stayed of an erased class goes once those that share it have gone."""
    held = shelf({"a": old(carriers=[40])}, {"a": old(below=[40])})
    rules = {"a": Rule(keep_s=1)}
    assert held.needed(1) == {40}
    assert goes(held, rules)[0].ordinal == 2
    held.summaries[2].classes["a"] = Held()
    assert goes(held, rules)[0].ordinal == 1
    still_open = shelf({"a": old(carriers=[40])}, {}, open_cycles={3: [40]})
    assert goes(still_open, rules) == []
    held.summaries[1].shared = [40]
    assert goes(held, rules) == []


def test_little_is_not_worth_a_segment() -> None:
    """Less than a minimum stays where it is."""
    assert goes(shelf({"a": old(WORTH_BYTES - 1)}), {"a": Rule(keep_s=1)}) == []
    assert goes(shelf({"a": old(WORTH_BYTES)}), {"a": Rule(keep_s=1)}) != []


def test_hours_until_full() -> None:
    """Room divided by the rate; nothing is said of a young measurement, nor where nothing grows."""
    assert hours_until_full(7200, Rate(3600, 3600)) == 2
    assert hours_until_full(7200, Rate(3600, YOUNG_S - 1)) is None
    assert hours_until_full(7200, Rate(0, 3600)) is None


def test_growth_is_of_the_last_hour() -> None:
    """A burst of yesterday does not count for ever."""
    growth = Growth(0.0, 0)
    growth.note(1.0, 10**9)
    assert growth.rate().seconds == 0
    growth.note(60.0, 10**9)
    assert growth.rate() == Rate(10**9, 60.0)
    for minute in range(2, 121):
        growth.note(60.0 * minute, 10**9 + 1000 * minute)
    rate = growth.rate()
    assert 3600 <= rate.seconds <= 3660
    assert rate.bytes == 1000 * rate.seconds / 60
