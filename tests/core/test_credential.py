"""Credentials, matrices, requests, revocation lists, observations, grants: one encoding each, every byte counts, and no bytes raise anything else."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core import credential, grant, matrix, observation, request, revocation, sign1
from recorder.core.delegation import trace
from recorder.core.errors import FormatError, Misuse
from recorder.core.fields import read_fields
from recorder.core.findings import FINDINGS
from recorder.core.keys import SeedSigner
from recorder.core.matrix import Issuer
from recorder.core.note import ED25519, VerifierKey
from recorder.core.request import CredentialRequest
from recorder.core.revocation import Revoked
from recorder.core.sign1 import CREDENTIAL, GRANT, MATRIX, OBSERVATION, POLICY, REQUEST, REVOCATION, USES, Use
from tests.core.credential_shapes import cwts, grants, matrices, observations, requests, revocations
from tests.core.shapes import mangled, mutated, naive_cbor, values
from tests.credential_builder import (
    ARM,
    BEGIN_S,
    DEPOT,
    EVERYTHING,
    ROOT,
    delegated,
    from_root,
    issued,
    recognised,
    rescoped,
    signer,
    terms,
)

SIGNER = signer(ROOT.name)


def remake_credential(raw: bytes) -> bytes:
    read = credential.read(raw)
    assert read.hash == sha256(raw).digest()
    return credential.issue(read.terms, SIGNER)


def remake_matrix(raw: bytes) -> bytes:
    read = matrix.read(raw, [ROOT])
    return matrix.issue(read.version, read.issued_s, read.issuers[::-1], SIGNER)


def remake_request(raw: bytes) -> bytes:
    asked = read_fields(sign1.read(raw, REQUEST).payload, CredentialRequest, REQUEST.error)
    return sign1.sign(SIGNER, REQUEST, naive_cbor(asked._asdict()))


def remake_revocation(raw: bytes) -> bytes:
    read = revocation.read(raw)
    return revocation.make(read.version, read.revoked[::-1], SIGNER)


def remake_observation(raw: bytes) -> bytes:
    return observation.make(observation.read(raw).says, SIGNER)


def remake_grant(raw: bytes) -> bytes:
    says = grant.read(raw).says
    return grant.make(says._replace(actuators=says.actuators[::-1]), SIGNER)


class Format(NamedTuple):
    """One of the formats that are signed apart from a log."""

    use: Use
    payloads: st.SearchStrategy[Any]
    remake: Callable[[bytes], bytes]  # reads, and makes the same again of the values read


FORMATS = [
    Format(CREDENTIAL, cwts(), remake_credential),
    Format(MATRIX, matrices, remake_matrix),
    Format(REQUEST, requests, remake_request),
    Format(REVOCATION, revocations, remake_revocation),
    Format(OBSERVATION, observations, remake_observation),
    Format(GRANT, grants, remake_grant),
]
formats = pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.use.error.partition("_")[0])


def taken(form: Format, raw: bytes) -> bool:
    """Whether these bytes are read; then what was read makes the same bytes again."""
    try:
        again = form.remake(raw)
    except FormatError as error:
        assert error.error in {form.use.error, "matrix_signature"}
        return False
    assert again[:-64] == raw[:-64]
    return True


@formats
def test_read_is_what_was_signed(form: Format) -> None:
    """Whatever has the shape is read, and what was read makes the same bytes again."""

    @given(form.payloads)
    def check(payload: Any) -> None:
        raw = sign1.sign(SIGNER, form.use, naive_cbor(payload))
        assert form.remake(raw) == raw

    check()


@formats
def test_mutated_payloads(form: Format) -> None:
    """A payload changed in one place is refused under the format's name, or makes the same bytes again."""

    @given(form.payloads.flatmap(mutated) | values)
    def check(payload: Any) -> None:
        taken(form, sign1.sign(SIGNER, form.use, naive_cbor(payload)))

    check()


@formats
def test_mangled_payloads(form: Format) -> None:
    """So is one with bytes changed, inserted, removed or added, its signature made anew."""

    @given(form.payloads.flatmap(lambda payload: mangled(naive_cbor(payload))))
    def check(payload: bytes) -> None:
        taken(form, sign1.sign(SIGNER, form.use, payload))

    check()


@formats
def test_any_bytes(form: Format) -> None:
    """Arbitrary bytes, and arbitrary payloads, are refused under the format's name."""

    @given(st.binary(max_size=300))
    def check(data: bytes) -> None:
        assert not taken(form, data)
        taken(form, sign1.sign(SIGNER, form.use, data))

    check()


def test_every_use_has_its_finding() -> None:
    """What each use's reader raises is a named error of step 1."""
    assert {FINDINGS[use.error].step for use in USES} == {1}


# --- Credentials

RAW = credential.issue(terms("ann", ROOT.name), SIGNER)


def spelled() -> dict[int, Any]:
    """A credential's payload, after FORMAT.md section 6."""
    scope = {
        "action_classes": ["grip", "motion"], "actuators": ["elbow", "gripper", "shoulder"],
        "limits": {"N": [0.0, 60.0], "m/s": [0, 1.5], "none": [0, 0]},
        "areas": [["map", [0, 0, 0], [30, 20, 3]], ["cell", [-1.0, -1.0, 0.0], [1.0, 1.0, 2.0]]],
        "times": [[21600, 79200, 31], [28800, 50400, 64]], "counts": {"commits": 1000, "seconds": 3600}, "delegations": 2,
        "roles": [],
    }  # fmt: skip
    return {
        1: "acme/root", 2: "ann", 4: 1_760_086_400, 5: 1_760_000_000, 6: 1_759_999_940,
        7: sha256(b"ann of acme/root").digest()[:16], 8: {1: {1: 1, -1: 6, -2: signer("ann").public_key}},
        -70001: "operator", -70002: scope,
    }  # fmt: skip


def test_spelled_to_the_byte() -> None:
    """A credential is the CWT that the format says, encoded by another encoder, under the label of credentials."""
    assert sign1.sign(SIGNER, CREDENTIAL, naive_cbor(spelled())) == RAW
    assert sign1.read(RAW, CREDENTIAL).payload[:11] == b"\xa9\x01\x69acme/roo"
    assert b"\x3a\x00\x01\x11\x70\x68operator\x3a\x00\x01\x11\x71\xa8" in RAW
    assert credential.read(RAW).terms == terms("ann", ROOT.name)


def test_a_delegation_names_its_parent_by_hash() -> None:
    """Label -70003 holds the SHA-256 of the parent's exact bytes."""
    parent = from_root("ann")
    child = delegated(parent, "bob")
    payload = child.signed.payload
    assert payload.endswith(b"\x3a\x00\x01\x11\x72\x58\x20" + sha256(parent.signed.raw).digest())


def test_every_byte_counts() -> None:
    """With any bit of any byte of it flipped a credential is refused, or its signature does not hold."""
    for at in range(len(RAW)):
        for bit in range(8):
            changed = RAW[:at] + bytes([RAW[at] ^ 1 << bit]) + RAW[at + 1 :]
            try:
                signed = credential.read(changed).signed
            except FormatError as error:
                assert error.error == "credential_malformed"
            else:
                assert not sign1.verify(signed, ROOT.public_key), at


@pytest.mark.parametrize(
    ("changed", "detail"),
    [
        ({4: 1_760_000_000}, "never valid"),
        ({4: 1_760_086_400.0}, "got `float`"),
        ({5: -1}, ">= 0"),
        ({7: bytes(15)}, "length >= 16"),
        ({1: ""}, "length >= 1"),
        ({2: "x" * 257}, "length <= 256"),
        ({8: {1: {1: 1, -1: 6}}}, "claim 8 is not an Ed25519 key"),
        ({8: {1: {1: 1, -1: 6, -2: bytes(32), -4: bytes(32)}}}, "claim 8 is not an Ed25519 key"),
        ({8: {1: {1: 1, -1: 6, -2: bytes(31)}}}, "length >= 32"),
        ({8: {1: {1: 2, -1: 6, -2: bytes(32)}}}, "Invalid enum value 2"),
        ({8: {1: {1: 1, -1: 4, -2: bytes(32)}}}, "Invalid enum value 4"),
        ({8: {1: {1: True, -1: 6, -2: bytes(32)}}}, "Expected `int`"),
        ({8: {3: bytes(8)}}, "claim 8 is not an Ed25519 key"),
        ({-70001: "chief"}, "Invalid enum value 'chief'"),
        ({-70003: bytes(31)}, "length >= 32"),
        ({-70003: None}, "claim -70003 stands with null"),
        ({3: "aud"}, "not a map of the claims"),
        ({-70004: 1}, "not a map of the claims"),
        ({-70002: {**spelled()[-70002], "roles": ["operator"]}}, "grants roles, which only authorities issue"),
        ({-70002: {}}, "a scope is not a map of"),
        ({-70002: {**spelled()[-70002], "limits": {-1: [0, 1]}}}, "Expected `str`"),
    ],
)  # fmt: skip
def test_what_is_no_credential(changed: dict[int, Any], detail: str) -> None:
    """A claim more, of another type or beyond its range is refused, whoever signed it, and cannot be issued."""
    with pytest.raises(FormatError) as caught:
        credential.read(sign1.sign(SIGNER, CREDENTIAL, naive_cbor({**spelled(), **changed})))
    assert caught.value.error == "credential_malformed"
    assert detail in caught.value.detail


@pytest.mark.parametrize("label", sorted(spelled()))
def test_a_claim_that_is_missing(label: int) -> None:
    """Every claim has to be there."""
    less = {key: value for key, value in spelled().items() if key != label}
    with pytest.raises(FormatError, match="credential_malformed: not a map of the claims"):
        credential.read(sign1.sign(SIGNER, CREDENTIAL, naive_cbor(less)))


def test_what_readers_refuse_is_not_issued() -> None:
    """Terms that could not be read again are refused before they are signed."""
    for wrong in ({"expires_s": 5}, {"serial": b""}, {"subject": "\ud800"}, {"scope": rescoped(ARM, delegations=99)}):
        with pytest.raises(FormatError, match="credential_malformed"):
            credential.issue(terms("ann", ROOT.name, **wrong), SIGNER)
    large = rescoped(ARM, actuators=frozenset(f"actuator {number}" for number in range(1000)))
    with pytest.raises(Misuse, match="over 8192"):
        credential.issue(terms("ann", ROOT.name, scope=large), SIGNER)


# --- The matrix

DEPOT_KEY = signer(DEPOT).public_key


def test_a_matrix_of_no_root() -> None:
    """What a key signed that the verifier's trust file does not name as a root is no matrix."""
    raw = matrix.issue(1, BEGIN_S, [Issuer(DEPOT_KEY, DEPOT, EVERYTHING)], signer("mallory"))
    with pytest.raises(FormatError, match="matrix_signature: no root"):
        matrix.read(raw, [ROOT])
    other = VerifierKey.derive("mallory", ED25519, signer("mallory").public_key)
    assert matrix.read(raw, [ROOT, other]).root == other


def test_a_matrix_that_was_altered() -> None:
    """A matrix with a bit flipped, or signed by a root for another use, is refused."""
    raw = matrix.issue(1, BEGIN_S, [Issuer(DEPOT_KEY, DEPOT, EVERYTHING)], SIGNER)
    for at in range(len(raw)):
        with pytest.raises(FormatError, match="matrix_"):
            matrix.read(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :], [ROOT])
    with pytest.raises(FormatError, match="matrix_signature"):
        matrix.read(sign1.sign(SIGNER, POLICY, sign1.read(raw, MATRIX).payload), [ROOT])


def test_the_version_of_a_matrix_only_grows() -> None:
    """An older matrix, or another one of the same version, cannot take the place of the one that is held."""
    old, held, again, newer = (
        matrix.read(matrix.issue(version, at_s, [], SIGNER), [ROOT])
        for version, at_s in ((1, BEGIN_S), (2, BEGIN_S), (2, BEGIN_S + 1), (3, BEGIN_S))
    )
    matrix.check_newer(newer, held)
    matrix.check_newer(held, held)
    for wrong in (old, again):
        with pytest.raises(FormatError, match="matrix_version"):
            matrix.check_newer(wrong, held)


def test_an_issuer_twice() -> None:
    """A key that stands twice would have two scopes: refused, also when it is made."""
    twice = [Issuer(DEPOT_KEY, DEPOT, EVERYTHING), Issuer(DEPOT_KEY, DEPOT, ARM)]
    with pytest.raises(FormatError, match="matrix_malformed: issuers are not in the order"):
        matrix.issue(1, BEGIN_S, twice, SIGNER)


# --- Requests and revocations


def test_a_request_proves_possession() -> None:
    """What is read is a name, a role and the key that signed; with another key in it, it is refused."""
    raw = request.make("arm-7", "platform", SIGNER)
    assert request.read(raw) == (SIGNER.public_key, "arm-7", "platform")
    stolen = naive_cbor({"key": DEPOT_KEY, "name": "arm-7", "role": "platform"})
    with pytest.raises(FormatError, match="request_signature: arm-7"):
        request.read(sign1.sign(SIGNER, REQUEST, stolen))
    with pytest.raises(FormatError, match="request_malformed"):
        request.make("", "platform", SIGNER)


def test_who_may_revoke() -> None:
    """A root, a recognised issuer and each key above a credential may revoke it; its own key may not, nor one beside it."""
    ann = issued(DEPOT, terms("ann", DEPOT))
    bob = delegated(ann, "bob")
    recognising = recognised((DEPOT, EVERYTHING))
    chain = trace(bob, {ann.hash: ann}, recognising, [ROOT])
    assert chain.reasons == ()
    listed = [Revoked(bob.hash, BEGIN_S, "stolen")]

    def may(key: SeedSigner) -> bool:
        return revocation.may_revoke(revocation.read(revocation.make(1, listed, key)), chain, [ROOT])

    assert [may(signer(name)) for name in (ROOT.name, DEPOT, "ann", "bob", "carol")] == [True, True, True, False, False]


def test_a_list_says_what_it_revokes() -> None:
    """It is read in order of hashes; out of order, or with one twice, it is refused."""
    listed = [Revoked(bytes([n]) * 32, BEGIN_S, "lost") for n in (2, 1)]
    assert revocation.read(revocation.make(7, listed, SIGNER))[1:] == (7, tuple(listed[::-1]))
    for items in (listed, listed[:1] * 2):
        raw = sign1.sign(SIGNER, REVOCATION, naive_cbor([7, [[*item] for item in items]]))
        with pytest.raises(FormatError, match="revocation_malformed: credentials are not in order"):
            revocation.read(raw)
