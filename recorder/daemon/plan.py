"""What goes next when room gets short: one sealed segment at a time, the oldest first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from recorder.core.quantities import NS
from recorder.core.retention import FOR_EVER, Rule
from recorder.store.summary import Held, Summary
from recorder.store.tail import Erasure, Hold

WORTH_BYTES = 64 * 1024  # less is not worth writing a segment for


class Cause(StrEnum):
    """Why claims go; in a fault entry beside the deletions."""

    OVER_MAX = "over_max_bytes"
    EXPIRED = "expired"
    ROWS = "rows"


class Step(NamedTuple):
    """Claims to erase out of one segment, a deletion entry for each class."""

    cause: Cause
    erasures: list[Erasure]


class Shelf(NamedTuple):
    """The sealed segments that may be written again, by ordinal; all but the newest.

    A cycle of an older segment that entries in the live one share was open where the newest sealed one begins, and is
    in its list: so nobody has to look into the live segment.
    """

    summaries: Mapping[int, Summary]  # rising, the newest included

    def needed(self, ordinal: int) -> set[int]:
        """Carriers of who and why that later entries share and keep their claims."""
        later = [summary for at, summary in self.summaries.items() if at > ordinal]
        found = {carrier for summary in later for held in summary.classes.values() for carrier in held.below}
        return found.union(later[-1].open_cycles if later else ())

    def candidates(self, holds: Collection[Hold]) -> list[tuple[int, Summary]]:
        """Segments that no hold touches: a hold exempts whole segments, so it never keeps less than it says."""
        return [
            (ordinal, summary)
            for ordinal, summary in list(self.summaries.items())[:-1]
            if not any(
                hold.first <= summary.last and (hold.last is None or hold.last >= summary.first) for hold in holds
            )
        ]

    def bytes_by_class(self) -> dict[str, int]:
        """Claims in all sealed segments."""
        total: dict[str, int] = {}
        for summary in self.summaries.values():
            for name, held in summary.classes.items():
                total[name] = total.get(name, 0) + held.bytes
        return total


def next_step(
    shelf: Shelf, rules: Mapping[str, Rule], holds: Collection[Hold], now_utc_ns: int, causes: Sequence[Cause]
) -> Step | None:
    """The next thing to erase.

    Args:
        shelf: what is held.
        rules: by retention class; a class without one is kept for ever.
        holds: in force.
        now_utc_ns: to tell what has expired.
        causes: in the order in which they are tried.

    """
    candidates = shelf.candidates(holds)
    for cause in causes:
        if cause is Cause.OVER_MAX:
            total = shelf.bytes_by_class()
            over = {name for name, rule in rules.items() if rule.max_bytes and total.get(name, 0) > rule.max_bytes}
        else:
            over = set()
        for ordinal, summary in candidates:
            going = []
            for name, held in summary.classes.items():
                rule = rules.get(name, FOR_EVER)
                expired = rule.keep_s is not None and held.newest_utc_ns + rule.keep_s * NS <= now_utc_ns
                if cause is Cause.ROWS:
                    size = held.rows_bytes if rule.rows_may_go else 0
                elif name in over or (cause is Cause.EXPIRED and expired):
                    size = _size(shelf, ordinal, summary, held)
                else:
                    size = 0
                if size:
                    going.append((size, name))
            if sum(size for size, _ in going) >= WORTH_BYTES:
                return Step(
                    cause,
                    [
                        Erasure(ordinal, summary.first, summary.last, name, cause is Cause.ROWS)
                        for _, name in sorted(going, key=lambda one: one[1])
                    ],
                )
    return None


def _size(shelf: Shelf, ordinal: int, summary: Summary, held: Held) -> int:
    """Bytes that erasing a class would free: none where what is left of it is still shared."""
    if held.carriers and not {*summary.shared, *shelf.needed(ordinal)}.isdisjoint(held.carriers):
        return 0
    return held.bytes
