"""How often a condition is told."""

from __future__ import annotations

from firmware_bridge.line.happenings import Condition, Trouble
from firmware_bridge.telling import BURST, EVERY_US, Telling


def test_a_cable_that_is_loose_for_an_hour() -> None:
    """Eight at once, then one in ten seconds, with how many there were; other conditions are not held up by it."""
    telling = Telling()
    told = [telling.take(Trouble(Condition.UNPLUGGED, "gone"), at_us) for at_us in range(0, 3_600_000_000, 250_000)]
    said = [one.detail for one in told if one is not None]
    assert said[:BURST] == ["gone"] * BURST
    assert len(said) == BURST + 3_600_000_000 // EVERY_US - 1
    counted = sum(int(one.split()[1]) for one in said[BURST:]) + len(said)
    assert len(told) - counted < EVERY_US // 250_000, "but for those since the last one"
    assert telling.take(Trouble(Condition.NOISE, "3 frames"), 0) == Trouble(Condition.NOISE, "3 frames")


def test_after_a_rest_all_are_told_again() -> None:
    """What happens seldom is never kept back."""
    telling = Telling()
    for at_us in range(0, 100 * EVERY_US, EVERY_US):
        assert telling.take(Trouble(Condition.SILENT, ""), at_us) is not None
