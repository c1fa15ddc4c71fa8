"""Lists of revoked credentials, signed by an authority above them (FORMAT.md section 6).

A list travels to the recorders, and acts in each from the seq of the entry that brought it there.  `since_s` is what
the authority says of the time, for people: no verdict depends on it, since clocks can be set back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from msgspec import ValidationError, convert

from recorder.core import cbor, sign1
from recorder.core.delegation import Chain
from recorder.core.errors import FormatError
from recorder.core.keys import Signer
from recorder.core.kinds import Hash, Reason, Uint
from recorder.core.note import VerifierKey
from recorder.core.sign1 import REVOCATION, Sign1


class Revoked(NamedTuple):
    """One credential that its authority takes back."""

    credential: Hash
    since_s: Uint  # UTC
    reason: Reason


class RevocationList(NamedTuple):
    """A list that was read; reading it has not checked who signed it."""

    signed: Sign1
    version: int  # only grows
    revoked: tuple[Revoked, ...]


class _Fields(NamedTuple):
    version: Uint
    revoked: tuple[Revoked, ...]


def make(version: int, revoked: Iterable[Revoked], signer: Signer) -> bytes:
    """Make the bytes of a list; a later one of the same signer replaces it whole.

    Raises:
        FormatError: revocation_malformed: readers would refuse it.
        Misuse: the list is too large.

    """
    try:
        payload = cbor.encode([version, sorted([*item] for item in revoked)])
    except FormatError as error:
        raise FormatError(REVOCATION.error, error.detail) from None
    _read_payload(payload)
    return sign1.sign(signer, REVOCATION, payload)


def read(raw: bytes) -> RevocationList:
    """Read a list.

    Raises:
        FormatError: revocation_malformed.

    """
    signed = sign1.read(raw, REVOCATION)
    return RevocationList(signed, *_read_payload(signed.payload))


def may_revoke(listed: RevocationList, chain: Chain, roots: Sequence[VerifierKey]) -> bool:
    """Tell whether who signed the list stands above the credential of this chain; else the list does not touch it.

    The subject itself does not: a stolen key could stop the machine that it was stolen from.
    """
    return any(sign1.verify(listed.signed, key) for key in keys_above(chain, roots))


def keys_above(chain: Chain, roots: Sequence[VerifierKey], link: int = 0) -> list[bytes]:
    """The keys whose lists act on a link of a chain, which is the first one where nothing is said."""
    above = [one.terms.key for one in chain.links[link + 1 :]] + [root.public_key for root in roots]
    return above if chain.anchor is None else [*above, chain.anchor.key]


def _read_payload(payload: bytes) -> _Fields:
    try:
        fields = convert(cbor.decode(payload), _Fields, builtin_types=(bytes,))
    except FormatError as error:
        raise FormatError(REVOCATION.error, error.detail) from None
    except ValidationError as error:
        raise FormatError(REVOCATION.error, str(error)) from None
    if not all(one.credential < other.credential for one, other in pairwise(fields.revoked)):
        raise FormatError(REVOCATION.error, "credentials are not in order of their hashes, each once")
    return fields
