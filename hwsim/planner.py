"""The planner: from a waypoint and the inputs to a move, with the reasons that its cycle records. Pure.

Speed and separation: below `SLOW_M` the arm moves at half its speed, below `REJECT_M` it does not start, below
`STOP_M` a moving arm stops at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from hwsim import claims
from hwsim.arm import Vector

if TYPE_CHECKING:
    from hwsim.ports import Claims
    from hwsim.surroundings import Inputs

SLOW_M = 1.2
REJECT_M = 0.5
STOP_M = 0.3

SPEED_RAD_S = 2.4
SLOW_FACTOR = 0.5
SHORTEST_S = 0.4
LONGEST_S = 3.3  # bounds a cycle and so its rows: at 1 kHz it stays under 5,000
HOLD_S = 0.5  # how long a rejected move waits before it is planned again
MOVES_RAD = 0.01  # a joint that moves less needs no commit of its own

EVALUATOR = "hwsim.planner/1"

Decision = Literal["move", "slow", "hold"]
Grip = Literal["close", "open"]


@dataclass(frozen=True)
class Waypoint:
    """Where a move ends: name, joint angles in rad (6,), and what the gripper does there."""

    name: str
    position_rad: Vector
    grip: Grip | None = None


PICK_AND_PLACE = (
    Waypoint("home", np.array([0.0, 1.2, -1.4, 0.0, -0.6, 0.0])),
    Waypoint("above_pick", np.array([0.7, 0.9, -1.5, 0.1, -0.8, 0.3])),
    Waypoint("pick", np.array([0.7, 0.6, -1.6, 0.1, -0.7, 0.3]), "close"),
    Waypoint("lift", np.array([0.7, 1.0, -1.5, 0.1, -0.8, 0.3])),
    Waypoint("above_place", np.array([-0.8, 1.0, -1.5, -0.1, -0.8, -0.4])),
    Waypoint("place", np.array([-0.8, 0.6, -1.6, -0.1, -0.7, -0.4]), "open"),
)


@dataclass(frozen=True)
class Plan:
    """What to do next and why.

    Attributes:
        start_rad, target_rad: joint angles, shape (6,); the same for a hold.
        duration_s: how long the move takes.
        why: claims of the cycle, complete.

    """

    decision: Decision
    waypoint: Waypoint
    start_rad: Vector
    target_rad: Vector
    duration_s: float
    why: Claims

    def moving_joints(self) -> list[int]:
        """Return the indices of the joints that move."""
        ways_rad = np.abs(self.target_rad - self.start_rad).tolist()
        return [joint for joint, way_rad in enumerate(ways_rad) if way_rad > MOVES_RAD]

    def setpoint(self, elapsed_s: float) -> tuple[Vector, Vector]:
        """Return angles in rad and rates in rad/s, each of shape (6,): minimum jerk, at rest at both ends."""
        part = min(max(elapsed_s / self.duration_s, 0.0), 1.0)
        path = part**3 * (10 - 15 * part + 6 * part**2)
        slope = 30 * part**2 * (1 - part) ** 2 / self.duration_s
        way = self.target_rad - self.start_rad
        return self.start_rad + path * way, slope * way


def plan(waypoint: Waypoint, start_rad: Vector, inputs: Inputs) -> Plan:
    """Decide about a move from `start_rad`, shape (6,), to a waypoint."""
    full_s = _duration_s(waypoint.position_rad - start_rad, inputs.stick)
    slow_s = min(full_s / SLOW_FACTOR, LONGEST_S)
    go: Claims = {"action": f"move to {waypoint.name} in {full_s:.2f} s"}
    slowly: Claims = {"action": f"move to {waypoint.name} in {slow_s:.2f} s"}
    hold: Claims = {"action": "hold"}
    near = inputs.lidar_nearest_m < REJECT_M
    if near or not inputs.enabled:
        reason = "separation_below_reject" if near else "enabling_switch_released"
        why = claims.why(
            EVALUATOR,
            clauses=["separation.reject"] if near else ["operator.enable"],
            inputs=inputs.claims(),
            alternatives=[{**go, "reason": reason}, {**slowly, "reason": reason}],
            deviation={"action": go["action"], "clause": "task.next_waypoint"},
            counterfactual=f"would move with separation of at least {REJECT_M} m and the enabling switch held",
        )
        return Plan("hold", waypoint, start_rad, start_rad, HOLD_S, why)
    if inputs.lidar_nearest_m < SLOW_M:
        why = claims.why(
            EVALUATOR,
            clauses=["separation.slow", "operator.enable", "reach.limits"],
            inputs=inputs.claims(),
            alternatives=[{**go, "reason": "separation_below_slow"}, {**hold, "reason": "separation_above_reject"}],
            counterfactual=f"would move at full speed with separation of at least {SLOW_M} m",
        )
        return Plan("slow", waypoint, start_rad, waypoint.position_rad, slow_s, why)
    why = claims.why(
        EVALUATOR,
        clauses=["separation.full", "operator.enable", "reach.limits"],
        inputs=inputs.claims(),
        alternatives=[{**slowly, "reason": "separation_sufficient"}, {**hold, "reason": "separation_sufficient"}],
    )
    return Plan("move", waypoint, start_rad, waypoint.position_rad, full_s, why)


def must_stop(inputs: Inputs) -> bool:
    """Say whether a moving arm must stop at once."""
    return inputs.lidar_nearest_m < STOP_M


def _duration_s(way_rad: Vector, stick: float) -> float:
    """Return how long a way, shape (6,), takes; minimum jerk peaks at 15/8 of its mean rate."""
    fastest_s = 15 / 8 * float(np.max(np.abs(way_rad))) / SPEED_RAD_S
    return min(max(fastest_s / max(stick, 0.1), SHORTEST_S), LONGEST_S)
