"""Private keys of an authority and of holders, as files (0600), and the numbers in the names of an authority's."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from recorder.authority.errors import AuthorityError
from recorder.core.keys import SEED_BYTES, SeedSigner
from recorder.core.note import ED25519, VerifierKey
from recorder.store import keyfile
from recorder.store.layout import create_file, replace_file

ROOT_TITLE, ISSUER_TITLE, HOLDER_TITLE = "lineage root key 1", "lineage issuer key 1", "lineage holder key 1"

_NUMBER = re.compile(r"(.+)/(?:root|issuer)-([1-9][0-9]{0,5})")


def key_at(path: Path, title: str) -> tuple[SeedSigner, bool]:
    """The key in a file, which is made if there is none, and whether it was made.

    Raises:
        StoreError: the file is no such key, or others can read it.
        OSError: it cannot be made.

    """
    try:
        return SeedSigner(keyfile.read(path, title).seed), False
    except FileNotFoundError:
        seed = secrets.token_bytes(SEED_BYTES)
        create_file(path, keyfile.text_of(title, seed, keyfile.NO_BOARD), 0o600)
        return SeedSigner(seed), True


def new_issuer(path: Path, number: int) -> SeedSigner:
    """Its key; one that a rotation which was cut short has left is taken as it is, since it has signed nothing."""
    return key_at(path / f"issuer-{number}.key", ISSUER_TITLE)[0]


def new_root(path: Path, name: str, number: int) -> SeedSigner:
    """Its key, as `new_issuer`, and beside it its line for trust files."""
    signer, _ = key_at(path / f"root-{number}.key", ROOT_TITLE)
    vkey = VerifierKey.derive(f"{name}/root-{number}", ED25519, signer.public_key)
    replace_file(path / f"root-{number}.vkey", f"{vkey}\n".encode(), 0o640)
    return signer


def signer_at(path: Path, title: str, public_key: bytes) -> SeedSigner:
    """The key that the matrix names.

    Raises:
        AuthorityError: it is not here, or another one is.

    """
    try:
        signer = SeedSigner(keyfile.read(path, title).seed)
    except FileNotFoundError:
        raise AuthorityError(f"{path} is not here; bring it from where it is kept, and take it away again") from None
    if signer.public_key != public_key:
        raise AuthorityError(f"{path} holds another key than the matrix names; restore it from its copy")
    return signer


def number_of(name: str) -> int:
    """The number of a root or an issuer, out of its name.

    Raises:
        AuthorityError: no authority names its keys so.

    """
    match = _NUMBER.fullmatch(name)
    if match is None:
        raise AuthorityError(f"{name[:80]!r} is no name that this authority gave; restore the directory from its copy")
    return int(match[2])
