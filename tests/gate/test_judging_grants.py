"""Decisions of external evaluators: what a grant has to say to stand in for the clauses."""

from __future__ import annotations

from typing import Any

import pytest

from recorder.core import grant
from recorder.core.grant import Grant, contemplated_hash, inputs_hash
from recorder.core.kinds import Decision
from tests.credential_builder import (
    NS,
    signer,
)
from tests.gate.opening import (
    ANN,
    EVALUATOR,
    FORCE,
    HELD,
    LIDAR,
    NOW,
    WHAT,
    WHERE,
    asked,
    ground,
    judged,
    names,
)
from tests.policies import clause


def granting(by: str = "planner check", **changed: Any) -> bytes:
    said = Grant(
        "acme/arm-7/a", b"\4" * 16, b"\5" * 16, EVALUATOR.hash, "motion", ("elbow",), 100, NOW.mono_ns + 9 * NS, HELD.hash,
        contemplated_hash(WHAT, WHERE), inputs_hash([FORCE]), "admitted",
    )  # fmt: skip
    return grant.make(said._replace(**changed), signer(by))


def test_an_external_decision() -> None:
    """A grant decides in place of the clauses; inputs are taken as the policy wants them, and it is kept with the why."""
    raw = granting()
    found = judged(asked(grant=raw), ground(clause("true || input.force_n > 0.0")))
    assert found[:2] == (Decision.EXTERNAL, ["granted: by an external evaluator"])
    assert found.nonce == (b"\5" * 16, NOW.mono_ns + 9 * NS)
    assert (found.why["evaluator"], found.why["grant"], found.why["clauses"]) == ("planner check", raw, [])
    assert found.why["inputs"] == [{**FORCE, "signed": False}]
    assert found.why.keys().isdisjoint({"artefact", "replay", "counterfactual"})
    stale = [{**FORCE, "at_mono_ns": 0}]
    refused = judged(asked(grant=granting(inputs_hash=inputs_hash(stale)), why={"inputs": stale}), ground())
    assert names(refused) == ["input_stale"]


def test_a_cycle_ends_with_its_grant() -> None:
    """Asked for longer than granted, it is cut, since two processes do not read a clock at once."""
    found = judged(asked(grant=granting(not_after_mono_ns=NOW.mono_ns + NS)), ground())
    assert (found.decision, found.not_after_mono_ns) == (Decision.EXTERNAL, NOW.mono_ns + NS)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"grant", "grant_malformed"),
        (granting(by="mallory"), "grant_signature"),
        (granting(credential=bytes(32)), "parent_unknown"),
        (granting(by="lidar", credential=LIDAR.hash), "role_mismatch"),
        (granting(action_class="dig"), "grant_beyond"),
        (granting(origin="acme/arm-7/b"), "grant_origin"),
        (granting(os_boot=bytes(16)), "grant_os_boot"),
        (granting(not_after_mono_ns=NOW.mono_ns - 1), "grant_expired"),
        (granting(max_commits=99), "grant_beyond"),
        (granting(actuators=("shoulder",)), "grant_beyond"),
        (granting(delegation=ANN.hash), "grant_beyond"),
        (granting(contemplated_hash=contemplated_hash(WHAT, {})), "grant_beyond"),
        (granting(inputs_hash=inputs_hash([{**FORCE, "value": 9.0}])), "grant_inputs"),
        (granting(nonce=b"\6" * 16), "nonce_reused"),
    ],
)
def test_grants_that_grant_nothing(raw: bytes, reason: str) -> None:
    """One of somebody else, for something else, for more or used before refuses; the clauses do not stand in for it."""
    found = judged(asked(grant=raw), ground(nonces={b"\6" * 16: 1}))
    assert names(found)[0] == reason
    assert found.why["grant"] == raw
    assert found.why["clauses"] == []


def test_an_evaluator_must_stand() -> None:
    """What a revoked evaluator signs is worth nothing, and neither does a grant help where the delegation is missing."""
    on = ground()
    on.authorities.revoke({EVALUATOR.hash}, 9)
    assert names(judged(asked(grant=granting()), on)) == ["credential_revoked"]
    assert names(judged(asked(grant=granting(), delegation=None), ground())) == ["delegation_missing", "grant_beyond"]
