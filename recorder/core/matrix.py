"""The recognition matrix: which intermediates a root lets issue which credentials (FORMAT.md section 6).

A fleet's root key stays in a safe; the matrix that it signed names the keys that work for it day by day, each with a
scope.  A newer matrix replaces the one before it whole, so what it leaves out is no longer recognised.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

from recorder.core import cbor, scope, sign1
from recorder.core.errors import FormatError
from recorder.core.fields import read_fields
from recorder.core.keys import Signer
from recorder.core.kinds import Hash, Name, Uint
from recorder.core.note import VerifierKey
from recorder.core.scope import Scope
from recorder.core.sign1 import MATRIX

ERROR = MATRIX.error


class Issuer(NamedTuple):
    """A recognised intermediate."""

    key: bytes
    name: str
    scope: Scope  # what it may grant; its `roles` are those that it may issue


class Matrix(NamedTuple):
    """A matrix whose signature by a root was checked."""

    raw: bytes
    hash: bytes
    root: VerifierKey  # that signed it
    version: int
    issued_s: int  # UTC
    issuers: tuple[Issuer, ...]


class _Fields(NamedTuple):
    version: Uint
    issued_utc_s: Uint
    issuers: list[tuple[Hash, Name, dict[str, Any]]]


def issue(version: int, issued_s: int, issuers: Iterable[Issuer], root: Signer) -> bytes:
    """Make the bytes of a matrix.

    Raises:
        FormatError: matrix_malformed: readers would refuse it.
        Misuse: the matrix is too large.

    """
    in_order = sorted(issuers, key=lambda issuer: issuer.key)
    listed = [[issuer.key, issuer.name, scope.to_value(issuer.scope)] for issuer in in_order]
    try:
        payload = cbor.encode({"version": version, "issued_utc_s": issued_s, "issuers": listed})
    except FormatError as error:
        raise FormatError(ERROR, error.detail) from None
    _read_payload(payload)
    return sign1.sign(root, MATRIX, payload)


def read(raw: bytes, roots: Iterable[VerifierKey]) -> Matrix:
    """Read a matrix that one of these roots signed.

    Raises:
        FormatError: matrix_malformed, matrix_signature.

    """
    signed = sign1.read(raw, MATRIX)
    root = next((root for root in roots if sign1.verify(signed, root.public_key)), None)
    if root is None:
        raise FormatError("matrix_signature", f"no root that is trusted here signed it; its kid is {signed.kid.hex()}")
    version, issued_s, issuers = _read_payload(signed.payload)
    return Matrix(raw, signed.hash, root, version, issued_s, issuers)


def stated(raw: bytes) -> tuple[int, tuple[Issuer, ...]]:
    """Version and issuers that a matrix states, whoever signed it.

    Raises:
        FormatError: matrix_malformed.

    """
    version, _, issuers = _read_payload(sign1.read(raw, MATRIX).payload)
    return version, issuers


def check_newer(matrix: Matrix, held: Matrix) -> None:
    """Check that a matrix may take the place of the one that is held.

    Raises:
        FormatError: matrix_version: it is older, or another one of the same version.

    """
    if matrix.version < held.version or (matrix.version == held.version and matrix.hash != held.hash):
        raise FormatError("matrix_version", f"version {matrix.version} after version {held.version}: it only grows")


def _read_payload(payload: bytes) -> tuple[int, int, tuple[Issuer, ...]]:
    fields = read_fields(payload, _Fields, ERROR)
    issuers = tuple(Issuer(key, name, scope.read(granted, ERROR)) for key, name, granted in fields.issuers)
    if not all(one.key < other.key for one, other in pairwise(issuers)):
        raise FormatError(ERROR, "issuers are not in the order of their keys, each once")
    return fields.version, fields.issued_utc_s, issuers
