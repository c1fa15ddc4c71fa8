"""The vectors of policies: the bundle reads as the values beside it, each artefact gives its decision, the others are refused."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest
from msgspec import to_builtins

from recorder.core import policy, policy_replay, sign1
from recorder.core.errors import FormatError
from recorder.core.sign1 import POLICY
from recorder.gate.cel import Cel
from recorder.gate.program import Program, replay
from tests.vectors.make_vectors import on_disk

HELD = on_disk()
VECTOR = json.loads(HELD["policy/policy.json"])
MALFORMED = json.loads(HELD["policy/malformed.json"])
BUNDLE = policy.read(bytes.fromhex(VECTOR["bundle"]))
PROGRAM = Program(BUNDLE.policy, Cel())


def test_the_bundle() -> None:
    """Its bytes are read as the values beside them, and the signer's key verifies them."""
    assert to_builtins(BUNDLE.policy) == VECTOR["values"]
    assert BUNDLE.hash.hex() == VECTOR["hash"] == sha256(bytes.fromhex(VECTOR["bundle"])).hexdigest()
    assert sign1.verify(BUNDLE.signed, bytes.fromhex(VECTOR["signer"]))


@pytest.mark.parametrize("made", VECTOR["decisions"], ids=lambda made: made["name"])
def test_each_decision_is_made_again(made: dict[str, object]) -> None:
    """From the artefact's bytes and the bundle's alone."""
    data = bytes.fromhex(str(made["artefact"]))
    assert policy_replay.artefact_hash(data).hex() == made["hash"]
    again = replay(policy_replay.decode(data), BUNDLE.hash, PROGRAM)
    assert int(again.decision) == made["decision"]
    assert again.reasons == made["reasons"]
    assert [list(clause) for clause in again.clauses] == made["clauses"]
    assert again.deviate_to == made["deviate_to"]
    assert again.situation == policy_replay.decode(data).situation


@pytest.mark.parametrize("name", MALFORMED["bundles"])
def test_what_is_refused(name: str) -> None:
    """Its signature holds, and reading it says policy_malformed."""
    raw = bytes.fromhex(MALFORMED["bundles"][name])
    assert sign1.verify(sign1.read(raw, POLICY), bytes.fromhex(MALFORMED["signer"]))
    with pytest.raises(FormatError) as refused:
        policy.read(raw)
    assert refused.value.error == "policy_malformed"
