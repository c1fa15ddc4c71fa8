"""What a run did: counts and latencies, for the demo's screen and for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil

REASONS_KEPT = 10


@dataclass
class DriveReport:
    """Counts that every simulation keeps.

    Each field has one writing thread: cycles, commits and latencies belong to the one that waits for the recorder, the
    rest to the control loop.

    Attributes:
        rows: rows given to `record()`.
        dropped_rows: of these, rows that found no room in the client, which declares them.
        unrecorded_rows: rows that no cycle covered; each is part of a declared gap.
        unavailable: calls that found no recorder.
        expired: cycles that were durable too late to be used.
        lagging: half seconds after which more was at risk than the recorder had promised.
        outcomes: how many commits got which outcome.
        reasons: the first reasons of refusals.
        commit_latency_ms: from `commit()` or `submit()` to durable, in order.
        open_latency_ms: the same of `open_cycle()`.
        overruns: ticks or rows that came more than their tolerance late.
        latest_ms: the greatest lateness against the absolute schedule.

    """

    cycles: int = 0
    commits: int = 0
    rows: int = 0
    events: int = 0
    gaps: int = 0
    refused: int = 0
    unavailable: int = 0
    expired: int = 0
    lagging: int = 0
    dropped_rows: int = 0
    unrecorded_rows: int = 0
    overruns: int = 0
    latest_ms: float = 0.0
    wall_s: float = 0.0
    outcomes: dict[str, int] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    commit_latency_ms: list[float] = field(default_factory=list)
    open_latency_ms: list[float] = field(default_factory=list)

    def commit_percentile_ms(self, percent: float) -> float | None:
        """Return the nearest-rank percentile (0 < percent <= 100) of the commit latencies, None without commits."""
        return nearest_rank(self.commit_latency_ms, percent)

    def note_refusal(self, reason: str) -> None:
        """Count a refusal and keep its reason, unless there are enough of them."""
        self.refused += 1
        if len(self.reasons) < REASONS_KEPT:
            self.reasons.append(reason)


@dataclass
class ArmReport(DriveReport):
    """A run of the arm.

    Attributes:
        moves: moves started.
        slowed: of these, at reduced speed because of the obstacle.
        rejected: moves that the planner put off.
        stops: emergency stops.

    """

    moves: int = 0
    slowed: int = 0
    rejected: int = 0
    stops: int = 0
    simulated_s: float = 0.0


@dataclass
class ReplayReport(DriveReport):
    """A replayed flight.

    Attributes:
        flight: name of the flight.
        flight_s: seconds of the log that were replayed.
        speed: how many times faster than flown.
        rows_by_actuator: rows per actuator.

    """

    flight: str = ""
    flight_s: float = 0.0
    speed: float = 1.0
    rows_by_actuator: dict[str, int] = field(default_factory=dict)


def nearest_rank(values: list[float], percent: float) -> float | None:
    """Return the nearest-rank percentile of values in any order."""
    if not 0 < percent <= 100:
        message = f"percent {percent} is not in (0, 100]"
        raise ValueError(message)
    if not values:
        return None
    return sorted(values)[ceil(percent / 100 * len(values)) - 1]
