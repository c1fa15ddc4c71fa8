"""The vectors of credentials: a chain with its roots, matrix and moment, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from recorder.core import matrix, request, revocation, sign1
from recorder.core.credential import Credential, Terms, read
from recorder.core.delegation import Moment
from recorder.core.findings import FINDINGS
from recorder.core.matrix import Issuer
from recorder.core.revocation import Revoked
from recorder.core.scope import Role, Scope, to_value
from tests.credential_builder import (
    ARM,
    BEGIN_S,
    DAY_S,
    DEPOT,
    EVERYTHING,
    NS,
    ROOT,
    at,
    delegated,
    from_root,
    issued,
    rescoped,
    signer,
    terms,
)  # fmt: skip

OPERATORS = rescoped(ARM, counts=None, delegations=3, roles=frozenset({"operator"}))


@dataclass
class Chained:
    """A credential, what a verifier has beside it, and what it finds."""

    links: list[Credential]  # the credential last; the others in the order in which they were issued
    verdict: str = "invalid"
    matrix: bytes | None = None
    moment: Moment = field(default_factory=at)
    revocations: dict[bytes, int] = field(default_factory=dict)
    roles: tuple[Role, ...] = ("operator",)  # that the use asks for


def matrix_of(*scopes: tuple[str, Scope], version: int = 1, by: str = ROOT.name) -> bytes:
    issuers = [Issuer(signer(name).public_key, name, scope) for name, scope in scopes]
    return matrix.issue(version, BEGIN_S, issuers, signer(by))


DEPOT_MATRIX = matrix_of((DEPOT, OPERATORS))
ANN = issued(DEPOT, terms("ann", DEPOT))


def below_ann(**changed: Any) -> Chained:
    """A delegation by a holder whom a recognised issuer vouches for."""
    return Chained([ANN, delegated(ANN, "bob", **changed)], matrix=DEPOT_MATRIX)


def forged(credential: Credential) -> Credential:
    """The same credential, signed by another key under the kid of the right one."""
    other = sign1.sign(signer("mallory"), sign1.CREDENTIAL, credential.signed.payload)
    return read(credential.signed.raw[:-64] + other[-64:])


def delegated_chain() -> Chained:
    """A root recognises a depot, which grants ann, who delegates less of it to bob."""
    chained = below_ann()
    chained.verdict = "valid"
    return chained


def authority_chain() -> Chained:
    """A root makes an authority, which issues a platform's credential and stands in no matrix."""
    chief = from_root("chief", role="authority", scope=EVERYTHING)
    return Chained([chief, delegated(chief, "arm-7", role="platform", scope=ARM)], "valid", roles=("platform",))


def last_nanosecond() -> Chained:
    """A nanosecond before exp a credential is valid."""
    moment = Moment((BEGIN_S + DAY_S) * NS - 1, (BEGIN_S + DAY_S) * NS - 1, 0)
    return Chained([from_root("ann")], "valid", moment=moment)


def revoked_later() -> Chained:
    """Below the seq of its revocation a credential is valid."""
    ann = from_root("ann")
    return Chained([ann], "valid", moment=at(seq=6), revocations={ann.hash: 7})


def indeterminate() -> Chained:
    """What is known of the time lies on both sides of exp."""
    moment = Moment((BEGIN_S + DAY_S) * NS - 1, (BEGIN_S + DAY_S) * NS, 0)
    return Chained([from_root("ann")], "indeterminate", moment=moment)


VALID = [delegated_chain, authority_chain, last_nanosecond, revoked_later, indeterminate]


def credential_signature() -> Chained:
    """The kid is the root's, the signature is not."""
    return Chained([forged(from_root("ann"))])


def issuer_unknown() -> Chained:
    """Signed by a key of neither trust file nor matrix."""
    return Chained([issued("mallory", terms("ann", ROOT.name))])


def issuer_mismatch() -> Chained:
    """A delegation names ann's credential as its parent, and a root signed it."""
    bob = issued(ROOT.name, terms("bob", "ann", delegated_from=ANN.hash, scope=Scope()))
    return Chained([ANN, bob], matrix=DEPOT_MATRIX)


def parent_unknown() -> Chained:
    """The parent is not at hand."""
    return Chained(below_ann().links[1:], matrix=DEPOT_MATRIX)


def delegation_role() -> Chained:
    """An operator makes a technician."""
    chained = below_ann(role="technician")
    chained.roles = ("technician",)
    return chained


def delegation_scope() -> Chained:
    """A child may press harder than its parent."""
    narrowed = rescoped(ARM, delegations=1, limits={"N": (0.0, 61.0)})
    return below_ann(scope=narrowed)


def delegation_validity() -> Chained:
    """A child expires a second after its parent."""
    return below_ann(expires_s=BEGIN_S + DAY_S + 1)


def delegation_depth() -> Chained:
    """A child may delegate as often as its parent."""
    return below_ann(scope=ARM)


def credential_early() -> Chained:
    """A nanosecond before nbf."""
    return Chained([from_root("ann")], moment=Moment(BEGIN_S * NS - 1, BEGIN_S * NS - 1, 0))


def credential_expired() -> Chained:
    """At exp itself."""
    return Chained([from_root("ann")], moment=at(BEGIN_S + DAY_S))


def credential_revoked() -> Chained:
    """At the seq of the parent's revocation."""
    chained = below_ann()
    chained.moment, chained.revocations = at(seq=7), {ANN.hash: 7}
    return chained


def role_mismatch() -> Chained:
    """All holds, but an operator's credential is used for what an evaluator's is for."""
    return Chained([from_root("ann")], "valid", roles=("evaluator",))


BROKEN = [
    credential_signature, issuer_unknown, issuer_mismatch, parent_unknown, delegation_role, delegation_scope,
    delegation_validity, delegation_depth, credential_early, credential_expired, credential_revoked, role_mismatch,
]  # fmt: skip


def _described(build: Callable[[], Chained], error: str | None) -> dict[str, Any]:
    chained = build()
    return {
        "name": build.__name__,
        "description": " ".join((build.__doc__ or "").split()),
        "roots": [str(ROOT)],
        "matrix": None if chained.matrix is None else chained.matrix.hex(),
        "pool": [link.signed.raw.hex() for link in chained.links[:-1]],
        "credential": chained.links[-1].signed.raw.hex(),
        "hash": chained.links[-1].hash.hex(),
        "revoked_from_seq": {credential.hex(): seq for credential, seq in chained.revocations.items()},
        "moment": chained.moment._asdict(),
        "roles": list(chained.roles),
        "terms": said(chained.links[-1].terms),
        "expected": {"verdict": chained.verdict, "error": error},
    }


def said(terms: Terms) -> dict[str, Any]:
    """What a credential says, for JSON."""
    plain = terms._asdict() | {"scope": to_value(terms.scope)}
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in plain.items()}


# --- What is read alone: bytes, what a reader has beside them, and the error


def _matrix_of_another_root() -> bytes:
    return matrix_of((DEPOT, OPERATORS), by="mallory")


def _request_for_a_stolen_key() -> bytes:
    asked = sign1.read(request.make("arm-7", "platform", signer("arm-7")), sign1.REQUEST)
    return sign1.sign(signer("mallory"), sign1.REQUEST, asked.payload)


def _cut(raw: bytes) -> bytes:
    return raw[:-65] + b"\x3f" + raw[-63:]  # a signature of 63 bytes


SINGLE: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "matrix": ("matrix", "A root's matrix with one issuer.", lambda: DEPOT_MATRIX),
    "request": ("request", "A platform asks.", lambda: request.make("arm-7", "platform", signer("arm-7"))),
    "revocation": (
        "revocation",
        "A root revokes one credential.",
        lambda: revocation.make(1, [Revoked(ANN.hash, BEGIN_S + 3600, "tablet lost")], signer(ROOT.name)),
    ),
    "matrix_signature": ("matrix", "Signed by no root of the verifier.", _matrix_of_another_root),
    "matrix_version": ("matrix", "Version 0 after version 1.", lambda: matrix_of((DEPOT, OPERATORS), version=0)),
    "request_signature": ("request", "Signed by another key than the one in it.", _request_for_a_stolen_key),
    "credential_malformed": ("credential", "A signature of 63 bytes.", lambda: _cut(ANN.signed.raw)),
    "matrix_malformed": ("matrix", "A signature of 63 bytes.", lambda: _cut(DEPOT_MATRIX)),
    "request_malformed": (
        "request",
        "A signature of 63 bytes.",
        lambda: _cut(request.make("arm-7", "platform", signer("arm-7"))),
    ),
    "revocation_malformed": (
        "revocation",
        "A signature of 63 bytes.",
        lambda: _cut(revocation.make(1, [], signer(ROOT.name))),
    ),
}


def vectors() -> dict[str, dict[str, Any]]:
    """Every vector by its path."""
    made = {f"credential/{build.__name__}.json": _described(build, None) for build in VALID}
    made |= {f"credential/broken/{build.__name__}.json": _described(build, build.__name__) for build in BROKEN}
    for name, (what, description, build) in SINGLE.items():
        error = name if name in FINDINGS else None
        made[f"credential/{'broken/' if error else ''}{name}.json"] = {
            "name": name,
            "description": description,
            "what": what,
            "roots": [str(ROOT)],
            "held_matrix": DEPOT_MATRIX.hex() if what == "matrix" else None,
            "bytes": build().hex(),
            "expected": {"error": error},
        }
    return made
