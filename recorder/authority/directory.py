"""A small authority in a directory: a root, the issuer that works for it, what they signed.

    root-N.key, root-N.vkey     the root's key (0600) and its line for trust files
    issuer-N.key                the key (0600) that signs credentials, recognised by the matrix
    matrix.cose                 the recognition matrix in force; the root that signed it is the one in force
    revoked.cose                the revocation list, once there is one
    issued/HASH.cose            every credential

The root signs matrices, revocations and policies that name no other issuer, so its key can lie in a safe on most
days: take `root-N.key` away, and what needs it says so. An issuer's key is used until the next rotation; the highest
number that the matrix recognises is the one in force, so a rotation that is cut short has changed nothing.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, get_args

from recorder.authority.errors import AuthorityError
from recorder.authority.keys import ISSUER_TITLE, ROOT_TITLE, new_issuer, new_root, number_of, signer_at
from recorder.core import credential, matrix, revocation
from recorder.core.credential import Credential, Terms
from recorder.core.delegation import trace
from recorder.core.errors import FormatError
from recorder.core.keys import SeedSigner
from recorder.core.matrix import Issuer, Matrix
from recorder.core.note import VerifierKey, is_key_name
from recorder.core.request import CredentialRequest
from recorder.core.revocation import RevocationList, Revoked
from recorder.core.scope import ANY, DELEGATIONS_MAX, Role, Scope
from recorder.store.layout import create_file, replace_file, sync_dir

MATRIX, REVOKED, ISSUED = "matrix.cose", "revoked.cose", "issued"
DAY_S = 86_400
LAG_S = 300  # nbf lies so far before iat: the clocks of devices lag

_VKEY = re.compile(r"root-([1-9][0-9]{0,5})\.vkey")
ALL = Scope(ANY, ANY, ANY, ANY, ANY, None, DELEGATIONS_MAX, frozenset(get_args(Role)))


class Authority(NamedTuple):
    """An authority as it stands; what changes it returns the next one."""

    path: Path
    roots: tuple[VerifierKey, ...]  # all there ever were
    matrix: Matrix

    @property
    def name(self) -> str:
        """What the names of its keys begin with."""
        return self.matrix.root.name.rpartition("/")[0]

    @property
    def issuer(self) -> Issuer:
        """The issuer in force: of those that the matrix recognises, the one with the highest number."""
        return max(self.matrix.issuers, key=lambda issuer: number_of(issuer.name))

    def root_signer(self) -> SeedSigner:
        """The root's key.

        Raises:
            AuthorityError: it is not here.

        """
        path = self.path / f"root-{number_of(self.matrix.root.name)}.key"
        return signer_at(path, ROOT_TITLE, self.matrix.root.public_key)

    def issuer_signer(self) -> SeedSigner:
        """The issuer's key.

        Raises:
            AuthorityError: it is not here.

        """
        path = self.path / f"issuer-{number_of(self.issuer.name)}.key"
        return signer_at(path, ISSUER_TITLE, self.issuer.key)


def make(path: Path, name: str, now_s: int) -> Authority:
    """Make an authority: its root, its issuer, its matrix.

    Raises:
        AuthorityError: the name cannot be used, or something lies there.
        OSError: the directory cannot be made.

    """
    if not is_key_name(name) or len(name) > 200:
        raise AuthorityError(f"{name[:80]!r} cannot be a name: 1 to 200 characters, no spaces, no +")
    path.mkdir(mode=0o750, parents=True, exist_ok=True)
    with _alone(path):
        if present := sorted(item.name for item in path.iterdir()):
            listed = ", ".join(present[:3])
            raise AuthorityError(
                f"{path} is not empty ({listed}); choose another, or empty it after an interrupted init"
            )
        (path / ISSUED).mkdir(mode=0o750)
        root = new_root(path, name, 1)
        issuer = new_issuer(path, 1)
        raw = matrix.issue(1, now_s, [Issuer(issuer.public_key, f"{name}/issuer-1", ALL)], root)
        create_file(path / MATRIX, raw, 0o640)
    return load(path)


def load(path: Path) -> Authority:
    """Read an authority.

    Raises:
        AuthorityError: there is none, or it is damaged.

    """
    try:
        numbered = sorted((int(match[1]), item) for item in path.iterdir() if (match := _VKEY.fullmatch(item.name)))
        roots = tuple(VerifierKey.parse(item.read_text("utf-8").strip()) for _, item in numbered)
        recognised = matrix.read((path / MATRIX).read_bytes(), roots)
        for name in (*(root.name for root in roots), *(issuer.name for issuer in recognised.issuers)):
            number_of(name)
    except FileNotFoundError:
        raise AuthorityError(f"{path} is no authority; `lineage authority init --authority {path}` makes one") from None
    except (FormatError, UnicodeDecodeError) as error:
        raise AuthorityError(f"{path} is damaged: {error}; restore it from its copy") from error
    if not recognised.issuers:
        raise AuthorityError(f"{path} is damaged: its matrix recognises nobody; restore it from its copy")
    return Authority(path, roots, recognised)


def issue(authority: Authority, request: CredentialRequest, scope: Scope, days: int, now_s: int) -> Credential:
    """Grant what was asked for, within a scope, and keep a copy.

    Raises:
        AuthorityError: a verifier would not accept it, or the issuer's key is not here.

    """
    terms = Terms(
        issuer=authority.issuer.name,
        subject=request.name,
        expires_s=now_s + days * DAY_S,
        not_before_s=max(0, now_s - LAG_S),
        issued_s=now_s,
        serial=secrets.token_bytes(16),
        key=request.key,
        role=request.role,
        scope=scope,
        delegated_from=None,
    )
    signer = authority.issuer_signer()
    try:
        issued = credential.read(credential.issue(terms, signer))
    except FormatError as error:
        raise AuthorityError(f"{request.name}: {error.detail}") from error
    if reasons := trace(issued, {}, authority.matrix, authority.roots).reasons:
        raise AuthorityError(f"{request.name}: {reasons[0].error}: {reasons[0].detail}")
    create_file(authority.path / ISSUED / f"{issued.hash.hex()}.cose", issued.signed.raw, 0o640)
    return issued


def issued_by(authority: Authority) -> dict[bytes, Credential]:
    """Every credential that it issued, by hash.

    Raises:
        AuthorityError: one of them cannot be read.

    """
    found = {}
    for item in sorted((authority.path / ISSUED).glob("*.cose")):
        try:
            read = credential.read(item.read_bytes())
        except FormatError as error:
            raise AuthorityError(f"{item}: {error}; restore it from its copy") from error
        found[read.hash] = read
    return found


def revocations(authority: Authority) -> RevocationList | None:
    """The list in force, None before the first one.

    Raises:
        AuthorityError: it cannot be read.

    """
    path = authority.path / REVOKED
    try:
        return revocation.read(path.read_bytes())
    except FileNotFoundError:
        return None
    except FormatError as error:
        raise AuthorityError(f"{path}: {error}; restore it from its copy") from error


def revoke(authority: Authority, credentials: Iterable[bytes], reason: str, now_s: int) -> RevocationList:
    """Add credentials to the revocation list; those that stand in it keep the reason that they have.

    Raises:
        AuthorityError: the root's key is not here, or the list has no room.

    """
    with _alone(authority.path):
        authority = load(authority.path)  # again: another process may have been here
        held = revocations(authority)
        known = {} if held is None else {item.credential: item for item in held.revoked}
        added = {hash_: Revoked(hash_, now_s, reason) for hash_ in credentials}
        return _sign_list(authority, held, {**added, **known}.values())


def rotate_issuer(authority: Authority, now_s: int, *, keep: bool) -> Authority:
    """Make the next issuer and have the root recognise it, the old ones too where `keep` says so.

    If we crash before the matrix is renamed into place, there is a key that nobody recognises, and the next rotation
    takes it; after it, the rotation is done.

    Raises:
        AuthorityError: the root's key is not here.

    """
    with _alone(authority.path):
        authority = load(authority.path)
        root = authority.root_signer()
        number = number_of(authority.issuer.name) + 1
        signer = new_issuer(authority.path, number)
        issuer = Issuer(signer.public_key, f"{authority.name}/issuer-{number}", ALL)
        issuers = [*(authority.matrix.issuers if keep else ()), issuer]
        raw = matrix.issue(authority.matrix.version + 1, now_s, issuers, root)
        replace_file(authority.path / MATRIX, raw, 0o640)
    return load(authority.path)


def rotate_root(authority: Authority, now_s: int) -> Authority:
    """Make the next root, which signs the matrix and the revocation list anew; no credential changes.

    The matrix, which says which root is in force, comes before the list: if we crash between them, the list is still
    signed by the old root, and the next revocation or rotation signs it anew.

    Raises:
        AuthorityError: the directory is damaged.

    """
    with _alone(authority.path):
        authority = load(authority.path)
        number = number_of(authority.matrix.root.name) + 1
        root = new_root(authority.path, authority.name, number)
        raw = matrix.issue(authority.matrix.version + 1, now_s, authority.matrix.issuers, root)
        replace_file(authority.path / MATRIX, raw, 0o640)
        rotated = load(authority.path)
        held = revocations(rotated)
        if held is not None:
            _sign_list(rotated, held, held.revoked)
    return rotated


def _sign_list(authority: Authority, held: RevocationList | None, revoked: Iterable[Revoked]) -> RevocationList:
    version = 1 if held is None else held.version + 1
    try:
        raw = revocation.make(version, revoked, authority.root_signer())
    except FormatError as error:
        raise AuthorityError(f"the revocation list: {error.detail}") from error
    replace_file(authority.path / REVOKED, raw, 0o640)
    return revocation.read(raw)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Change the directory as the only one; another process that changes it is waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        sync_dir(path)
    finally:
        os.close(descriptor)
