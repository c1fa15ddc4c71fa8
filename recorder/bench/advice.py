"""What the measured figures come to for whoever sets up this machine.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any, NamedTuple

from recorder.bench.figure import Figure
from recorder.bench.paced import Paced

HEADROOM = 0.5  # of what was reached: a filter's burst, a card's pause, other work on the machine
CPU_SHARE = 50.0  # % of a core that the recorder should take at most
KEPT_UP = 0.98  # of the offered rows: the ends of an interval are not sharp
WINDOW_MIN_MS, WINDOW_MAX_MS, WINDOW_STEP_MS = 50, 1000, 10
SYNC_SHARE = 10  # one part in so many of the time may go into syncs
AT_RISK_STEP_MS = 100
AT_RISK_MIN_MS, AT_RISK_MAX_MS = 10, 60_000  # as recorder.toml takes it


class Advice(NamedTuple):
    """What to set, and what to count on; None where what it rests on was not measured.

    Attributes:
        commits_s: commits a second, one after the other.
        rows_s: rows a second.
        rows_limit: what limits these.
        window_ms: for `rows_window_ms`.
        at_risk_ms: for `at_risk_ms`: what rows may be lost to a power cut.
        at_risk_rows: the same in rows, at `rows_s`.
        hours_until_full: at the measured 1 kHz of all actuators, and at `rows_s`.

    """

    commits_s: float | None
    rows_s: float | None
    rows_limit: str | None
    window_ms: int | None
    at_risk_ms: int | None
    at_risk_rows: int | None
    hours_until_full: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """As it is, rounded."""
        return {
            **self._asdict(),
            "commits_s": None if self.commits_s is None else round(self.commits_s),
            "rows_s": None if self.rows_s is None else round(self.rows_s),
            "hours_until_full": {name: round(hours, 1) for name, hours in self.hours_until_full.items()},
        }

    def lines(self) -> list[str]:
        """For people."""
        said = []
        if self.commits_s is not None:
            said.append(f"commits one after the other: plan for {self.commits_s:,.0f}/s (half of 1/p99)")
        if self.rows_s is not None:
            said.append(f"rows: plan for {self.rows_s:,.0f}/s in all ({self.rows_limit})")
        if self.window_ms is not None:
            said.append(f"rows_window_ms = {self.window_ms} (a sync takes at most a tenth of the time, at its p99)")
        if self.at_risk_ms is not None:
            rows = "" if self.at_risk_rows is None else f", or {self.at_risk_rows:,} rows at that rate"
            said.append(f"at_risk_ms = {self.at_risk_ms} (twice the longest lag seen){rows}")
        said += [f"hours until full: {hours:,.1f} {name}" for name, hours in self.hours_until_full.items()]
        return said


def advise(figures: Sequence[Figure], rows: Sequence[Paced], free_bytes: int) -> Advice:
    """Advise by what was measured.

    Args:
        figures: all.
        rows: at the rates of control loops, rising.
        free_bytes: on the disk that was measured.

    """
    by_measure = {one.measure: one for one in figures if one.percentiles}
    commit, lmdb = by_measure.get("commit"), by_measure.get("lmdb")
    rows_s, limit = _rows(rows)
    window_ms = None if lmdb is None else _window_ms(lmdb.percentiles["p99"] / 1000)
    lags_ms = [1e3 * max(one.lags_s) for one in ([one for one in rows if _kept_up(one)] or rows)]
    at_risk_ms = None
    if lags_ms:
        at_risk_ms = ceil(2 * max(lags_ms) / AT_RISK_STEP_MS) * AT_RISK_STEP_MS
        at_risk_ms = min(max(at_risk_ms, AT_RISK_MIN_MS), AT_RISK_MAX_MS)
    return Advice(
        commits_s=None if commit is None else HEADROOM * 1e6 / commit.percentiles["p99"],
        rows_s=rows_s,
        rows_limit=limit,
        window_ms=window_ms,
        at_risk_ms=at_risk_ms,
        at_risk_rows=None if at_risk_ms is None or rows_s is None else ceil(rows_s * at_risk_ms / 1000),
        hours_until_full=_hours(rows, rows_s, free_bytes),
    )


def _kept_up(one: Paced) -> bool:
    return one.sustained >= KEPT_UP * one.offered


def _rows(rows: Sequence[Paced]) -> tuple[float | None, str | None]:
    """The highest rate that was kept up with; beyond it by the cost of its rows, to half a core."""
    kept_up = [one for one in rows if _kept_up(one)]
    if not kept_up:
        return (None, None) if not rows else (HEADROOM * max(one.sustained for one in rows), "half of what was reached")
    best = max(kept_up, key=lambda one: one.offered)
    if best.cpu_percent > CPU_SHARE:
        return best.sustained * CPU_SHARE / best.cpu_percent, f"the recorder's share of a core: {CPU_SHARE:.0f} %"
    if len(kept_up) < len(rows):
        return HEADROOM * max(one.sustained for one in rows), "half of what was reached"
    return float(best.offered), f"the most that was measured; {best.cpu_percent:.0f} % of a core"


def _window_ms(sync_p99_ms: float) -> int:
    wanted = ceil(sync_p99_ms * SYNC_SHARE / WINDOW_STEP_MS) * WINDOW_STEP_MS
    return min(max(wanted, WINDOW_MIN_MS), WINDOW_MAX_MS)


def _hours(rows: Sequence[Paced], rows_s: float | None, free_bytes: int) -> dict[str, float]:
    """At the lowest of the measured rates, and at the one that is advised; what a row takes is that of the highest."""
    if not rows:
        return {}
    lowest, highest = rows[0], rows[-1]
    hours = {}
    for name, one, rate in (
        (f"at {lowest.offered:,} rows/s", lowest, float(lowest.offered)),
        ("at the planned rate", highest, rows_s or 0.0),
    ):
        if one.durable and one.used_bytes > 0 and rate:
            hours[name] = free_bytes / (one.used_bytes / one.durable * rate) / 3600
    return hours
