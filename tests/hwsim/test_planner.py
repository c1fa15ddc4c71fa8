"""The planner's decisions and the reasons it gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwsim.planner import LONGEST_S, PICK_AND_PLACE, REJECT_M, SLOW_M, STOP_M, must_stop, plan
from hwsim.surroundings import CLEAR_M, Inputs, Surroundings
from tests.hwsim.port import check_claims

HOME, TARGET = PICK_AND_PLACE[0].position_rad, PICK_AND_PLACE[1]


def test_a_near_obstacle_rejects_the_move() -> None:
    """Below the reject distance the arm holds, and the why names the move not made, with a reason code."""
    held = plan(TARGET, HOME, Inputs(REJECT_M - 0.01, 1.0, enabled=True))
    assert held.decision == "hold"
    assert not held.moving_joints()
    assert held.why["clauses"] == ["separation.reject"]
    assert {other["reason"] for other in held.why["alternatives"]} == {"separation_below_reject"}


def test_a_released_enabling_switch_rejects_the_move() -> None:
    """Without the operator's switch the arm holds, however clear it is."""
    held = plan(TARGET, HOME, Inputs(CLEAR_M, 1.0, enabled=False))
    assert held.decision == "hold"
    assert held.why["clauses"] == ["operator.enable"]


def test_a_middling_obstacle_slows_the_move() -> None:
    """Between the distances the arm moves at half its speed to the same place."""
    fast = plan(TARGET, HOME, Inputs(SLOW_M, 1.0, enabled=True))
    slow = plan(TARGET, HOME, Inputs(SLOW_M - 0.01, 1.0, enabled=True))
    assert (fast.decision, slow.decision) == ("move", "slow")
    assert slow.duration_s == pytest.approx(2 * fast.duration_s)
    assert np.array_equal(slow.target_rad, fast.target_rad)


def test_a_moving_arm_stops_below_the_stop_distance() -> None:
    """The stop distance is the boundary of the emergency stop."""
    assert must_stop(Inputs(STOP_M - 0.001, 1.0, enabled=True))
    assert not must_stop(Inputs(STOP_M, 1.0, enabled=True))


@given(st.floats(0, CLEAR_M), st.floats(0, 1), st.booleans(), st.sampled_from(PICK_AND_PLACE), st.floats(-1, 1))
def test_every_plan_is_bounded_and_says_why(
    lidar_m: float, stick: float, enabled: bool, waypoint: object, shift: float
) -> None:
    """Any inputs give a plan with complete claims, within the longest duration, that starts and ends at rest."""
    made = plan(waypoint, HOME + shift, Inputs(lidar_m, stick, enabled))  # type: ignore[arg-type]
    check_claims("why", made.why)
    assert 0 < made.duration_s <= LONGEST_S
    assert made.why["alternatives"]
    for elapsed_s, place in ((0.0, made.start_rad), (made.duration_s, made.target_rad), (99.0, made.target_rad)):
        setpoint, rate = made.setpoint(elapsed_s)
        assert setpoint == pytest.approx(place)
        assert rate == pytest.approx(np.zeros(6))


def test_setpoint_rates_are_the_slope_of_the_angles() -> None:
    """The rate that the controllers follow belongs to the angles that they follow."""
    made = plan(TARGET, HOME, Inputs(CLEAR_M, 1.0, enabled=True))
    ahead, _ = made.setpoint(0.31)
    behind, _ = made.setpoint(0.29)
    _, rate = made.setpoint(0.30)
    assert rate == pytest.approx((ahead - behind) / 0.02, abs=0.02)


def test_surroundings_are_the_same_at_any_rate() -> None:
    """The same seed shows the same obstacle and stick at a time, whether asked every millisecond or once."""
    often, seldom = Surroundings(np.random.default_rng(3)), Surroundings(np.random.default_rng(3))
    for millisecond in range(0, 20_000, 7):
        often.at(millisecond / 1000)
    assert often.at(20.0) == seldom.at(20.0)
    assert often.at(5.0) == seldom.at(5.0)


def test_visitors_come_and_go() -> None:
    """In two minutes there are clear times, slow ones and near ones, and no distance outside its range."""
    day = Surroundings(np.random.default_rng(1))
    seen = [day.at(tenth / 10).lidar_nearest_m for tenth in range(1200)]
    assert max(seen) == CLEAR_M
    assert 0 < min(seen) < STOP_M
    assert any(REJECT_M < distance < SLOW_M for distance in seen)
