"""Scopes as people write them: what is left out grants nothing, what is mistyped is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.authority.errors import AuthorityError
from recorder.authority.scope_file import load, parse
from recorder.core.scope import Area, Counts, Scope, Times

FILE = Path("some.toml")
EXAMPLE = Path(__file__).resolve().parent.parent.parent / "configs" / "scope.toml"


def test_the_example() -> None:
    """The example that is shipped grants what its comments say."""
    assert load(EXAMPLE) == Scope(
        action_classes=frozenset({"motion"}),
        actuators=frozenset({"arm", "arm.gripper"}),
        limits={"N": (0.0, 60.0), "rad": (0.0, 3.2), "rad/s": (0.0, 2.4), "none": (0, 0)},
        areas=frozenset({Area("arm_base", (-1.0, -1.0, 0.0), (1.0, 1.0, 2.0))}),
        times=frozenset({Times(0, 86_400, 127)}),
        counts=Counts(500, 900),
        delegations=1,
    )


def test_an_empty_file_grants_nothing() -> None:
    """Every part that is left out is empty, budgets too."""
    assert parse(b"", FILE) == Scope()
    assert parse(b"", FILE).counts == Counts(0, 0)


def test_everything() -> None:
    """What is to grant all says "any", and a budget without bound "unbounded"."""
    text = "".join(f'{part} = "any"\n' for part in ("action_classes", "actuators", "limits", "areas", "times"))
    granted = parse(f'{text}counts = "unbounded"\n'.encode(), FILE)
    assert granted == Scope("any", "any", "any", "any", "any", None)


def test_a_day_in_full() -> None:
    """A time without days is of every day, and ends at 24:00 at the latest."""
    granted = parse(b'times = [{from = "00:00", to = "24:00"}]', FILE)
    assert granted.times == frozenset({Times(0, 86_400, 127)})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("force = 1", "unknown field `force`"),
        ("actuators = [", "Invalid value"),
        ("actuators = 'all'", "Invalid enum value 'all'"),
        ("actuators = ['any']", 'write actuators = "any"'),
        ("action_classes = ['any', 'motion']", 'write action_classes = "any"'),
        ("actuators = ['']", "length >= 1"),
        ("limits = {N = [0]}", "length 2"),
        ("limits = {N = [5, 1]}", "the limit in N begins after its end"),
        ("limits = {N = [0, nan]}", "not a finite number"),
        ("areas = [{frame = 'cell', min = [0, 0, 0]}]", "missing required field `max`"),
        ("areas = [{frame = 'cell', min = [0, 0, 1], max = [1, 1, 0]}]", "an area in cell begins after its end"),
        ("times = [{from = '8:00', to = '9:00'}]", "'8:00' is not written as HH:MM"),
        ("times = [{from = '24:00', to = '24:00'}]", "<= 86399"),
        ("times = [{from = '09:00', to = '08:00'}]", "begins after its end"),
        ("times = [{from = '08:00', to = '09:00', days = []}]", ">= 1"),
        ("times = [{from = '08:00', to = '09:00', days = ['monday']}]", "Invalid enum value 'monday'"),
        ("delegations = 16", "<= 15"),
        ("roles = ['chief']", "Invalid enum value 'chief'"),
        ("counts = {commits = 1}", "missing required field `seconds`"),
        ("counts = {commits = -1, seconds = 1}", ">= 0"),
    ],
)
def test_what_is_no_scope(text: str, said: str) -> None:
    """One line that names the file and what is wrong in it."""
    with pytest.raises(AuthorityError) as caught:
        parse(text.encode(), FILE)
    assert str(caught.value).startswith("some.toml: ")
    assert said in str(caught.value)


@given(st.binary(max_size=100))
def test_any_bytes(text: bytes) -> None:
    """Arbitrary bytes are a scope or one error."""
    try:
        parse(text, FILE)
    except AuthorityError as error:
        assert str(error).startswith("some.toml: ")
