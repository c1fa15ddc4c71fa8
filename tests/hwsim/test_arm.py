"""The arm's physics and controllers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim import arm

HOME = np.array([0.0, 1.2, -1.4, 0.0, -0.6, 0.0])


def energy_j(state: arm.ArmState) -> float:
    """Kinetic plus potential energy; zero at rest with all links level."""
    kinetic = 0.5 * np.sum(arm.INERTIA_KGM2 * state.velocity_rad_s**2)
    return float(kinetic + np.sum(arm.GRAVITY_NM * np.sin(arm.PITCH @ state.position_rad)))


def settled(rate_hz: int, seed: int = 1, seconds: float = 2.0) -> arm.ArmState:
    """The arm after it was told to go 0.5 rad further in every joint."""
    rng = np.random.default_rng(seed)
    state, still = arm.resting(HOME), np.zeros(6)
    for _ in range(int(seconds * rate_hz)):
        torque = arm.controller_nm(arm.measured_rad(state, rng), state.velocity_rad_s, HOME + 0.5, still)
        state = arm.step(state, torque, 1 / rate_hz)
    return state


def test_the_same_seed_gives_the_same_motion() -> None:
    """Two runs with one seed agree bit for bit; another seed differs."""
    first, second, other = settled(200, 7), settled(200, 7), settled(200, 8)
    assert first.position_rad.tobytes() == second.position_rad.tobytes()
    assert first.position_rad.tobytes() != other.position_rad.tobytes()


@pytest.mark.parametrize("rate_hz", [50, 100, 333, 1000])
def test_the_controllers_reach_their_setpoint(rate_hz: int) -> None:
    """From 50 Hz to 1 kHz the arm stands at its setpoint, with gravity held."""
    state = settled(rate_hz)
    assert np.max(np.abs(state.position_rad - HOME - 0.5)) < 2e-3
    assert np.max(np.abs(state.velocity_rad_s)) < 2e-2


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_an_undriven_arm_gains_no_energy(seed: int) -> None:
    """Without torque friction only takes energy, within the integrator's error."""
    rng = np.random.default_rng(seed)
    state = arm.ArmState(rng.uniform(-1.5, 1.5, 6), rng.uniform(-2, 2, 6))
    start = highest = energy_j(state)
    for _ in range(2000):
        state = arm.step(state, np.zeros(6), 0.001)
        highest = max(highest, energy_j(state))
    assert highest <= start + 0.5
    assert energy_j(state) < start


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0, 1e6))
def test_torque_stays_within_its_limits(seed: int, scale: float) -> None:
    """Whatever the error, the controllers ask for no more than the motors give, and the motors give no more."""
    rng = np.random.default_rng(seed)
    wild = scale * rng.normal(size=(4, 6))
    assert np.all(np.abs(arm.controller_nm(*wild)) <= arm.TORQUE_LIMIT_NM)
    driven = arm.step(arm.resting(HOME), wild[0], 0.001)
    at_limit = arm.step(arm.resting(HOME), arm.limited(wild[0]), 0.001)
    assert np.array_equal(driven.velocity_rad_s, at_limit.velocity_rad_s)


def test_gravity_is_the_gradient_of_the_potential() -> None:
    """The torque of gravity agrees with differences of the energy of the resting arm."""
    for joint in range(6):
        ahead = np.eye(6)[joint] * 1e-6
        slope = (energy_j(arm.resting(HOME + ahead)) - energy_j(arm.resting(HOME - ahead))) / 2e-6
        assert arm.gravity_torque_nm(HOME)[joint] == pytest.approx(slope, abs=1e-6)


def test_a_closed_brake_stops_the_arm_and_holds_it() -> None:
    """A moving arm stands within half a second, and then does not sink."""
    state = arm.ArmState(HOME, np.full(6, 2.0))
    for _ in range(500):
        state = arm.step(state, np.zeros(6), 0.001, braked=True)
    assert not np.any(state.velocity_rad_s)
    assert np.array_equal(arm.step(state, np.zeros(6), 1.0, braked=True).position_rad, state.position_rad)


def test_the_tool_lies_where_the_geometry_says() -> None:
    """Stretched out it is at full reach along x; turned up by a right angle it is above the base; orientation is unit."""
    position, orientation = arm.tool_pose(np.zeros(6))
    assert position == pytest.approx([sum(arm.LINK_M), 0, arm.BASE_HEIGHT_M])
    assert orientation == pytest.approx([0, 0, 0, 1])
    position, _ = arm.tool_pose(np.array([0.3, np.pi / 2, 0, 0, 0, 0]))
    assert position == pytest.approx([0, 0, arm.BASE_HEIGHT_M + sum(arm.LINK_M)])
    _, orientation = arm.tool_pose(np.linspace(-1, 1, 6))
    assert np.linalg.norm(orientation) == pytest.approx(1)


def test_the_tool_moves_with_the_base() -> None:
    """Stretched out, one radian a second at the base moves the tool sideways by its reach."""
    state = arm.ArmState(np.zeros(6), np.array([1.0, 0, 0, 0, 0, 0]))
    assert arm.tool_velocity_mps(state) == pytest.approx([0, sum(arm.LINK_M), 0], abs=1e-3)
