"""Figures, their floors and the advice that follows: arithmetic, known answers."""

from __future__ import annotations

import pytest

from recorder.bench.advice import advise
from recorder.bench.figure import Figure, median_spread, percentile, rates, times
from recorder.bench.paced import Paced

GIB = 2**30


def paced(rate_hz: int, *, sustained: float = 1.0, cpu: float = 0.05, lag_s: float = 0.1) -> Paced:
    """Ten seconds of eight actuators that take 100 bytes a row in the store."""
    durable = int(rate_hz * 8 * 10 * sustained)
    return Paced(rate_hz, 8, 10.0, durable, [0.05, lag_s], cpu * 10, 2**20, 1, durable * 100)


def test_percentiles_are_by_nearest_rank() -> None:
    """Of a hundred values p99 is the last but one; of few the largest."""
    assert percentile(range(1, 101), 99) == 99
    assert percentile([3.0, 1.0, 2.0], 99) == 3.0
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0


def test_ratios_are_taken_within_rounds() -> None:
    """A round in which all was slow changes no ratio."""
    figure = times("commit", "c", [[2e-4] * 9, [40e-4] * 9, [9e-4] * 9], "f", [[1e-4] * 9, [10e-4] * 9, [9e-4] * 9])
    assert figure.ratio == pytest.approx(2), "of 2, 4 and 1; of the medians it would be 1"
    assert figure.ratio_p99 == pytest.approx(2)
    assert figure.value == figure.floor == pytest.approx(900)
    assert figure.percentiles["max"] == pytest.approx(4000)
    assert rates("pipelined", "p", "1/s", [10, 100, 10], "f", [20, 200, 20]).ratio == pytest.approx(0.5)


def test_json_holds_what_the_table_shows() -> None:
    """The same names, numbers in four digits."""
    said = times("commit", "c", [[1 / 3]]).to_json()
    assert said["value"] == 333333.3
    assert said["percentiles"]["p99"] == 333333.3
    assert (said["floor"], said["ratio"], said["rounds"]) == (None, None, [333333.3])
    assert Figure("a", "b", "s", 0.123456).to_json()["value"] == 0.1235


def test_advice_of_a_machine_that_keeps_up() -> None:
    """Half of 1/p99; the highest rate; ten syncs a window; twice the lag; what the disk holds at the rates."""
    figures = [median_spread("commit", "c", "µs", [500.0, 2000.0]), median_spread("lmdb", "l", "µs", [300.0, 7100.0])]
    advice = advise(figures, [paced(1000), paced(2000), paced(4000, lag_s=0.16)], 100 * GIB)
    assert advice.commits_s == 250
    assert advice.rows_s == 32_000
    assert advice.window_ms == 80
    assert advice.at_risk_ms == 400
    assert advice.at_risk_rows == 12_800
    assert list(advice.hours_until_full.values()) == [
        pytest.approx(100 * GIB / (8_000 * 100) / 3600),
        pytest.approx(100 * GIB / (32_000 * 100) / 3600),
    ]
    assert len(advice.lines()) == 6


def test_advice_of_a_machine_that_does_not() -> None:
    """Half of what was reached, and never less than the smallest window nor more than the largest."""
    late = [paced(1000), paced(2000, sustained=0.6, lag_s=9.0)]
    advice = advise([median_spread("lmdb", "l", "µs", [500_000.0])], late, GIB)
    assert advice.rows_s == pytest.approx(4800)
    assert advice.window_ms == 1000
    assert advice.at_risk_ms == 200, "of the rates that were kept up with"
    assert advise([], [paced(1000, sustained=0.5, lag_s=90.0)], GIB).at_risk_ms == 60_000
    assert advise([median_spread("lmdb", "l", "µs", [100.0])], [], GIB).window_ms == 50


def test_advice_leaves_half_a_core() -> None:
    """A rate that takes the whole core is advised by its share."""
    assert advise([], [paced(1000), paced(2000, cpu=1.0)], GIB).rows_s == pytest.approx(8000)


def test_advice_on_nothing() -> None:
    """What was not measured is not advised on."""
    advice = advise([], [], GIB)
    assert advice.lines() == []
    assert advice.to_json()["rows_s"] is None
