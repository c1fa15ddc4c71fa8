"""Whether who signed a policy may: from the bundle to a root, at a moment (FORMAT.md section 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from recorder.core import delegation, sign1
from recorder.core.calendar import utc_text
from recorder.core.credential import Credential
from recorder.core.delegation import NS, Moment, Reason, Verdict
from recorder.core.errors import FormatError
from recorder.core.matrix import Matrix
from recorder.core.note import VerifierKey
from recorder.core.policy import Policy, PolicyBundle


class Issued(NamedTuple):
    """What a bundle's signature is worth at a moment."""

    verdict: Verdict
    reasons: tuple[Reason, ...]  # why it is not valid, or may not be; of the bundle itself with its own hash
    by: str | None  # name of the root or of the credential's subject; None where nobody known signed


def judge(
    bundle: PolicyBundle,
    pool: Mapping[bytes, Credential],
    matrix: Matrix | None,
    roots: Sequence[VerifierKey],
    revocations: Mapping[bytes, int],
    moment: Moment,
) -> Issued:
    """Say who signed a bundle, whether he may, and whether it is in force; arguments as those of `delegation.judge`."""
    invalid, open_ = window(bundle, moment)
    if bundle.policy.issuer is None:
        by = next((root.name for root in roots if sign1.verify(bundle.signed, root.public_key)), None)
        if by is None:
            detail = f"kid {bundle.signed.kid.hex()}: no root of the trust file signed it, and it names no credential"
            invalid.append(Reason("policy_signature", bundle.hash, detail))
        return _issued(invalid, open_, by)
    credential = pool.get(bundle.policy.issuer)
    if credential is None:
        detail = f"no credential {bundle.policy.issuer.hex()} is here"
        return _issued([*invalid, Reason("parent_unknown", bundle.hash, detail)], open_, None)
    subject = credential.terms.subject
    if not sign1.verify(bundle.signed, credential.terms.key):
        detail = f"not signed by {subject}, whose credential it names"
        return _issued([*invalid, Reason("policy_signature", bundle.hash, detail)], open_, None)
    try:
        delegation.require_role(credential, "authority")
    except FormatError as error:
        invalid.append(Reason(error.error, credential.hash, error.detail))
    if beyond := _beyond(bundle.policy, credential):
        invalid.append(Reason("policy_scope", bundle.hash, f"{subject} has no say over {', '.join(beyond)}"))
    standing = delegation.judge(credential, pool, matrix, roots, revocations, moment)
    if standing.verdict == "invalid":
        invalid += standing.reasons
    else:
        open_ += standing.reasons
    return _issued(invalid, open_, subject)


def _issued(invalid: list[Reason], open_: list[Reason], by: str | None) -> Issued:
    if invalid:
        return Issued("invalid", tuple(invalid), by)
    return Issued("indeterminate" if open_ else "valid", tuple(open_), by)


def _beyond(policy: Policy, credential: Credential) -> list[str]:
    """Classes that the issuer's scope does not name: also to leave one ungated is to say what it may do."""
    granted = credential.terms.scope.action_classes
    return [] if granted == "any" else sorted(policy.classes.keys() - granted)


def window(bundle: PolicyBundle, moment: Moment) -> tuple[list[Reason], list[Reason]]:
    """Why a bundle is not in force at a moment, and why it may not be.

    As of a credential: not on or after exp, not before nbf, and open where the bounds of the moment leave it so.
    """
    invalid: list[Reason] = []
    open_: list[Reason] = []
    policy, (earliest, latest, _) = bundle.policy, moment
    if earliest is not None and earliest >= policy.exp * NS:
        invalid.append(Reason("policy_expired", bundle.hash, f"expired at {utc_text(policy.exp)}"))
    elif latest is None or latest >= policy.exp * NS:
        open_.append(Reason("policy_expired", bundle.hash, "may have expired by then"))
    if latest is not None and latest < policy.nbf * NS:
        invalid.append(Reason("policy_early", bundle.hash, f"not in force before {utc_text(policy.nbf)}"))
    elif earliest is None or earliest < policy.nbf * NS:
        open_.append(Reason("policy_early", bundle.hash, "may not have been in force yet"))
    return invalid, open_
