"""Chains of credentials: from one to a root, and what it is worth at a moment (FORMAT.md section 6).

`trace` is what does not change: who signed what, and whether each link lies within the one above.  `stand` holds a
traced chain against a moment, without a signature to check, so that a gate can ask it for every cycle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from recorder.core import sign1
from recorder.core.calendar import utc_text
from recorder.core.credential import Credential, Terms
from recorder.core.errors import FormatError
from recorder.core.keys import kid
from recorder.core.matrix import Matrix
from recorder.core.note import VerifierKey
from recorder.core.scope import DELEGATIONS_MAX, Role, Scope, within

NS = 1_000_000_000
LINKS_MAX = DELEGATIONS_MAX + 1

Verdict = Literal["valid", "invalid", "indeterminate"]


class Moment(NamedTuple):
    """When a credential is judged: what is known of the time, and where in the log that is.

    An unknown bound makes `indeterminate` of what it leaves open.  The seq is None outside any log: then each
    revocation that is known counts.
    """

    earliest_utc_ns: int | None  # both inclusive
    latest_utc_ns: int | None
    seq: int | None


class Reason(NamedTuple):
    """Why a chain is not valid, or may not be."""

    error: str
    credential: bytes  # hash of the link
    detail: str


class Anchor(NamedTuple):
    """Who signed the last link."""

    name: str
    key: bytes
    scope: Scope | None  # None: a root, which nothing bounds


class Chain(NamedTuple):
    """A credential and what it descends from, up to a root or a recognised issuer."""

    links: tuple[Credential, ...]  # the credential itself first
    anchor: Anchor | None  # None: what lies above the last link is not known, or did not sign it
    reasons: tuple[Reason, ...]  # that hold at any time


class Standing(NamedTuple):
    """What a credential is worth at a moment."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    chain: Chain


def judge(
    credential: Credential,
    pool: Mapping[bytes, Credential],
    matrix: Matrix | None,
    roots: Sequence[VerifierKey],
    revocations: Mapping[bytes, int],
    moment: Moment,
) -> Standing:
    """Trace a credential and say what it is worth.

    Args:
        credential: the one in question.
        pool: credentials that may stand above it, by hash.
        matrix: the recognition matrix in force, None where there is none.
        roots: the keys of the trust file.
        revocations: by hash of a credential, the seq of the entry from which it is revoked.
        moment: when.

    """
    return stand(trace(credential, pool, matrix, roots), revocations, moment)


def trace(
    credential: Credential, pool: Mapping[bytes, Credential], matrix: Matrix | None, roots: Sequence[VerifierKey]
) -> Chain:
    """Follow a credential up to its root and check each link against the one above.

    It goes no further up than signatures hold: what an unsigned link says of its parent is worth nothing.
    """
    links, reasons = [credential], []
    child = credential
    while (above := child.terms.delegated_from) is not None:
        parent = pool.get(above)
        if parent is None:
            reasons.append(Reason("parent_unknown", child.hash, f"no credential {above.hex()} is here"))
            return Chain(tuple(links), None, tuple(reasons))
        if unsigned := _unsigned(child, parent.terms.subject, parent.terms.key):
            return Chain(tuple(links), None, (*reasons, unsigned))
        if len(links) == LINKS_MAX:
            reasons.append(Reason("delegation_depth", child.hash, f"more than {LINKS_MAX} links"))
            return Chain(tuple(links), None, tuple(reasons))
        reasons += _beyond(child, parent.terms.role, parent.terms.scope)
        reasons += _outlives(child, parent.terms)
        links.append(parent)
        child = parent
    anchor, unsigned = _anchor(child, matrix, roots)
    if unsigned is not None:
        reasons.append(unsigned)
    if anchor is not None and anchor.scope is not None:
        reasons += _beyond(child, "authority", anchor.scope)
    return Chain(tuple(links), anchor, tuple(reasons))


def stand(chain: Chain, revocations: Mapping[bytes, int], moment: Moment) -> Standing:
    """Say what a traced chain is worth at a moment."""
    invalid, open_ = [*chain.reasons], []
    earliest, latest, seq = moment
    for link in chain.links:
        since = revocations.get(link.hash)
        if since is not None and (seq is None or seq >= since):
            invalid.append(Reason("credential_revoked", link.hash, f"{_name(link)}: revoked from seq {since}"))
        expires_ns, not_before_ns = link.terms.expires_s * NS, link.terms.not_before_s * NS
        # RFC 8392 sections 3.1.4 and 3.1.5: not on or after exp, not before nbf.
        if earliest is not None and earliest >= expires_ns:
            detail = f"{_name(link)}: expired at {utc_text(link.terms.expires_s)}"
            invalid.append(Reason("credential_expired", link.hash, detail))
        elif latest is None or latest >= expires_ns:
            open_.append(Reason("credential_expired", link.hash, f"{_name(link)}: may have expired by then"))
        if latest is not None and latest < not_before_ns:
            detail = f"{_name(link)}: not valid before {utc_text(link.terms.not_before_s)}"
            invalid.append(Reason("credential_early", link.hash, detail))
        elif earliest is None or earliest < not_before_ns:
            open_.append(Reason("credential_early", link.hash, f"{_name(link)}: may not have been valid yet"))
    if invalid:
        return Standing("invalid", tuple(invalid), chain)
    return Standing("indeterminate" if open_ else "valid", tuple(open_), chain)


def require_role(credential: Credential, *roles: Role) -> None:
    """Check that a credential may be used for what these roles are for.

    Raises:
        FormatError: role_mismatch.

    """
    if credential.terms.role not in roles:
        raise FormatError(
            "role_mismatch", f"{_name(credential)} has the role {credential.terms.role}, not {' or '.join(roles)}"
        )


def same_serial(credentials: Iterable[Credential]) -> list[tuple[bytes, ...]]:
    """Hashes of credentials that one key issued under one serial, which it should have used once; in order.

    They are different credentials, each worth what it is worth by itself, since nothing refers to one by its serial.
    """
    found: defaultdict[tuple[bytes, bytes], set[bytes]] = defaultdict(set)
    for credential in credentials:
        found[credential.signed.kid, credential.terms.serial].add(credential.hash)
    return sorted(tuple(sorted(hashes)) for hashes in found.values() if len(hashes) > 1)


def _anchor(
    child: Credential, matrix: Matrix | None, roots: Sequence[VerifierKey]
) -> tuple[Anchor | None, Reason | None]:
    """Who of those that need no credential signed this one, or why nobody of them did."""
    anchors = [Anchor(root.name, root.public_key, None) for root in roots]
    anchors += [Anchor(issuer.name, issuer.key, issuer.scope) for issuer in matrix.issuers] if matrix else []
    named = [anchor for anchor in anchors if kid(anchor.key) == child.signed.kid]
    if not named:
        detail = f"{_name(child)}: kid {child.signed.kid.hex()} is of no root and no recognised issuer"
        return None, Reason("issuer_unknown", child.hash, detail)
    failures = [_unsigned(child, anchor.name, anchor.key) for anchor in named]
    for anchor, failure in zip(named, failures, strict=True):
        if failure is None:
            return anchor, None
    return None, failures[0]


def _unsigned(child: Credential, name: str, key: bytes) -> Reason | None:
    """Why this issuer, by its name and key, did not sign a link; None where it did."""
    if child.signed.kid != kid(key):
        detail = f"{_name(child)}: kid {child.signed.kid.hex()} is not that of {name}"
        return Reason("issuer_mismatch", child.hash, detail)
    if not sign1.verify(child.signed, key):
        return Reason("credential_signature", child.hash, f"{_name(child)}: not signed by {name}")
    if child.terms.issuer != name:
        detail = f"{_name(child)}: names {child.terms.issuer} as issuer, and {name} signed"
        return Reason("issuer_mismatch", child.hash, detail)
    return None


def _beyond(child: Credential, role: Role, scope: Scope) -> list[Reason]:
    """In what a link goes beyond the role and scope of the one above."""
    reasons = []
    # An authority issues the roles that its scope lists; anyone else can only pass on the role that it has.
    permitted = scope.roles if role == "authority" else {role}
    if child.terms.role not in permitted:
        if role == "authority":
            detail = f"{_name(child)}: the issuer may not issue the role {child.terms.role}"
        else:
            detail = f"{_name(child)}: who has the role {role} passes that role on, not {child.terms.role}"
        reasons.append(Reason("delegation_role", child.hash, detail))
    if child.terms.scope.delegations >= scope.delegations:
        left = f"{child.terms.scope.delegations} further delegations below {scope.delegations}"
        reasons.append(Reason("delegation_depth", child.hash, f"{_name(child)}: {left}"))
    reasons += [
        Reason("delegation_scope", child.hash, f"{_name(child)}: {part}") for part in within(child.terms.scope, scope)
    ]
    return reasons


def _outlives(child: Credential, parent: Terms) -> list[Reason]:
    if parent.not_before_s <= child.terms.not_before_s and child.terms.expires_s <= parent.expires_s:
        return []
    span = f"{child.terms.not_before_s} to {child.terms.expires_s}"
    detail = f"{_name(child)}: {span}, the parent's is {parent.not_before_s} to {parent.expires_s}"
    return [Reason("delegation_validity", child.hash, detail)]


def _name(credential: Credential) -> str:
    return f"credential {credential.hash.hex()[:8]} ({credential.terms.subject})"
