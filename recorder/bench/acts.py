"""What the measures record: the claims of a motion, and rows of a six-joint arm."""

from __future__ import annotations

from typing import Any

from recorder.client import Cycle, Recorder

ACTUATOR = "bench"
WHO: dict[str, Any] = {"operator": "bench", "delegation": None, "task": "measure"}
WHAT: dict[str, Any] = {
    "mode": "position",
    "target": "waypoint 7",
    "magnitude": 0.25,
    "unit": "rad",
    "duration_ms": 20,
    "reversibility": "reversible",
    "confirm_by_ms": None,
}
WHERE: dict[str, Any] = {
    "frame": "base",
    "position_m": [0.41, -0.12, 0.73],
    "orientation_xyzw": [0.0, 0.0, 0.3827, 0.9239],
    "velocity_mps": [0.0, 0.1, 0.0],
}
WHY: dict[str, Any] = {"evaluator": "bench/1", "clauses": [], "inputs": [], "alternatives": []}
FIELDS = [("position_rad", "<f4", 6, "rad"), ("torque_nm", "<f4", 6, "N.m")]
ROW = ((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), (1.0, 2.0, 3.0, 4.0, 5.0, 6.0))
ROW_BYTES = 8 + 12 * 4  # with its time
VALID_MS = 60_000
PATIENCE_MS = 30_000  # a card may pause for longer than a controller waits: that is to be measured, and ends nothing


def opened(
    client: Recorder,
    valid_ms: int = VALID_MS,
    actuator: str = ACTUATOR,
    *more: str,
    action_class: str = "motion",
    max_commits: int = 1_000_000,
) -> Cycle:
    """A cycle for one actuator, or for `more`."""
    return client.open_cycle(
        who=WHO, why=WHY, actuators=[actuator, *more], action_classes=[action_class], max_commits=max_commits,
        valid_ms=valid_ms,
    )  # fmt: skip
