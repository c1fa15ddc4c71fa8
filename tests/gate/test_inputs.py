"""Inputs as a request's why names them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core.policy_replay import Given
from recorder.gate.inputs import read
from tests.core.shapes import values

NOW = 5_000_000_000


def test_inputs_are_read() -> None:
    """Unit and time may be left out; the age is in whole milliseconds, rounded towards the older; who verified says what is signed."""
    items = [
        {"name": "a", "value": 1.5, "unit": "m", "at_mono_ns": NOW - 1_999_999},
        {"name": "b", "value": [1], "at_mono_ns": NOW + 1, "source": "lidar"},
        {"name": "c", "value": None, "unit": None},
    ]
    assert read(items, NOW, {"b"}) == (
        {
            "a": Given(1.5, "m", 1, signed=False),
            "b": Given([1], "", -1, signed=True),
            "c": Given(None, "", None, signed=False),
        },
        [],
    )


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ({"name": "a", "value": 1}, "input_malformed: inputs are a list"),
        (["a"], "input_malformed: number 0 is no map with name and value"),
        ([{"name": "a"}], "input_malformed: number 0 is no map with name and value"),
        ([{"name": 1, "value": 1}], "input_malformed: number 0 is no map with name and value"),
        ([{"name": "a", "value": 1, "unit": 1}], "input_malformed: a has a unit that is no text, or a time that is no integer"),
        ([{"name": "a", "value": 1, "at_mono_ns": True}], "input_malformed: a has a unit that is no text, or a time that is no integer"),
        ([{"name": "a", "value": 1}, {"name": "a", "value": 2}], "input_malformed: a stands twice"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_reason(items: Any, reason: str) -> None:
    """An input that cannot be taken refuses the act: it may be the one that would have forbidden it."""
    assert read(items, NOW)[1] == [reason]


@given(values | st.lists(st.dictionaries(st.sampled_from(["name", "value", "unit", "at_mono_ns"]), values)))
def test_nothing_raises(items: Any) -> None:
    """Whatever a controller sends as inputs is taken, or is a reason."""
    taken, reasons = read(items, NOW)
    assert len(taken) + len(reasons) >= (len(items) if isinstance(items, list) else 1)
