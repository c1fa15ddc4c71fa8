"""Inputs as a request's why names them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core import observation
from recorder.core.observation import Observation
from recorder.core.policy_replay import Given
from recorder.gate.authorities import Authorities
from recorder.gate.inputs import BYTES_MAX, Now, Taken
from recorder.gate.inputs import read as read_inputs
from recorder.gate.observed import Observers
from tests.core.shapes import values
from tests.credential_builder import BEGIN_S, DAY_S, NS, ROOT, at, delegated, from_root, signer

NOW = 5_000_000_000
UTC = (BEGIN_S + 1) * NS
LIDAR = from_root("lidar", role="actuator")
SAYS = Observation("nearest", 2.0, "m", "base", UTC - 7_000_000, NOW - 5_000_000, 1, None, LIDAR.hash)


def known(*more: Any) -> Authorities:
    authorities = Authorities([ROOT])
    for one in (LIDAR, *more):
        authorities.add(authorities.judge_credential(one.signed.raw))
    return authorities


def made(by: str = "lidar", **changed: Any) -> bytes:
    return observation.make(SAYS._replace(**changed), signer(by))


def read(
    items: Any,
    authorities: Authorities | None = None,
    entries: dict[str, dict[str, Any]] | None = None,
    seconds: float = BEGIN_S + 1,
    utc_ns: int | None = UTC,
) -> Taken:
    """What is taken of these inputs with the lidar's credential known."""
    observers = Observers(authorities or known(), at(seconds, 9), (entries or {}).get)
    return read_inputs(items, Now(NOW, utc_ns), observers)


def test_inputs_are_read() -> None:
    """Unit and time may be left out; the age is in whole milliseconds, rounded down; what the sender says of signatures does not count."""
    items = [
        {"name": "a", "value": 1.5, "unit": "m", "at_mono_ns": NOW - 1_999_999},
        {"name": "b", "value": [1], "at_mono_ns": NOW + 1, "source": "lidar", "signed": True, "credential": LIDAR.hash},
        {"name": "c", "value": None, "unit": None},
    ]
    assert read(items) == Taken(
        {
            "a": Given(1.5, "m", 1, signed=False),
            "b": Given([1], "", -1, signed=False),
            "c": Given(None, "", None, signed=False),
        },
        [],
        [
            {"name": "a", "value": 1.5, "unit": "m", "at_mono_ns": NOW - 1_999_999, "signed": False},
            {"name": "b", "value": [1], "unit": "", "at_mono_ns": NOW + 1, "source": "lidar", "signed": False},
            {"name": "c", "value": None, "unit": "", "at_mono_ns": None, "signed": False},
        ],
    )


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ({"name": "a", "value": 1}, "input_malformed: inputs are a list"),
        (["a"], "input_malformed: number 0 is no map with a name"),
        ([{"name": 1, "value": 1}], "input_malformed: number 0 is no map with a name"),
        ([{"name": "a"}], "input_malformed: input a: no map with name and value"),
        ([{"name": "a", "value": 1, "unit": 1}], "input_malformed: input a: a unit that is no text, or a time that is no integer"),
        ([{"name": "a", "value": 1, "at_mono_ns": True}], "input_malformed: input a: a unit that is no text, or a time that is no integer"),
        ([{"name": "a", "value": 1}, {"name": "a", "value": 2}], "input_malformed: a stands twice"),
        ([{"name": "a", "observation": "b"}], "observation_malformed: input a: not bytes"),
        ([{"name": "a", "entry": 7}], "input_unknown: input a: no observation 7 is here"),
        ([{"name": "a", "value": 1, "entry": "7-00000000"}], "input_unknown: input a: no observation 7-00000000 is here"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_reason(items: Any, reason: str) -> None:
    """An input that cannot be taken refuses the act: it may be the one that would have forbidden it."""
    taken = read(items)
    assert taken.reasons == [reason]
    assert taken.recorded[-1:] == (
        items[-1:] if isinstance(items, list) and "twice" not in reason else taken.recorded[-1:]
    )


def test_signed_observations() -> None:
    """One that its observer signed says all but the name; it is as old as the older of its two times."""
    assert read([{"name": "nearest", "observation": made(), "value": 9.0}]) == Taken(
        {"nearest": Given(2.0, "m", 7, signed=True)},
        [],
        [
            {
                "name": "nearest", "observation": made(), "value": 2.0, "unit": "m", "at_mono_ns": NOW - 5_000_000, "signed": True,
                "credential": LIDAR.hash,
            }
        ],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("times", "utc_ns", "age_ms"),
    [
        ({}, UTC, 7),
        ({}, None, 5),
        ({"at_mono_ns": None}, UTC, 7),
        ({"at_mono_ns": None}, None, None),
        ({"at_utc_ns": UTC - DAY_S * NS}, UTC, DAY_S * 1000),
        ({"at_utc_ns": UTC}, UTC, 5),
        ({"at_mono_ns": NOW + 1, "at_utc_ns": UTC + 1}, UTC, -1),
    ],
)
def test_how_old_an_observation_is(times: dict[str, Any], utc_ns: int | None, age_ms: int | None) -> None:
    """By the greater of the two ages that are known: else one of an earlier start of the machine would be fresh again."""
    taken = read([{"name": "nearest", "observation": made(**times)}], utc_ns=utc_ns)
    assert taken.given["nearest"].age_ms == age_ms


OTHER = delegated(LIDAR, "cam")


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (made()[:-1], "observation_malformed"),
        (made(by="mallory"), "observation_signature"),
        (made(credential=None), "observation_signature"),
        (made(credential=OTHER.hash, by="cam"), "parent_unknown"),
        (made(name="farthest"), "input_malformed"),
    ],
)
def test_observations_that_nobody_vouches_for(raw: bytes, error: str) -> None:
    """One that its observer did not sign, whose credential is not here, or of something else is a reason, and no input."""
    taken = read([{"name": "nearest", "observation": raw}])
    assert [reason.partition(":")[0] for reason in taken.reasons] == [error]
    assert not taken.given


def test_an_observer_must_stand() -> None:
    """From the entry on with which a credential is revoked, and from its last second on, its observations are none."""
    authorities = known()
    item = [{"name": "nearest", "observation": made()}]
    assert read(item, authorities, seconds=BEGIN_S + DAY_S - 0.001).reasons == []
    assert read(item, authorities, seconds=BEGIN_S + DAY_S).reasons[0].startswith("credential_expired: input nearest")
    authorities.revoke({LIDAR.hash}, 10)
    assert read(item, authorities).reasons == []
    authorities = known()
    authorities.revoke({LIDAR.hash}, 9)
    assert read(item, authorities).reasons[0].startswith("credential_revoked: input nearest")


def test_recorded_observations() -> None:
    """An entry is taken for what its body says, signed or not; what the sender says of the value does not count."""
    entries: dict[str, dict[str, Any]] = {
        "7-00000000": {"observation": made()},
        "8-00000000": {"name": "nearest", "value": 3.0, "unit": "m", "at_mono_ns": NOW},
        "9-00000000": {"name": "farthest", "value": 3.0},
        "10-00000000": {"nearest": 3.0},
        "11-00000000": {"entry": "8-00000000"},
    }
    signed = read([{"name": "nearest", "entry": "7-00000000", "value": 9.0}], entries=entries)
    assert signed.given == {"nearest": Given(2.0, "m", 7, signed=True)}
    assert signed.recorded == [
        {
            "name": "nearest", "entry": "7-00000000", "value": 2.0, "unit": "m", "at_mono_ns": NOW - 5_000_000, "signed": True,
            "credential": LIDAR.hash,
        }
    ]  # fmt: skip
    plain = read([{"name": "nearest", "entry": "8-00000000"}], entries=entries)
    assert plain.given == {"nearest": Given(3.0, "m", 0, signed=False)}
    for printed in ("9-00000000", "10-00000000", "11-00000000"):
        assert read([{"name": "nearest", "entry": printed}], entries=entries).reasons == [
            "input_malformed: input nearest: no map with name and value"
        ]


def test_signed_observations_are_bounded() -> None:
    """Their values are stored a second time, so there is only so much of them."""
    raw = made(value=[0.1] * 800)
    assert len(raw) < BYTES_MAX < 2 * len(raw)
    items = [{"name": "nearest", "observation": raw}, {"name": "nearest.2", "observation": raw}]
    assert read(items[:1]).reasons == []
    taken = read(items)
    assert taken.reasons == [f"input_malformed: input nearest.2: observations are over {BYTES_MAX} bytes with it"]
    assert taken.recorded[1] == items[1]


@given(
    values
    | st.lists(
        st.dictionaries(st.sampled_from(["name", "value", "unit", "at_mono_ns", "entry", "observation"]), values)
    )
)
def test_nothing_raises(items: Any) -> None:
    """Whatever a controller sends as inputs is taken, or is a reason."""
    taken = read(items)
    assert len(taken.given) + len(taken.reasons) >= (len(items) if isinstance(items, list) else 1)
