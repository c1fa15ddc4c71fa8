"""Credentials: CWTs (RFC 8392) in COSE_Sign1, bound to a key (RFC 8747), with role and scope (FORMAT.md section 6).

One is referred to by the SHA-256 of its exact bytes, never by its serial, which could be issued again.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta, Struct, ValidationError, convert

from recorder.core import cbor, scope, sign1
from recorder.core.errors import FormatError
from recorder.core.keys import Signer, kid
from recorder.core.kinds import Bytes16, Hash, Name, Uint
from recorder.core.scope import Role, Scope
from recorder.core.sign1 import CREDENTIAL, Sign1

ERROR = CREDENTIAL.error

# Labels of RFC 8392 section 3.1 and RFC 8747 section 3.1; the negative ones are private use.
_ISS, _SUB, _EXP, _NBF, _IAT, _CTI, _CNF = 1, 2, 4, 5, 6, 7, 8
_ROLE, _SCOPE, _DELEGATED_FROM = -70_001, -70_002, -70_003
_NEEDED = (_ISS, _SUB, _EXP, _NBF, _IAT, _CTI, _CNF, _ROLE, _SCOPE)
_PERMITTED = ({*_NEEDED}, {*_NEEDED, _DELEGATED_FROM})
_COSE_KEY = 1  # in cnf
_KEY = (1, -1, -2)  # COSE_Key: kty, crv, x
_OKP, _ED25519 = 1, 6  # RFC 9053 section 7


class Terms(NamedTuple):
    """What a credential says."""

    issuer: str
    subject: str
    expires_s: int  # UTC; the credential is invalid from the first nanosecond of it
    not_before_s: int
    issued_s: int
    serial: bytes
    key: bytes  # of the subject
    role: Role
    scope: Scope
    delegated_from: bytes | None  # hash of the parent; None where a root or a recognised issuer signed


class Credential(NamedTuple):
    """A credential that was read; reading it has not checked who signed it."""

    signed: Sign1
    hash: bytes
    terms: Terms


class _Fields(Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """The claims but for scope, in the order of `Terms`."""

    issuer: Name
    subject: Name
    expires_s: Uint
    not_before_s: Uint
    issued_s: Uint
    serial: Bytes16
    key: tuple[Literal[1], Literal[6], Hash]
    role: Role
    delegated_from: Annotated[bytes, Meta(min_length=32, max_length=32)] | None


def issue(terms: Terms, signer: Signer) -> bytes:
    """Make the bytes of a credential.

    Raises:
        FormatError: credential_malformed: readers would refuse these terms.
        Misuse: the credential is too large.

    """
    payload = _payload(terms)
    _read_payload(payload)
    return sign1.sign(signer, CREDENTIAL, payload)


def read(raw: bytes) -> Credential:
    """Read a credential and check its encoding, its claims and their shapes; not who signed it, nor whether he may.

    Raises:
        FormatError: credential_malformed.

    """
    signed = sign1.read(raw, CREDENTIAL)
    return Credential(signed, signed.hash, _read_payload(signed.payload))


def device_kid_in(raw: object) -> bytes | None:
    """The kid that a credential of role actuator speaks for; None for anything else."""
    try:
        terms = read(raw).terms if isinstance(raw, bytes) else None
    except FormatError:
        return None
    return kid(terms.key) if terms is not None and terms.role == "actuator" else None


def _payload(terms: Terms) -> bytes:
    claims: dict[int, Any] = {
        _ISS: terms.issuer,
        _SUB: terms.subject,
        _EXP: terms.expires_s,
        _NBF: terms.not_before_s,
        _IAT: terms.issued_s,
        _CTI: terms.serial,
        _CNF: {_COSE_KEY: dict(zip(_KEY, (_OKP, _ED25519, terms.key), strict=True))},
        _ROLE: terms.role,
        _SCOPE: scope.to_value(terms.scope),
    }
    if terms.delegated_from is not None:
        claims[_DELEGATED_FROM] = terms.delegated_from
    try:
        return cbor.encode(claims, labels=True)
    except FormatError as error:
        raise FormatError(ERROR, error.detail) from None


def _read_payload(payload: bytes) -> Terms:
    try:
        claims = cbor.decode(payload, labels=True)
    except FormatError as error:
        raise FormatError(ERROR, error.detail) from None
    if not isinstance(claims, dict) or claims.keys() not in _PERMITTED:
        raise FormatError(
            ERROR, f"not a map of the claims {', '.join(map(str, _NEEDED))} and perhaps {_DELEGATED_FROM}"
        )
    parent = claims.get(_DELEGATED_FROM)
    if parent is None and _DELEGATED_FROM in claims:
        raise FormatError(ERROR, f"claim {_DELEGATED_FROM} stands with null; what is absent is left out")
    listed = [claims[label] for label in (_ISS, _SUB, _EXP, _NBF, _IAT, _CTI)]
    try:
        fields = convert([*listed, _key(claims[_CNF]), claims[_ROLE], parent], _Fields, builtin_types=(bytes,))
    except ValidationError as error:
        raise FormatError(ERROR, str(error)) from None
    if fields.not_before_s >= fields.expires_s:
        raise FormatError(ERROR, f"not before {fields.not_before_s}, expired at {fields.expires_s}: never valid")
    granted = scope.read(claims[_SCOPE], ERROR)
    if granted.roles and fields.role != "authority":
        raise FormatError(ERROR, f"a credential of role {fields.role} grants roles, which only authorities issue")
    return Terms(
        fields.issuer, fields.subject, fields.expires_s, fields.not_before_s, fields.issued_s, fields.serial,
        fields.key[2], fields.role, granted, fields.delegated_from,
    )  # fmt: skip


def _key(confirmation: cbor.Value) -> list[Any]:
    """The parts of the COSE_Key in `cnf`."""
    if isinstance(confirmation, dict) and confirmation.keys() == {_COSE_KEY}:
        key = confirmation[_COSE_KEY]
        if isinstance(key, dict) and key.keys() == set(_KEY):
            return [key[label] for label in _KEY]
    raise FormatError(ERROR, f"claim {_CNF} is not an Ed25519 key as {{1: {{1: 1, -1: 6, -2: x}}}}")
