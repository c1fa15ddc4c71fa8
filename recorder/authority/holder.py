"""What the holder of a key does with it: ask for a credential, pass on a part of the one that it has."""

from __future__ import annotations

import secrets
from pathlib import Path

from recorder.authority.errors import AuthorityError
from recorder.core import credential
from recorder.core.credential import Credential, Terms
from recorder.core.delegation import trace
from recorder.core.errors import FormatError
from recorder.core.keys import SEED_BYTES, SeedSigner, Signer
from recorder.core.request import CredentialRequest
from recorder.core.scope import Scope
from recorder.store import keyfile
from recorder.store.layout import create_file

TITLE = "lineage holder key 1"


def key_at(path: Path) -> tuple[SeedSigner, bool]:
    """The key in a file, which is made if there is none, and whether it was made.

    Raises:
        StoreError: the file is no such key, or others can read it.
        OSError: it cannot be made.

    """
    try:
        return SeedSigner(keyfile.read(path, TITLE).seed), False
    except FileNotFoundError:
        seed = secrets.token_bytes(SEED_BYTES)
        create_file(path, keyfile.text_of(TITLE, seed, keyfile.NO_BOARD), 0o600)
        return SeedSigner(seed), True


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
