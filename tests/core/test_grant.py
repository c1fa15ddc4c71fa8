"""Grants: one spelling, every byte counts, and none lets anything be done but what it is for."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given

from recorder.core import grant, sign1
from recorder.core.errors import FormatError, Misuse
from recorder.core.grant import Grant
from recorder.core.sign1 import GRANT
from tests.core.shapes import naive_cbor, values
from tests.credential_builder import from_root, signer

EVALUATOR = from_root("planner check", role="evaluator")
UNDER = b"\2" * 32
WHAT = {"mode": "move", "magnitude": 1.5, "unit": "m/s"}
WHERE = {"frame": "cell", "position_m": [0.0, 0.5, 1.0]}
INPUTS = [
    {"name": "lidar.nearest", "value": 2.0, "unit": "m", "at_mono_ns": 5},
    {"name": "ok", "value": True, "unit": None},
]
SENT = [{"name": "lidar.nearest", "value": 2.0, "unit": "m", "at_mono_ns": 5}, {"name": "ok", "value": True}]
SAYS = Grant(
    origin="acme/arm-7/a",
    os_boot=b"\4" * 16,
    nonce=b"\5" * 16,
    credential=EVALUATOR.hash,
    action_class="motion",
    actuators=("elbow", "shoulder"),
    max_commits=100,
    not_after_mono_ns=9_000,
    delegation=UNDER,
    contemplated_hash=sha256(naive_cbor([WHAT, WHERE])).digest(),
    inputs_hash=sha256(naive_cbor(SENT)).digest(),
    decision="admitted",
)
ASKED: dict[str, Any] = {
    "origin": "acme/arm-7/a", "os_boot": b"\4" * 16, "now_mono_ns": 8_000, "action_class": "motion", "actuators": ["shoulder"],
    "max_commits": 100, "not_after_mono_ns": 9_000, "delegation": UNDER, "act": (WHAT, WHERE), "inputs": INPUTS,
}  # fmt: skip


def made(by: str = "planner check", **changed: Any) -> bytes:
    return grant.make(SAYS._replace(**changed), signer(by))


def spelled() -> dict[str, Any]:
    return SAYS._asdict() | {"actuators": ["elbow", "shoulder"]}


def test_spelled_to_the_byte() -> None:
    """A grant is the map that the format says, its actuators in order, under a label of its own."""
    assert sign1.sign(signer("planner check"), GRANT, naive_cbor(spelled())) == made(actuators=("shoulder", "elbow"))
    found = grant.read(made())
    assert found.says == SAYS
    grant.verify(found, EVALUATOR)


def test_every_byte_counts() -> None:
    """With any bit of any byte flipped, or any of its end cut off, a grant is refused or its signature does not hold."""
    raw = made()
    for at in range(len(raw)):
        for bit in range(8):
            with pytest.raises(FormatError, match=r"^grant_(malformed|signature)"):
                grant.verify(grant.read(raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]), EVALUATOR)
        with pytest.raises(FormatError, match=r"^grant_malformed"):
            grant.read(raw[:at])


@pytest.mark.parametrize(
    ("changed", "detail"),
    [
        ({"origin": ""}, "length >= 1"),
        ({"os_boot": bytes(15)}, "length >= 16"),
        ({"nonce": bytes(17)}, "length <= 16"),
        ({"credential": None}, "got `null`"),
        ({"actuators": []}, "length >= 1"),
        ({"actuators": [f"{number:02}" for number in range(65)]}, "length <= 64"),
        ({"actuators": ["shoulder", "elbow"]}, "not in the order"),
        ({"actuators": ["elbow", "elbow"]}, "not in the order"),
        ({"max_commits": 0}, ">= 1"),
        ({"max_commits": True}, "got `bool`"),
        ({"not_after_mono_ns": 1.0}, "got `float`"),
        ({"delegation": None}, "got `null`"),
        ({"decision": "refused"}, "Invalid enum value"),
        ({"comment": "x"}, "not a map of origin, os_boot"),
    ],
)
def test_what_is_no_grant(changed: dict[str, Any], detail: str) -> None:
    """A key more, of another type or beyond its range is refused, whoever signed it."""
    with pytest.raises(FormatError) as caught:
        grant.read(sign1.sign(signer("planner check"), GRANT, naive_cbor({**spelled(), **changed})))
    assert caught.value.error == "grant_malformed"
    assert detail in caught.value.detail


@pytest.mark.parametrize("key", sorted(spelled()))
def test_a_key_that_is_missing(key: str) -> None:
    """Every key has to be there."""
    less = {part: value for part, value in spelled().items() if part != key}
    with pytest.raises(FormatError, match="grant_malformed: not a map of origin"):
        grant.read(sign1.sign(signer("planner check"), GRANT, naive_cbor(less)))


def test_what_readers_refuse_is_not_made() -> None:
    """What could not be read again is refused before it is signed."""
    for wrong in ({"nonce": b""}, {"actuators": ()}, {"origin": "\ud800"}, {"actuators": ("\ud800",)}):
        with pytest.raises(FormatError, match=r"^grant_malformed"):
            made(**wrong)
    with pytest.raises(Misuse, match=r"a grant of .* bytes is over 8192"):
        made(actuators=tuple(f"{number:02}" + "x" * 200 for number in range(64)))


def test_who_may_sign() -> None:
    """The evaluator that the grant names signed it, with a credential that is for evaluating."""
    with pytest.raises(FormatError, match=r"^grant_signature: not signed by planner check"):
        grant.verify(grant.read(made(by="mallory")), EVALUATOR)
    with pytest.raises(FormatError, match=r"^grant_signature"):
        grant.verify(grant.read(made(credential=bytes(32))), EVALUATOR)
    other = from_root("ann")
    with pytest.raises(FormatError, match=r"^role_mismatch: .*\(ann\) has the role operator, not evaluator"):
        grant.verify(grant.read(made(by="ann", credential=other.hash)), other)
    with pytest.raises(FormatError, match=r"^grant_beyond: planner check has no say over class dig"):
        grant.verify(grant.read(made(action_class="dig")), EVALUATOR)


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({}, None),
        ({"now_mono_ns": 9_000}, None),
        ({"actuators": ["elbow", "shoulder"]}, None),
        ({"max_commits": 1, "not_after_mono_ns": 8_500}, None),
        ({"origin": "acme/arm-7/b"}, "grant_origin"),
        ({"os_boot": bytes(16)}, "grant_os_boot"),
        ({"now_mono_ns": 9_001}, "grant_expired"),
        ({"action_class": "grip"}, "grant_beyond"),
        ({"actuators": ["shoulder", "wrist"]}, "grant_beyond"),
        ({"max_commits": 101}, "grant_beyond"),
        ({"not_after_mono_ns": 9_001}, "grant_beyond"),
        ({"delegation": bytes(32)}, "grant_beyond"),
        ({"delegation": None}, "grant_beyond"),
        ({"act": ({**WHAT, "magnitude": 1.6}, WHERE)}, "grant_beyond"),
        ({"act": (WHAT, {})}, "grant_beyond"),
        ({"inputs": [{**INPUTS[0], "value": 2.1}, INPUTS[1]]}, "grant_inputs"),
        ({"inputs": [{**INPUTS[0], "at_mono_ns": 6}, INPUTS[1]]}, "grant_inputs"),
        ({"inputs": [{**INPUTS[0], "unit": "km"}, INPUTS[1]]}, "grant_inputs"),
        ({"inputs": INPUTS[:1]}, "grant_inputs"),
        ({"inputs": INPUTS[::-1]}, "grant_inputs"),
        ({"inputs": {"name": "ok"}}, "grant_inputs"),
        ({"inputs": [float("nan")]}, "cbor_malformed"),
    ],
)  # fmt: skip
def test_what_it_lets_be_done(asked: dict[str, Any], error: str | None) -> None:
    """A grant is for one log, OS boot, class, act, delegation and set of inputs, and for no more than its bounds."""
    if error is None:
        grant.check(SAYS, **{**ASKED, **asked})
        return
    with pytest.raises(FormatError) as caught:
        grant.check(SAYS, **{**ASKED, **asked})
    assert caught.value.error == error


def test_inputs_are_compared_as_they_were_sent() -> None:
    """What the recorder adds to an input leaves the hash alone; the observation or entry that one names is what counts of it."""
    recorded = [
        {"name": "a", "value": 1, "unit": "", "at_mono_ns": None, "signed": False},
        {"name": "b", "value": 2, "unit": "m", "at_mono_ns": 3, "signed": True, "observation": b"raw", "credential": bytes(32)},
        {"name": "c", "value": 3, "unit": "m", "at_mono_ns": None, "signed": True, "entry": "7-00000000"},
    ]  # fmt: skip
    sent = [{"name": "a", "value": 1}, {"name": "b", "observation": b"raw"}, {"name": "c", "entry": "7-00000000"}]
    assert grant.inputs_hash(recorded) == grant.inputs_hash(sent) == sha256(naive_cbor(sent)).digest()
    for number, changed in ((0, {"value": 2}), (1, {"observation": b"war"}), (2, {"entry": "8-00000000"})):
        altered = [*recorded]
        altered[number] = recorded[number] | changed
        assert grant.inputs_hash(altered) != grant.inputs_hash(sent)


@given(values)
def test_any_inputs_have_a_hash(items: Any) -> None:
    """Whatever a controller sends as inputs has a hash, or is named as what the format has no place for."""
    assert len(grant.inputs_hash(items)) == 32
    assert len(grant.inputs_hash([items, {"name": "a", "value": items}])) == 32
