"""What the arm's sensors see: a person who comes near now and then, and the operator's stick. Functions of time."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hwsim.ports import Claims

CLEAR_M = 3.0
STICK_FULL = 1.0


@dataclass(frozen=True)
class Inputs:
    """Sensor values at one instant.

    Attributes:
        lidar_nearest_m: distance of the nearest obstacle.
        stick: operator's speed demand, 0 to 1.
        enabled: the operator holds the enabling switch.

    """

    lidar_nearest_m: float
    stick: float
    enabled: bool

    def claims(self) -> list[Claims]:
        """Return the `inputs` of a why record."""
        return [
            {"name": "lidar.nearest", "value": round(self.lidar_nearest_m, 3), "unit": "m"},
            {"name": "stick.speed", "value": round(self.stick, 3), "unit": "1"},
            {"name": "stick.enabled", "value": self.enabled},
        ]


@dataclass(frozen=True)
class Visit:
    """A person walks up to the arm and away again."""

    from_s: float
    duration_s: float
    nearest_m: float

    @property
    def until_s(self) -> float:
        """When the person has left."""
        return self.from_s + self.duration_s


class Surroundings:
    """Visits and stick, drawn once from `rng` in order of time: the same seed sees the same day at any rate."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._visits = [Visit(0.0, 0.0, CLEAR_M)]
        self._phase_rad = rng.uniform(0, 2 * np.pi, 2)

    def at(self, time_s: float) -> Inputs:
        """Return the inputs at a time of at least 0; times may come in any order."""
        while self._visits[-1].until_s < time_s:
            self._visits.append(self._next_visit(self._visits[-1].until_s))
        latest = bisect_right(self._visits, time_s, key=lambda visit: visit.from_s) - 1  # visits do not overlap
        sway = 0.5 + 0.5 * np.sin(0.7 * time_s + self._phase_rad[0])
        # The operator lets go of the enabling switch for about 0.7 s in every 20 s.
        enabled = bool(np.sin(2 * np.pi * time_s / 20.0 + self._phase_rad[1]) < 0.994)
        nearest_m = _distance_m(self._visits[latest], time_s)
        return Inputs(nearest_m, float(STICK_FULL - 0.3 * sway), enabled)

    def _next_visit(self, after_s: float) -> Visit:
        pause_s, duration_s, nearest_m = self._rng.uniform([1.5, 2.0, 0.1], [4.0, 4.0, 0.9])
        return Visit(after_s + float(pause_s), float(duration_s), float(nearest_m))


def _distance_m(visit: Visit, time_s: float) -> float:
    """Return the visitor's distance: clear before and after, nearest in the middle, without a jump."""
    if not visit.from_s < time_s < visit.until_s:
        return CLEAR_M
    closeness = np.sin(np.pi * (time_s - visit.from_s) / visit.duration_s) ** 2
    return float(CLEAR_M - (CLEAR_M - visit.nearest_m) * closeness)
