"""A six-joint arm: its dynamics, its joint controllers and its geometry. No clock, no I/O.

Rigid-body-like and simple enough to check by its energy: diagonal inertia, viscous friction, gravity from a potential
of the three pitch joints, torque limits. What it leaves out (coupling, Coriolis terms) does not change the traffic
that a recorder sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float64]
"""Shape (6,) unless said otherwise: one number per joint."""

JOINT_COUNT = 6
ARM_ACTUATORS = [*(f"arm.joint{number}" for number in range(1, JOINT_COUNT + 1)), "arm", "arm.gripper", "arm.brake"]
"""Every actuator that the arm acts on: joints, the six-joint setpoint stream, gripper, brake."""

INERTIA_KGM2: Vector = np.array([1.2, 1.5, 0.8, 0.15, 0.12, 0.05])
VISCOUS_NMS: Vector = np.array([0.8, 0.8, 0.5, 0.1, 0.1, 0.05])
TORQUE_LIMIT_NM: Vector = np.array([150.0, 150.0, 100.0, 28.0, 28.0, 15.0])
BRAKE_NM: Vector = np.array([60.0, 60.0, 40.0, 10.0, 10.0, 5.0])
ENCODER_NOISE_RAD = 2e-5
SUBSTEP_MAX_S = 0.002  # physics step; a slow controller holds its torque over several

# Row k sums the joints that pitch link k: shoulder, elbow, wrist. Forearm roll (joint 4) is left out of gravity.
PITCH: NDArray[np.float64] = np.array([[0, 1, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0, 1, 1, 0, 1, 0]], dtype=np.float64)
GRAVITY_NM: NDArray[np.float64] = np.array([30.0, 15.0, 2.0])  # torque of each link held level
LINK_M = (0.42, 0.38, 0.16)
BASE_HEIGHT_M = 0.3

NATURAL_RAD_S = 12.0  # closed loop; at 50 Hz one period is 0.24 rad of it, still well damped


@dataclass(frozen=True)
class ArmState:
    """Joint angles in rad and rates in rad/s, each of shape (6,)."""

    position_rad: Vector
    velocity_rad_s: Vector


def resting(position_rad: Vector) -> ArmState:
    """Return the arm at rest at the given angles."""
    return ArmState(position_rad.astype(np.float64), np.zeros(JOINT_COUNT))


def gravity_torque_nm(position_rad: Vector) -> Vector:
    """Return the torque, shape (6,), that holds the arm against gravity: the gradient of the potential."""
    torque: Vector = PITCH.T @ (GRAVITY_NM * np.cos(PITCH @ position_rad))
    return torque


def limited(torque_nm: Vector) -> Vector:
    """Return the torque that the motors can give."""
    return np.clip(torque_nm, -TORQUE_LIMIT_NM, TORQUE_LIMIT_NM)


def step(state: ArmState, torque_nm: Vector, dt_s: float, *, braked: bool = False) -> ArmState:
    """Advance by `dt_s` under a constant motor torque, shape (6,), limited to what the motors can give.

    Semi-implicit Euler: rates first, angles from the new rates, so that energy does not grow by itself. A closed
    brake takes the arm's weight and rubs with a constant torque until the joint stands.
    """
    count = max(1, ceil(dt_s / SUBSTEP_MAX_S - 1e-9))
    substep_s = dt_s / count
    motor_nm = limited(torque_nm)
    q, v = state.position_rad, state.velocity_rad_s
    for _ in range(count):
        if braked:
            drop = BRAKE_NM / INERTIA_KGM2 * substep_s
            v = np.sign(v) * np.maximum(0.0, np.abs(v) - drop)
        else:
            v = v + substep_s * (motor_nm - VISCOUS_NMS * v - gravity_torque_nm(q)) / INERTIA_KGM2
        q = q + substep_s * v
    return ArmState(q, v)


def measured_rad(state: ArmState, rng: np.random.Generator) -> Vector:
    """Return what the encoders read, shape (6,)."""
    return state.position_rad + rng.normal(0.0, ENCODER_NOISE_RAD, JOINT_COUNT)


def controller_nm(position_rad: Vector, velocity_rad_s: Vector, setpoint_rad: Vector, rate_rad_s: Vector) -> Vector:
    """Return the limited torque, shape (6,), of six PD controllers with gravity compensation, critically damped."""
    stiffness = INERTIA_KGM2 * NATURAL_RAD_S**2
    damping = INERTIA_KGM2 * 2 * NATURAL_RAD_S
    pd = stiffness * (setpoint_rad - position_rad) + damping * (rate_rad_s - velocity_rad_s)
    return limited(pd + VISCOUS_NMS * rate_rad_s + gravity_torque_nm(position_rad))


def tool_pose(position_rad: Vector) -> tuple[Vector, Vector]:
    """Return where the tool is: position in m, shape (3,), and orientation x y z w, shape (4,), in the base frame."""
    yaw, shoulder, elbow, roll, wrist, twist = position_rad
    pitches = (shoulder, shoulder + elbow)
    reach = sum(link * np.cos(pitch) for link, pitch in zip(LINK_M, pitches, strict=False))
    height = sum(link * np.sin(pitch) for link, pitch in zip(LINK_M, pitches, strict=False))
    forearm = _product(_turn(2, yaw), _turn(1, -pitches[1]))
    hand = _product(_product(forearm, _turn(0, roll)), _turn(1, -wrist))
    x, y, z, w = hand
    forward = np.array([1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)])  # the hand's x axis
    wrist_m = np.array([reach * np.cos(yaw), reach * np.sin(yaw), BASE_HEIGHT_M + height])
    return wrist_m + LINK_M[2] * forward, _product(hand, _turn(0, twist))


def tool_velocity_mps(state: ArmState) -> Vector:
    """Return the tool's velocity in m/s, shape (3,), by a difference over a millisecond."""
    ahead_s = 1e-3
    here, _ = tool_pose(state.position_rad)
    there, _ = tool_pose(state.position_rad + ahead_s * state.velocity_rad_s)
    return (there - here) / ahead_s


def _turn(axis: int, angle_rad: float) -> Vector:
    """Return the quaternion x y z w, shape (4,), of a turn about a coordinate axis."""
    turn = np.zeros(4)
    turn[axis] = np.sin(angle_rad / 2)
    turn[3] = np.cos(angle_rad / 2)
    return turn


def _product(a: Vector, b: Vector) -> Vector:
    """Return the quaternion, shape (4,), that turns by `b` in the frame turned by `a`."""
    w = a[3] * b[3] - a[:3] @ b[:3]
    return np.append(a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3]), w)
