"""`recorder/format.cddl` against our readers of policies and replay artefacts: both take the same, but for what it cannot say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cddl_verifier import Validator
from hypothesis import event, given, settings
from msgspec import ValidationError, convert, to_builtins

import recorder
from recorder.core import cbor, policy, policy_replay
from recorder.core.errors import FormatError
from recorder.core.keys import SeedSigner
from recorder.core.policy import Policy
from tests.core.shapes import mutated, naive_cbor
from tests.core.test_policy import FULL
from tests.core.test_policy_replay import ARTEFACT
from tests.core.test_policy_replay import FULL as ARTEFACT_FULL

CDDL = Validator(Path(recorder.__file__).with_name("format.cddl").read_text(encoding="utf-8"))
READ = convert(FULL, Policy, builtin_types=(bytes,))


def conforms(value: Any, rule: str) -> bool:
    return bool(CDDL.validate(naive_cbor(value), root_type=rule).valid)


def reads(value: Any) -> bool:
    """Whether our reader takes the shape; what holds between the parts is for `policy.faults`."""
    try:
        convert(cbor.decode(naive_cbor(value)), Policy, builtin_types=(bytes,))
    except (FormatError, ValidationError):
        return False
    return True


def edges(value: Any) -> list[Any]:
    """A value in turn left out, of other types, and at the edges of its own; then the same of each place in it."""
    found: list[Any] = [None, True, 0, -1, 1, 2**63, 1.5, "", "a", "A b", "é" * 300, b"", bytes(32), [], {}, ["a", "a"]]
    found += [{key: value[key] for key in value if key != gone} for gone in value] if isinstance(value, dict) else []
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        for other in edges(value[key]):
            copy = value.copy()
            copy[key] = other
            found.append(copy)
    return found


def test_a_bundle() -> None:
    """What we sign is a bundle for the CDDL, and is none without its tag or with a payload that is none."""
    raw = policy.sign(READ, SeedSigner(bytes(32)))
    assert CDDL.validate(raw, root_type="policy-bundle").valid
    assert conforms(FULL, "policy-payload")
    assert not CDDL.validate(raw[1:], root_type="policy-bundle").valid
    assert not CDDL.validate(raw.replace(b"lineage/policy/1", b"lineage/policy/2"), root_type="policy-bundle").valid


PARTS = {
    "policy-input": ("inputs", "lidar.nearest"),
    "class-rules": ("classes", "motion"),
    "clause": ("clauses", 5),
}


@pytest.mark.parametrize("rule", PARTS)
def test_every_place_of_each_part(rule: str) -> None:
    """A full part with each of its places, in turn, at or beyond the edges of its type: both agree on every one."""
    group, name = PARTS[rule]
    taken = refused = 0
    for other in edges(FULL[group][name]):
        whole = to_builtins(READ, builtin_types=(bytes,))
        whole[group][name] = other
        assert reads(whole) == conforms(other, rule), other
        taken += conforms(other, rule)
        refused += not conforms(other, rule)
    assert taken >= 5
    assert refused > 50


def test_every_place_of_the_whole() -> None:
    """The same of the places of the payload itself."""
    own = {key: value for key, value in FULL.items() if key not in ("inputs", "classes", "clauses")}
    for other in edges(own):
        whole = {**FULL, **other} if isinstance(other, dict) else other
        for gone in own.keys() - other.keys() if isinstance(other, dict) else ():
            del whole[gone]
        assert reads(whole) == conforms(whole, "policy-payload"), other


@settings(max_examples=30)
@given(mutated(FULL))
def test_mutated_payloads(value: Any) -> None:
    """A payload changed in one place is taken by both or refused by both."""
    taken = conforms(value, "policy-payload")
    event(f"conforming: {taken}")
    assert reads(value) == taken


@given(mutated(ARTEFACT_FULL))
def test_artefacts(value: Any) -> None:
    """What the CDDL calls a replay artefact we read, and nothing else."""
    assert CDDL.validate(ARTEFACT.encode(), root_type="replay-artefact").valid
    try:
        policy_replay.decode(naive_cbor(value))
    except FormatError:
        assert not conforms(value, "replay-artefact")
    else:
        assert conforms(value, "replay-artefact")
