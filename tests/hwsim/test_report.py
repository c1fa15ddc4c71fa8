"""Percentiles of a report."""

from __future__ import annotations

import pytest

from hwsim.report import DriveReport, nearest_rank


def test_percentiles_are_values_that_were_measured() -> None:
    """Nearest rank over values in any order; none without values; a percentage outside (0, 100] is misuse."""
    values = [5.0, 1.0, 3.0, 2.0, 4.0]
    assert [nearest_rank(values, percent) for percent in (1, 50, 90, 100)] == [1.0, 3.0, 5.0, 5.0]
    assert DriveReport().commit_percentile_ms(50) is None
    with pytest.raises(ValueError, match="percent 0"):
        nearest_rank(values, 0)


def test_reasons_of_refusals_are_counted_and_bounded() -> None:
    """All refusals count; only the first ten reasons are kept."""
    report = DriveReport()
    for number in range(50):
        report.note_refusal(f"reason {number}")
    assert report.refused == 50
    assert report.reasons == [f"reason {number}" for number in range(10)]
