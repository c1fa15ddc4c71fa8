"""`recorder/format.cddl` against our readers of credentials and their kin, but for the rules that CDDL cannot say."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cddl_verifier import Validator
from hypothesis import event, given, settings
from hypothesis import strategies as st

import recorder
from recorder.core import cbor, credential, grant, matrix, observation, request, revocation, sign1
from recorder.core.errors import FormatError
from recorder.core.sign1 import CREDENTIAL, GRANT, MATRIX, OBSERVATION, REQUEST, REVOCATION
from tests.core.credential_shapes import cwts, grants, matrices, observations, requests, revocations
from tests.core.shapes import mutated, naive_cbor
from tests.credential_builder import ROOT, signer

CDDL = Validator(Path(recorder.__file__).with_name("format.cddl").read_text(encoding="utf-8"))
SIGNER = signer(ROOT.name)
USES = {
    "credential": CREDENTIAL,
    "matrix": MATRIX,
    "request": REQUEST,
    "revocation": REVOCATION,
    "observation": OBSERVATION,
    "grant": GRANT,
}
RULES = {
    "credential": "cwt",
    "matrix": "matrix",
    "request": "credential-request",
    "revocation": "revocation-list",
    "observation": "observed",
    "grant": "grant",
}
PAYLOADS: dict[str, st.SearchStrategy[Any]] = {
    "credential": cwts(), "matrix": matrices, "request": requests, "revocation": revocations,
    "observation": observations, "grant": grants,
}  # fmt: skip
sorts = pytest.mark.parametrize("sort", RULES)


def reads(sort: str, payload: Any) -> bool:
    """Whether our reader takes this payload; a request's key need not be the one that signed here."""
    raw = sign1.sign(SIGNER, USES[sort], naive_cbor(payload))
    try:
        if sort == "credential":
            credential.read(raw)
        elif sort == "matrix":
            matrix.read(raw, [ROOT])
        elif sort == "request":
            request.read(raw)
        elif sort == "observation":
            observation.read(raw)
        elif sort == "grant":
            grant.read(raw)
        else:
            revocation.read(raw)
    except FormatError as error:
        return error.error == "request_signature"
    return True


def conforms(sort: str, payload: Any) -> bool:
    return bool(CDDL.validate(naive_cbor(payload), root_type=RULES[sort]).valid)


def encodes(payload: Any) -> bool:
    try:
        cbor.check(payload, labels=True)
    except FormatError:
        return False
    return True


def ordered(items: Any) -> bool:
    return all(one < other for one, other in pairwise(map(naive_cbor, items)))


def scope_fits(scope: dict[str, Any]) -> bool:
    """The rules of a scope that CDDL cannot say."""
    sets = [scope[part] for part in ("action_classes", "actuators", "areas", "times", "roles") if scope[part] != "any"]
    limits = [] if scope["limits"] == "any" else scope["limits"].values()
    corners = [] if scope["areas"] == "any" else [pair for _, *box in scope["areas"] for pair in zip(*box, strict=True)]
    times = [] if scope["times"] == "any" else scope["times"]
    return (
        all(map(ordered, sets))
        and all(least <= most for least, most in [*limits, *corners])
        and all(first < last for first, last, _ in times)
    )


def combines(sort: str, payload: Any) -> bool:
    """The rules that CDDL cannot say, as the head of format.cddl lists them; the shape is right already."""
    if sort == "credential":
        granted = payload[-70002]["roles"]
        return (
            payload[5] < payload[4] and scope_fits(payload[-70002]) and (not granted or payload[-70001] == "authority")
        )
    if sort == "matrix":
        return ordered(item[0] for item in payload["issuers"]) and all(
            scope_fits(item[2]) for item in payload["issuers"]
        )
    if sort == "grant":
        return ordered(payload["actuators"])
    return sort in ("request", "observation") or ordered(item[0] for item in payload[1])


@sorts
def test_valid_payloads(sort: str) -> None:
    """What we take for one of them is one for the CDDL, with the envelope and without, and under no other rule."""

    @settings(max_examples=40)
    @given(PAYLOADS[sort], st.sampled_from(sorted(set(RULES) - {sort})))
    def check(payload: Any, other: str) -> None:
        assert reads(sort, payload)
        assert combines(sort, payload)
        assert conforms(sort, payload)
        assert not conforms(other, payload)
        raw = sign1.sign(SIGNER, USES[sort], naive_cbor(payload))
        assert CDDL.validate(raw, root_type=f"signed-{sort}").valid
        assert not CDDL.validate(raw, root_type=f"signed-{other}").valid

    check()


@sorts
def test_mutated_payloads(sort: str) -> None:
    """One changed in one place is taken by both or refused by both, the listed rules apart."""

    @settings(max_examples=150)
    @given(PAYLOADS[sort].flatmap(mutated).filter(encodes))
    def check(payload: Any) -> None:
        conforming = conforms(sort, payload)
        event(f"conforming: {conforming}")
        assert reads(sort, payload) == (conforming and combines(sort, payload)), payload

    check()
