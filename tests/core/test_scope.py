"""Scopes: what they grant and what not, which lies within which, and one spelling."""

from __future__ import annotations

import math
import timeit
from typing import Any

import pytest
from hypothesis import event, given

from recorder.core import scope
from recorder.core.errors import FormatError
from recorder.core.scope import Act, Area, Counts, Scope, Times, covers, within
from tests.core.credential_shapes import acts, scopes, spans
from tests.core.shapes import naive_cbor, values
from tests.credential_builder import ARM, BEGIN_S, EVERYTHING, NS, rescoped

ACT = Act("motion", ["elbow"], 42.0, "N", "cell", [0.1, 0.2, 0.3], BEGIN_S * NS)
NOTHING = Scope()
HOUR_NS = 3600 * NS
SUNDAY_NS = 3 * 24 * HOUR_NS  # 1970-01-04
CLASSES = {"action_classes": ["a", "b", "aa"]}


def refused(value: Any) -> str:
    with pytest.raises(FormatError) as caught:
        scope.read(value, "some_error")
    assert caught.value.error == "some_error"
    return caught.value.detail


@given(scopes)
def test_one_spelling(given_scope: Scope) -> None:
    """A scope is read back as what it was, from the spelling that it has."""
    value = scope.to_value(given_scope)
    assert scope.read(value, "x") == given_scope
    assert naive_cbor(scope.to_value(scope.read(value, "x"))) == naive_cbor(value)


def test_an_empty_scope_grants_nothing() -> None:
    """What lists nothing grants nothing, part by part; what is "any" throughout grants all."""
    assert [reason.split(":")[0] for reason in covers(NOTHING, ACT)] == [
        "action_classes", "actuators", "limits", "areas", "times",
    ]  # fmt: skip
    assert covers(EVERYTHING, ACT) == []
    assert covers(EVERYTHING, Act("x", [], None, None, None, None, None)) == []
    assert covers(ARM, ACT) == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"action_class": "weld"}, "action_classes: weld is not granted"),
        ({"actuators": ["elbow", "wrist"]}, "actuators: wrist is not granted"),
        ({"magnitude": 61.0}, "limits: 61.0 N is over 60.0 N"),
        ({"magnitude": math.nextafter(60.0, 61.0)}, "limits: 60.00000000000001 N is over 60.0 N"),
        ({"magnitude": -1}, "limits: -1 N is not 0.0 N or more"),
        ({"magnitude": math.nan}, "limits: nan N is not 0.0 N or more"),
        ({"magnitude": math.inf}, "limits: inf N is over 60.0 N"),
        ({"magnitude": None}, "limits: None is no magnitude"),
        ({"magnitude": True}, "limits: True is no magnitude"),
        ({"magnitude": "42"}, "limits: '42' is no magnitude"),
        ({"unit": "rad"}, "limits: no limit is given in 'rad'"),
        ({"unit": ["N"]}, "limits: no limit is given in ['N']"),
        ({"unit": None}, "limits: 42.0 none is over 0 none"),
        ({"frame": "dock"}, "areas: [0.1, 0.2, 0.3] in 'dock' lies in no granted area"),
        ({"frame": ["cell"]}, "areas: [0.1, 0.2, 0.3] in ['cell'] lies in no granted area"),
        ({"position_m": [0.1, 0.2, 2.1]}, "areas: [0.1, 0.2, 2.1] in 'cell' lies in no granted area"),
        ({"position_m": [0.1, math.nan, 0]}, "areas: [0.1, nan, 0] in 'cell' lies in no granted area"),
        ({"position_m": None}, "areas: no position_m is stated"),
        ({"position_m": [0.1, 0.2]}, "areas: [0.1, 0.2] is no position"),
        ({"position_m": [0.1, 0.2, "0"]}, "areas: [0.1, 0.2, '0'] is no position"),
        ({"position_m": {0: 1}}, "areas: {0: 1} is no position"),
        ({"utc_ns": None}, "times: the time is not known"),
        ({"utc_ns": SUNDAY_NS}, "times: Sunday 00:00:00 UTC lies in no granted time"),
    ],
)
def test_what_is_not_granted(changed: dict[str, Any], reason: str) -> None:
    """Each part of an act, on its own, is refused with a reason that says what is granted."""
    assert covers(ARM, ACT._replace(**changed)) == [reason]


def test_what_states_no_magnitude_needs_a_limit_too() -> None:
    """Without unit and magnitude an act is 0 of `none`: leaving the magnitude out is no way around a limit."""
    silent = ACT._replace(magnitude=None, unit=None)
    assert covers(ARM, silent) == []
    assert covers(rescoped(ARM, limits={"N": (0, 60)}), silent) == ["limits: no limit is given in 'none'"]


@pytest.mark.parametrize(
    ("at_ns", "granted"),
    [
        (6 * HOUR_NS - 1, False), (6 * HOUR_NS, True), (22 * HOUR_NS - 1, True), (22 * HOUR_NS, False),
        (SUNDAY_NS + 8 * HOUR_NS - 1, False), (SUNDAY_NS + 8 * HOUR_NS, True), (SUNDAY_NS + 14 * HOUR_NS - 1, True),
        (SUNDAY_NS + 14 * HOUR_NS, False), (SUNDAY_NS - 12 * HOUR_NS, False), (SUNDAY_NS + 36 * HOUR_NS, True),
    ],
)  # fmt: skip
def test_times_to_the_nanosecond(at_ns: int, granted: bool) -> None:
    """Weekdays of ARM are 6 to 22 h, Sunday 8 to 14 h, Saturday not at all; 1970-01-01 was a Thursday."""
    assert (covers(ARM, ACT._replace(utc_ns=at_ns)) == []) == granted


@given(values, values, values, values)
def test_any_claim_is_judged(magnitude: Any, unit: Any, frame: Any, position: Any) -> None:
    """Whatever a controller claims, of whatever type, is granted or not, and raises nothing."""
    assert all(
        isinstance(reason, str)
        for reason in covers(ARM, ACT._replace(magnitude=magnitude, unit=unit, frame=frame, position_m=position))
    )


@given(scopes, scopes, acts)
def test_what_a_child_grants_its_parent_grants(child: Scope, parent: Scope, act: Act) -> None:
    """If a scope lies within another one, nothing is granted by it alone."""
    # Few that are drawn apart lie within each other: take from the parent what does not.
    parts = {reason.split(":")[0] for reason in within(child, parent)}
    child = rescoped(child, **{part: getattr(parent, part) for part in parts})
    assert within(child, parent) == []
    event(f"parts of the parent: {len(parts)}")
    if covers(child, act) == []:
        event("granted")
        assert covers(parent, act) == []


@given(scopes, scopes, scopes)
def test_within_is_an_order(one: Scope, two: Scope, three: Scope) -> None:
    """Each scope lies within itself, nothing within each, each within everything; and what lies within two steps lies within both."""
    assert within(one, one) == []
    assert within(NOTHING, one) == []
    everything = rescoped(EVERYTHING, roles=one.roles)
    assert within(one, everything) == []
    two = rescoped(two, **{reason.split(":")[0]: getattr(three, reason.split(":")[0]) for reason in within(two, three)})
    one = rescoped(one, **{reason.split(":")[0]: getattr(two, reason.split(":")[0]) for reason in within(one, two)})
    assert within(one, three) == []


WIDER = [
    ("action_classes", frozenset({"motion", "weld"}), "action_classes: weld beyond the parent's"),
    ("action_classes", "any", "action_classes: any beyond the parent's"),
    ("actuators", frozenset({"wrist"}), "actuators: wrist beyond the parent's"),
    ("limits", {"N": (0.0, 60.5)}, "limits: 0.0 to 60.5 N, the parent has 0.0 to 60.0"),
    ("limits", {"N": (-1, 60)}, "limits: -1 to 60 N, the parent has 0.0 to 60.0"),
    ("limits", {"rad": (0, 0)}, "limits: 0 to 0 rad, the parent has none"),
    ("limits", "any", "limits: any, the parent's are limited"),
    ("areas", "any", "areas: one lies in no single area of the parent"),
    ("areas", frozenset({Area("dock", (0, 0, 0), (0, 0, 0))}), "areas: one lies in no single area of the parent"),
    ("areas", frozenset({Area("cell", (0, 0, 0), (1, 1, 3))}), "areas: one lies in no single area of the parent"),
    ("areas", frozenset({Area("cell", (0, -2, 0), (1, 1, 1))}), "areas: one lies in no single area of the parent"),
    ("times", "any", "times: one lies in no single time of the parent"),
    ("times", frozenset({Times(6 * 3600 - 1, 7 * 3600, 1)}), "times: one lies in no single time of the parent"),
    ("times", frozenset({Times(6 * 3600, 22 * 3600 + 1, 1)}), "times: one lies in no single time of the parent"),
    ("times", frozenset({Times(9 * 3600, 10 * 3600, 0b1000001)}), "times: one lies in no single time of the parent"),
    ("counts", None, "counts: more than the parent's"),
    ("counts", Counts(1001, 3600), "counts: more than the parent's"),
    ("counts", Counts(1000, 3601), "counts: more than the parent's"),
    ("roles", frozenset({"operator"}), "roles: operator beyond the parent's"),
]


@pytest.mark.parametrize(("part", "value", "reason"), WIDER, ids=[reason for _, _, reason in WIDER])
def test_a_wider_part_is_named(part: str, value: Any, reason: str) -> None:
    """A child that is wider in one part is found to be so in this one, and says how."""
    assert within(rescoped(ARM, **{part: value}), ARM) == [reason]


@pytest.mark.parametrize("part", ["action_classes", "actuators", "limits", "areas", "times"])
def test_granted_by_the_child_alone(part: str) -> None:
    """Where a child grants an act that its parent does not, that part is found to be wider, whatever the two are."""

    @given(scopes, scopes, acts)
    def check(one: Scope, other: Scope, act: Act) -> None:
        child, parent = (rescoped(EVERYTHING, **{part: getattr(scope, part)}) for scope in (one, other))
        if covers(child, act) == []:
            event("granted by the parent too" if covers(parent, act) == [] else "granted by the child alone")
            assert within(child, parent) or covers(parent, act) == []

    check()


VALUE = scope.to_value(ARM)


@pytest.mark.parametrize(
    ("changed", "detail"),
    [
        ({"actuators": ["b", "a"]}, "actuators are not in the order of their encodings, each once"),
        ({"actuators": ["aa", "b"]}, "actuators are not in the order"),
        ({"actuators": ["a", "a"]}, "actuators are not in the order"),
        ({"areas": VALUE["areas"][::-1]}, "areas are not in the order"),
        ({"times": VALUE["times"] * 2}, "times are not in the order"),
        ({"roles": ["platform", "operator"]}, "roles are not in the order"),
        ({"roles": ["chief"]}, "Invalid enum value 'chief'"),
        ({"limits": {"N": [1, 0]}}, "the limit in N begins after its end"),
        ({"limits": {"": [0, 1]}}, "length >= 1"),
        ({"limits": {"N": [0, True]}}, "Expected `int | float`, got `bool`"),
        ({"limits": {"N": [0, 1, 2]}}, "length 2"),
        ({"areas": [["cell", [0, 0, 0], [1, -1, 1]]]}, "an area in cell begins after its end"),
        ({"areas": [["cell", [0, 0], [1, 1]]]}, "length 3"),
        ({"times": [[5, 5, 1]]}, "a time at second 5 begins after its end"),
        ({"times": [[0, 86_401, 1]]}, "<= 86400"),
        ({"times": [[0, 1, 0]]}, ">= 1"),
        ({"times": [[0, 1, 128]]}, "<= 127"),
        ({"counts": {"commits": 1}}, "missing required field `seconds`"),
        ({"counts": {"commits": 1, "seconds": 1, "metres": 1}}, "unknown field `metres`"),
        ({"delegations": 16}, "<= 15"),
        ({"delegations": "any"}, "got `str`"),
        ({"counts": "any"}, "got `str`"),
        ({"actuators": "all"}, "Invalid enum value 'all'"),
        ({"forces": []}, "not a map of action_classes"),
    ],
)  # fmt: skip
def test_what_is_no_scope(changed: dict[str, Any], detail: str) -> None:
    """Another order, another type, a number beyond its range, a part more: refused, with the part."""
    assert detail in refused({**VALUE, **changed})


@pytest.mark.parametrize("part", list(VALUE))
def test_a_part_that_is_missing(part: str) -> None:
    """Each part has to stand there, also to say that it grants nothing."""
    assert "not a map of action_classes" in refused({name: item for name, item in VALUE.items() if name != part})


@given(spans)
def test_limits_are_inclusive(span: tuple[float, float]) -> None:
    """Both ends of a limit are granted."""
    limited = rescoped(ARM, limits={"N": span})
    assert covers(limited, ACT._replace(magnitude=span[0])) == covers(limited, ACT._replace(magnitude=span[1])) == []


@pytest.mark.timing
def test_a_gate_can_ask_each_time() -> None:
    """Whether an act is covered is said in under 3 µs, with all five parts to look at (1.9 µs where this was written)."""
    taken_s = min(timeit.repeat(lambda: covers(ARM, ACT), number=2000, repeat=20)) / 2000
    assert taken_s < 3e-6
