"""What the holder of a credential does with it: pass on a part of it."""

from __future__ import annotations

import secrets

from recorder.authority.errors import AuthorityError
from recorder.core import credential
from recorder.core.credential import Credential, Terms
from recorder.core.delegation import trace
from recorder.core.errors import FormatError
from recorder.core.keys import Signer
from recorder.core.request import CredentialRequest
from recorder.core.scope import Scope


def delegate(
    parent: Credential, signer: Signer, request: CredentialRequest, scope: Scope, valid_s: int, now_s: int
) -> Credential:
    """Grant a part of what one was granted oneself; it ends no later than that.

    Raises:
        AuthorityError: it is not a part of that, the key is another one, or that has ended.

    """
    above = parent.terms
    if above.key != signer.public_key:
        raise AuthorityError(
            f"the credential of {above.subject} is for another key than this one; give its own with --key"
        )
    terms = Terms(
        issuer=above.subject,
        subject=request.name,
        expires_s=min(now_s + valid_s, above.expires_s),
        not_before_s=max(now_s, above.not_before_s),
        issued_s=now_s,
        serial=secrets.token_bytes(16),
        key=request.key,
        role=request.role,
        scope=scope,
        delegated_from=parent.hash,
    )
    try:
        child = credential.read(credential.issue(terms, signer))
    except FormatError as error:
        raise AuthorityError(f"{request.name}: {error.detail}") from error
    # Who stands above the parent is for verifiers; what the child may have of it is known here.
    wrong = [
        reason for reason in trace(child, {parent.hash: parent}, None, ()).reasons if reason.credential == child.hash
    ]
    if wrong:
        raise AuthorityError(f"{request.name}: {wrong[0].error}: {wrong[0].detail}")
    return child
