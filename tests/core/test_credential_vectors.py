"""The vectors of credentials: each worth what it says, one for each error that credentials and their kin can show."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

import pytest

from recorder.core import credential, matrix, request, revocation
from recorder.core.delegation import Moment, Standing, judge, require_role
from recorder.core.errors import FormatError
from recorder.core.findings import FINDINGS
from recorder.core.note import VerifierKey
from tests.vectors.credentials import said
from tests.vectors.make_vectors import on_disk

HELD = {path: json.loads(text) for path, text in on_disk().items() if path.startswith("credential/")}
CHAINS = sorted(path for path, vector in HELD.items() if "credential" in vector)
SINGLE = sorted(HELD.keys() - set(CHAINS))


def roots_of(vector: dict[str, Any]) -> list[VerifierKey]:
    return [VerifierKey.parse(root) for root in vector["roots"]]


def judged(vector: dict[str, Any]) -> Standing:
    roots = roots_of(vector)
    links = [credential.read(bytes.fromhex(raw)) for raw in (*vector["pool"], vector["credential"])]
    recognised = None if vector["matrix"] is None else matrix.read(bytes.fromhex(vector["matrix"]), roots)
    revocations = {bytes.fromhex(revoked): seq for revoked, seq in vector["revoked_from_seq"].items()}
    pool = {link.hash: link for link in links[:-1]}
    return judge(links[-1], pool, recognised, roots, revocations, Moment(**vector["moment"]))


# Of what is done under credentials: lineages show it (tests/vectors/broken).
DONE = {"delegation_missing", "delegation_holder", "delegation_uncovered", "budget_exceeded", "decision_missing"}
DONE |= {"class_mixed", "cycle_decision", "verb_not_permitted", "beyond_contemplated"}


def test_every_error_of_credentials_has_a_vector() -> None:
    """A named error of step 9, or of the encoding of what is read here, without a vector would be a claim nobody checked."""
    others = ("observation_", "confirmation_", "policy_", "grant_")  # their own vectors and tests hold those
    named = {name for name, finding in FINDINGS.items() if finding.step == 9 and not name.startswith(others)} - DONE
    named |= {f"{what}_malformed" for what in ("credential", "matrix", "request", "revocation")}
    assert {PurePath(path).stem for path in HELD if path.startswith("credential/broken/")} == named


@pytest.mark.parametrize("path", CHAINS)
def test_chain(path: str) -> None:
    """A chain has the verdict that its vector says, and if it is broken, that one error and no other."""
    vector = HELD[path]
    found = judged(vector)
    assert found.chain.links[0].hash.hex() == vector["hash"]
    assert said(found.chain.links[0].terms) == vector["terms"]
    verdict, error = vector["expected"]["verdict"], vector["expected"]["error"]
    assert found.verdict == verdict
    if error == "role_mismatch":
        with pytest.raises(FormatError, match=error):
            require_role(found.chain.links[0], *vector["roles"])
        return
    require_role(found.chain.links[0], *vector["roles"])
    if verdict == "invalid":
        assert {reason.error for reason in found.reasons} == {error}


def read(vector: dict[str, Any]) -> None:
    raw, roots = bytes.fromhex(vector["bytes"]), roots_of(vector)
    if vector["what"] == "matrix":
        matrix.check_newer(matrix.read(raw, roots), matrix.read(bytes.fromhex(vector["held_matrix"]), roots))
    elif vector["what"] == "request":
        request.read(raw)
    elif vector["what"] == "revocation":
        revocation.read(raw)
    else:
        credential.read(raw)


@pytest.mark.parametrize("path", SINGLE)
def test_single(path: str) -> None:
    """What is read alone is read, or refused under the name that its vector says."""
    vector = HELD[path]
    if vector["expected"]["error"] is None:
        read(vector)
        return
    with pytest.raises(FormatError) as caught:
        read(vector)
    assert caught.value.error == vector["expected"]["error"]
