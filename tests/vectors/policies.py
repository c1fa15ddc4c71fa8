"""Vectors of policy bundles: one with decisions under it and their replay artefacts, and what is refused."""

from __future__ import annotations

from typing import Any

from msgspec import to_builtins

from recorder.core import cbor, policy, sign1
from recorder.core.keys import SeedSigner
from recorder.core.policy_replay import Artefact, artefact_hash
from recorder.core.sign1 import POLICY
from recorder.gate.cel import Cel
from recorder.gate.program import Program
from tests.policies import example, moving

SIGNER = SeedSigner(bytes(range(1, 33)))
ENGINE = ("cel-expr-python", "0.1.3")  # as artefacts of that version have it, whichever makes the vectors
SITUATIONS: dict[str, dict[str, Any]] = {
    "admitted": {},
    "whole numbers for doubles": {"what__magnitude": 1, "where__position_m": [0, 0, 1]},
    "refused by a forbid": {"what__magnitude": 61.0, "what__unit": "N"},
    "deviated": {"lidar__nearest": 0.7},
    "a forbid before a deviate": {"lidar__nearest": 0.4},
    "refused for want of a permit": {"what__unit": "m"},
    "refused by an error": {"where__frame": None},
    "refused for a missing input": {"stick__enabled": None},
    "refused for an input of another type": {"stick__speed": "fast"},
    "refused for a stale input": {"lidar__nearest": moving().inputs["lidar.nearest"]._replace(age_ms=201)},
}


def policy_vector() -> dict[str, Any]:
    """The shipped example, signed, and what it decides."""
    read = example().policy
    raw = policy.sign(read, SIGNER)
    bundle = policy.read(raw)
    program = Program(read, Cel())
    return {
        "name": "policy",
        "description": "A bundle, and decisions under it from their replay artefacts.",
        "signer": SIGNER.public_key.hex(),
        "bundle": raw.hex(),
        "hash": bundle.hash.hex(),
        "values": to_builtins(read),
        "decisions": [_decision(program, bundle.hash, name, changed) for name, changed in SITUATIONS.items()],
    }


def _decision(program: Program, bundle: bytes, name: str, changed: dict[str, Any]) -> dict[str, Any]:
    decided = program.decide(moving(**changed))
    artefact = Artefact(bytes(range(16)), bundle, *ENGINE, decided.situation).encode()
    return {
        "name": name,
        "artefact": artefact.hex(),
        "hash": artefact_hash(artefact).hex(),
        "decision": int(decided.decision),
        "reasons": decided.reasons,
        "clauses": [list(clause) for clause in decided.clauses],
        "deviate_to": decided.deviate_to,
    }


def malformed_vector() -> dict[str, Any]:
    """Bundles that are signed well and refused all the same, one for each rule between the parts and some of shape."""
    value = to_builtins(example().policy)
    slow = value["clauses"][5]
    motion = value["classes"]["motion"]
    changes: dict[str, dict[str, Any]] = {
        "a key more": {"priority": 1},
        "another format": {"format": "lineage/policy/2"},
        "never in force": {"exp": value["nbf"]},
        "two clauses of one id": {"clauses": [*value["clauses"], slow]},
        "a deviate that does not say to what": {"clauses": [*value["clauses"][:5], {**slow, "deviate_to": None}, value["clauses"][6]]},
        "a clause of an unknown class": {"clauses": [*value["clauses"], {**slow, "id": "new", "classes": ["grip"]}]},
        "a clause of a class that is not gated": {"clauses": [*value["clauses"], {**slow, "id": "new", "classes": ["braking"]}]},
        "a gated class without a permit": {"clauses": value["clauses"][:5]},
        "braking that is gated": {"classes": {**value["classes"], "braking": {**motion}}},
        "an ungated class that is refused when the disk is full": {"classes": {**value["classes"], "other": {**motion, "gated": False}}},
        "halt that goes on without a recorder": {"classes": {"motion": {**motion, "disk_full_action": "halt", "on_unavailable": "continue_ungated"}}},
        "a retention rule of no class": {"retention": {"5y": value["retention"]["1y"]}},
    }  # fmt: skip
    payloads = {name: cbor.encode({**value, **changed}) for name, changed in changes.items()}
    payloads["keys in another order"] = cbor.encode_as_given(dict(reversed(value.items())))
    return {
        "name": "malformed",
        "description": "Bundles whose signature holds and which are refused as policy_malformed.",
        "signer": SIGNER.public_key.hex(),
        "bundles": {name: sign1.sign(SIGNER, POLICY, payload).hex() for name, payload in payloads.items()},
    }
