"""A measured figure: what the table of `bench` shows and its JSON holds."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from statistics import median
from typing import Any, NamedTuple

PERCENTILES = (("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9), ("max", 100.0))


class Figure(NamedTuple):
    """One figure.

    Attributes:
        measure: the measure that it belongs to, as `--only` names it.
        name: what was measured.
        unit: of value, percentiles and floor.
        value: the median over the rounds; of times, that of their medians.
        percentiles: over all rounds, for times: p50, p99, p99.9 and max.
        floor: what the machine does at best, in the same unit; None where there is no such thing.
        floor_name: what that is.
        ratio: the median of the rounds' ratios of value to floor.
        ratio_p99: the same of the 99th percentiles.
        rounds: the value in each round.

    """

    measure: str
    name: str
    unit: str
    value: float
    percentiles: dict[str, float] = {}  # noqa: RUF012 -- never changed
    floor: float | None = None
    floor_name: str | None = None
    ratio: float | None = None
    ratio_p99: float | None = None
    rounds: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As it is, numbers rounded to four digits and more."""
        return {
            **self._asdict(),
            "value": _short(self.value),
            "percentiles": {name: _short(value) for name, value in self.percentiles.items()},
            **{name: _short(getattr(self, name)) for name in ("floor", "ratio", "ratio_p99")},
            "rounds": [_short(value) for value in self.rounds],
        }


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank."""
    return sorted(values)[ceil(percent / 100 * len(values)) - 1]


def spread(values: Sequence[float]) -> dict[str, float]:
    """The percentiles that are shown."""
    return {name: percentile(values, percent) for name, percent in PERCENTILES}


def median_spread(measure: str, name: str, unit: str, values: Sequence[float]) -> Figure:
    """Values of one round."""
    return Figure(measure, name, unit, median(values), spread(values))


def times(
    measure: str,
    name: str,
    rounds_s: Sequence[Sequence[float]],
    floor_name: str | None = None,
    floor_s: Sequence[Sequence[float]] | None = None,
) -> Figure:
    """Durations in seconds, a sequence a round, as µs; with those of the floor in the same rounds."""
    medians = tuple(median(one) * 1e6 for one in rounds_s)
    every = [value * 1e6 for one in rounds_s for value in one]
    figure = Figure(measure, name, "µs", median(medians), spread(every), rounds=medians)
    if floor_s is None:
        return figure
    pairs = list(zip(rounds_s, floor_s, strict=True))
    return figure._replace(
        floor=median(median(one) * 1e6 for one in floor_s),
        floor_name=floor_name,
        ratio=median(median(one) / median(floor) for one, floor in pairs),
        ratio_p99=median(percentile(one, 99) / percentile(floor, 99) for one, floor in pairs),
    )


def rates(
    measure: str,
    name: str,
    unit: str,
    rounds: Sequence[float],
    floor_name: str | None = None,
    floor: Sequence[float] | None = None,
) -> Figure:
    """One number a round; with those of the floor in the same rounds."""
    figure = Figure(measure, name, unit, median(rounds), rounds=tuple(rounds))
    if floor is None:
        return figure
    ratios = [one / other for one, other in zip(rounds, floor, strict=True)]
    return figure._replace(floor=median(floor), floor_name=floor_name, ratio=median(ratios))


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 1) if abs(value) >= 1000 else float(f"{value:.4g}")
