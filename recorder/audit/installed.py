"""Policies, credentials, matrices and revocation lists that a lineage holds, in the order of their installation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

from recorder.audit.describe import values_of
from recorder.audit.source import LineageSource, kind_of
from recorder.core import credential, matrix, revocation
from recorder.core.credential import Credential
from recorder.core.delegation import trace
from recorder.core.entry import entry_hash
from recorder.core.errors import FormatError
from recorder.core.ids import entry_id
from recorder.core.kinds import Kind
from recorder.core.matrix import Matrix
from recorder.core.note import VerifierKey
from recorder.core.revocation import RevocationList

BUNDLE, CREDENTIAL, MATRIX, REVOCATION = "bundle", "credential", "matrix", "revocation"
_CLAIMS = {Kind.POLICY: (BUNDLE,), Kind.CREDENTIAL: (CREDENTIAL, MATRIX, REVOCATION)}


class Installed(NamedTuple):
    """What one entry brought."""

    seq: int
    id: str
    claim: str | None  # that holds the bytes; None where it is withheld, deleted or cannot be read
    raw: bytes


class Held(NamedTuple):
    """A credential that is held, and what the lineage says against it."""

    installed: Installed
    credential: Credential
    revoked: Revocation | None


class Revocation(NamedTuple):
    """The first list that names a credential, and whether who signed it stands above it, as far as is known here."""

    installed: Installed
    reason: str
    acts: bool


class Credentials(NamedTuple):
    """All of a lineage's."""

    held: list[Held]
    matrix: tuple[Installed, Matrix] | None  # in force; None where there is none, or no root of it is known here
    lists: list[tuple[Installed, RevocationList]]
    unreadable: list[Installed]


def installed(source: LineageSource, kind: Kind) -> Iterator[Installed]:
    """What entries of this kind brought, POLICY or CREDENTIAL, in order.

    Raises:
        StoreError, FormatError, OSError, Unavailable: the source cannot be read on.

    """
    with closing(source.read()) as entries:
        for held in entries:
            if kind_of(held.raw) != kind:
                continue
            body = values_of(held.claims).get("body", {})
            found = next((name for name in _CLAIMS[kind] if isinstance(body.get(name), bytes)), None)
            printed = str(entry_id(entry_hash(held.raw), held.seq))
            yield Installed(held.seq, printed, found, b"" if found is None else body[found])


def credentials(source: LineageSource, roots: Sequence[VerifierKey]) -> Credentials:
    """Read all credentials, and which lists revoke them; raises as `installed`."""
    found: dict[bytes, tuple[Installed, Credential]] = {}
    lists: list[tuple[Installed, RevocationList]] = []
    recognising: tuple[Installed, Matrix] | None = None
    unreadable = []
    for one in installed(source, Kind.CREDENTIAL):
        try:
            if one.claim == CREDENTIAL:
                read = credential.read(one.raw)
                found.setdefault(read.hash, (one, read))
            elif one.claim == REVOCATION:
                lists.append((one, revocation.read(one.raw)))
            elif one.claim == MATRIX and roots:
                recognising = one, matrix.read(one.raw, roots)
            elif one.claim is None:
                unreadable.append(one)
        except FormatError:
            unreadable.append(one)
    pool = {digest: read for digest, (_, read) in found.items()}
    recognised = recognising and recognising[1]
    held = [
        Held(one, read, _revocation(read, pool, recognised, roots, lists)) for one, read in found.values()
    ]  # fmt: skip
    return Credentials(held, recognising, lists, unreadable)


def _revocation(
    read: Credential,
    pool: dict[bytes, Credential],
    recognised: Matrix | None,
    roots: Sequence[VerifierKey],
    lists: list[tuple[Installed, RevocationList]],
) -> Revocation | None:
    """The first list that acts on it, else the first that names it."""
    naming = [
        (one, listed, item.reason) for one, listed in lists for item in listed.revoked if item.credential == read.hash
    ]
    if not naming:
        return None
    chain = trace(read, pool, recognised, roots)
    judged = [Revocation(one, why, revocation.may_revoke(listed, chain, roots)) for one, listed, why in naming]
    return next((one for one in judged if one.acts), judged[0])
