"""How long the claims of a retention class are kept, how many of them, and what may go before its time."""

from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """What holds for one retention class; a class without a rule is kept for ever."""

    keep_s: int | None = None  # at least so long; None: for ever
    max_bytes: int | None = None  # of claims in sealed segments; over it the oldest go whatever their age
    rows_may_go: bool = False  # the oldest claims of entries with rows, before their time, where the disk gets full


FOR_EVER = Rule()
