"""A commit under a decision: within the contemplated act and the delegation's scope, or beyond, and in what."""

from __future__ import annotations

from typing import Any

import pytest

from recorder.core.bounds import beyond
from recorder.core.scope import Scope
from tests.credential_builder import ARM, BEGIN_S, NS, rescoped

ACT: dict[str, Any] = {
    "mode": "move", "target": "pallet 12", "magnitude": 1.2, "unit": "m/s", "duration_ms": 500,
    "reversibility": "recoverable", "confirm_by_ms": None,
}  # fmt: skip
WHERE: dict[str, Any] = {"frame": "cell", "position_m": [0.1, 0.2, 0.3]}
UTC_NS = (BEGIN_S + 1) * NS


def reasons(
    what: dict[str, Any] | None = None,
    contemplated: dict[str, Any] | None = None,
    where: dict[str, Any] | None = None,
    scope: Scope = ARM,
    action_class: str = "motion",
    actuator: str = "elbow",
    utc_ns: int | None = UTC_NS,
    deviate_to: str | None = None,
) -> list[str]:
    act = {**ACT, **(contemplated or {})}
    return beyond(
        act,
        {**act, **(what or {})},
        WHERE if where is None else where,
        scope,
        action_class,
        actuator,
        utc_ns,
        deviate_to,
    )


@pytest.mark.parametrize(
    ("what", "contemplated"),
    [
        ({}, {}),
        ({"magnitude": 0}, {}),
        ({"magnitude": 1}, {}),
        ({"reversibility": "reversible"}, {}),
        ({"duration_ms": 900, "note": "x"}, {}),
        ({"target": "pallet 13"}, {"target": None}),
        ({}, {"magnitude": None, "unit": None}),
        ({"magnitude": 0.0}, {"magnitude": None, "unit": None}),
        ({}, {"reversibility": None}),
        ({}, {"mode": None}),
    ],
)
def test_within(what: dict[str, Any], contemplated: dict[str, Any]) -> None:
    """The act itself, less of it, a better reversibility, and what nobody fixed."""
    assert reasons(what, contemplated) == []


@pytest.mark.parametrize(
    ("what", "contemplated", "reason"),
    [
        ({"mode": "grip"}, {}, "mode 'grip', decided was 'move'"),
        ({"mode": None}, {}, "mode None, decided was 'move'"),
        ({"mode": "grip"}, {"mode": None}, "mode 'grip', decided was None"),
        ({"target": "pallet 13"}, {}, "target 'pallet 13', decided was 'pallet 12'"),
        ({"target": None}, {}, "target None, decided was 'pallet 12'"),
        ({"unit": "N"}, {}, "unit 'N', decided was 'm/s'"),
        ({"magnitude": 1.2000001}, {}, "magnitude 1.2000001, decided was up to 1.2"),
        ({"magnitude": -0.1}, {}, "magnitude -0.1, decided was up to 1.2"),
        ({"magnitude": "1"}, {}, "magnitude '1', decided was up to 1.2"),
        ({"magnitude": True}, {}, "magnitude True, decided was up to 1.2"),
        ({"magnitude": float("nan")}, {}, "magnitude nan, decided was up to 1.2"),
        ({}, {"magnitude": "fast"}, "magnitude 'fast', decided was up to 'fast'"),
        ({"reversibility": "irreversible"}, {}, "reversibility 'irreversible', decided was 'recoverable'"),
        ({"reversibility": None}, {}, "reversibility None, decided was 'recoverable'"),
        ({"reversibility": "maybe"}, {}, "reversibility 'maybe', decided was 'recoverable'"),
        ({"reversibility": "reversible"}, {"reversibility": None}, "reversibility 'reversible', decided was None"),
    ],
)  # fmt: skip
def test_beyond_the_act(what: dict[str, Any], contemplated: dict[str, Any], reason: str) -> None:
    """Another mode, target, unit, more of it, the other way, or what can less be undone."""
    free = rescoped(ARM, limits="any")
    assert reasons(what, contemplated, scope=free) == [f"beyond_contemplated: {reason}"]


def test_a_magnitude_below_nothing() -> None:
    """An act the other way is bounded by nothing and by itself as well."""
    free = rescoped(ARM, limits="any")
    for magnitude, allowed in ((-2.0, True), (-2.1, False), (0, True), (0.1, False)):
        assert (not reasons({"magnitude": magnitude}, {"magnitude": -2.0}, scope=free)) == allowed


def test_a_deviation_is_done_as_decided() -> None:
    """The commit says that it does what was decided instead; all else holds as before."""
    assert reasons({"committed": "slow"}, deviate_to="slow") == []
    assert reasons({}, deviate_to="slow") == ["beyond_contemplated: what.committed is not stated, decided was 'slow'"]
    assert reasons({"committed": "slow", "magnitude": 1.3}, deviate_to="slow")[0].startswith(
        "beyond_contemplated: magnitude"
    )


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"action_class": "dig"}, "action_classes: dig is not granted"),
        ({"actuator": "wrist"}, "actuators: wrist is not granted"),
        ({"where": {"frame": "cell", "position_m": [1.5, 0.0, 0.0]}}, "areas: [1.5, 0.0, 0.0] in 'cell' lies in no granted area"),
        ({"where": {}}, "areas: no position_m is stated"),
        ({"where": {"frame": "cell", "position_m": [float("nan")] * 3}}, "areas: [nan, nan, nan] in 'cell' lies in no granted area"),
        ({"utc_ns": UTC_NS + 14 * 3600 * NS}, "times: Thursday 22:53:21 UTC lies in no granted time"),
        ({"utc_ns": None}, "times: the time is not known"),
        ({"contemplated": {"magnitude": 2.0}}, "limits: 2.0 m/s is over 1.5 m/s"),
    ],
)  # fmt: skip
def test_beyond_the_scope(changed: dict[str, Any], reason: str) -> None:
    """What was decided about and lies outside the delegation's scope at the commit is not covered by the decision."""
    assert reasons(**changed) == [f"delegation_uncovered: {reason}"]
