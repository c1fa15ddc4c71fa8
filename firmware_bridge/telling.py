"""How often a condition is told: what fails a thousand times an hour fills neither the lineage nor the journal."""

from __future__ import annotations

from firmware_bridge.line.happenings import Condition, Trouble

BURST = 8  # of one condition at once
EVERY_US = 10_000_000  # and one more each time


class Telling:
    """Lets a condition through, or counts it for the next one that is let through."""

    def __init__(self) -> None:
        self._full_at_us: dict[Condition, int] = {}  # when so many may be told at once again
        self._kept: dict[Condition, int] = {}

    def take(self, trouble: Trouble, now_us: int) -> Trouble | None:
        """What is told of it now; None where it was told often enough."""
        condition = trouble.condition
        full_at_us = max(now_us, self._full_at_us.get(condition, now_us))
        if full_at_us - now_us > (BURST - 1) * EVERY_US:
            self._kept[condition] = self._kept.get(condition, 0) + 1
            return None
        self._full_at_us[condition] = full_at_us + EVERY_US
        kept = self._kept.pop(condition, 0)
        return trouble._replace(detail=f"{trouble.detail}; {kept} times more since it was told") if kept else trouble
