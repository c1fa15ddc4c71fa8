"""Replay artefacts: read or refused, and their hash."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from recorder.core import policy_replay
from recorder.core.errors import FormatError
from recorder.core.policy_replay import Artefact, Given, Situation
from tests.core.shapes import mutated, naive_cbor, values
from tests.policies import moving

ARTEFACT = Artefact(bytes(range(16)), bytes(32), "cel-expr-python", "0.1.3", moving())
FULL = [
    "lineage/replay/1", bytes(range(16)), bytes(32), "cel-expr-python", "0.1.3", "motion",
    {name: [one.value, one.unit, one.age_ms, one.signed] for name, one in moving().inputs.items()}, dict(moving().facts),
]  # fmt: skip


def test_spelled_out() -> None:
    """The bytes are those of one array, and its hash is of exactly these."""
    assert ARTEFACT.encode() == naive_cbor(FULL)
    assert policy_replay.artefact_hash(ARTEFACT.encode()) == sha256(naive_cbor(FULL)).digest()
    assert policy_replay.decode(ARTEFACT.encode()) == ARTEFACT


def test_types_are_kept() -> None:
    """A double that is whole stays a double, an int stays an int."""
    situation = Situation(
        "motion", {"a": Given(2.0, "", None, signed=False), "b": Given(2, "", -5, signed=True)}, {"x.y": [1.0]}
    )
    read = policy_replay.decode(ARTEFACT._replace(situation=situation).encode()).situation
    assert read == situation
    assert [type(one.value) for one in read.inputs.values()] == [float, int]


@given(st.one_of(values, mutated(FULL)))
def test_any_value_is_read_or_refused(value: Any) -> None:
    """An artefact is refused under its own error name, or it encodes to the same bytes."""
    data = naive_cbor(value)
    try:
        read = policy_replay.decode(data)
    except FormatError as error:
        event("refused")
        assert error.error == "replay_malformed"
    else:
        event("read")
        assert read.encode() == data


@given(st.binary(max_size=100))
def test_any_bytes_are_refused(data: bytes) -> None:
    """No bytes raise anything but the error of the format."""
    with pytest.raises(FormatError, match="replay_malformed"):
        policy_replay.decode(data)
