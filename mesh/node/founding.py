"""`lineage mesh init`: configuration, witness key, the trust file; and reading the key back."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from mesh.node.config import TEMPLATE, address
from mesh.node.places import CONFIG, TRUST, WITNESS_KEY, MeshError
from recorder.core.cosignature import cosigner_key
from recorder.core.errors import FormatError, LineageError
from recorder.core.keys import SEED_BYTES, SeedSigner
from recorder.core.note import VerifierKey
from recorder.core.trust import parse_trust
from recorder.store import keyfile
from recorder.store.layout import StateLock, replace_file

TITLE = "lineage witness key 1"
HOLDER = "a running `lineage mesh run`; stop it first"


def found(state: Path, name: str, listen: Sequence[str], trust: bytes) -> VerifierKey:
    """Make a state directory; return the witness key as the fleet list is to name it.

    If we crash before the configuration is renamed into place, there is a key that signed nothing; `init` says so.

    Raises:
        MeshError: something is there already, or the trust file names no root.
        Misuse: an address or a name that cannot be used.
        FormatError: trust_malformed.

    """
    for one in listen:
        address(one)
    if not parse_trust(trust).roots:
        raise FormatError(
            "trust_malformed", "no line `root VKEY`: a fleet list counts if a root of this file signed it"
        )
    seed = secrets.token_bytes(SEED_BYTES)
    key = cosigner_key(name, SeedSigner(seed).public_key)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = StateLock(state, HOLDER)
    try:
        for taken in (CONFIG, WITNESS_KEY):
            if (state / taken).exists():
                raise MeshError(f"{state / taken} is there already; choose another directory")
        # No board beside it: the mesh may not read serial numbers, and a witness that was cloned shows as two answers.
        replace_file(state / WITNESS_KEY, keyfile.text_of(TITLE, seed, keyfile.NO_BOARD), 0o600)
        replace_file(state / TRUST, trust, 0o644)
        listed = ", ".join(f'"{one}"' for one in listen)
        replace_file(state / CONFIG, TEMPLATE.format(listen=listed).encode(), 0o644)
    finally:
        lock.close()
    return key


def witness_key(state: Path) -> SeedSigner:
    """Read the witness key.

    Raises:
        MeshError: missing, readable by others, or no witness key.

    """
    path = state / WITNESS_KEY
    try:
        return SeedSigner(keyfile.read(path, TITLE).seed)
    except FileNotFoundError:
        raise MeshError(f"{path} is missing; restore it, or make a new witness by `lineage mesh init`") from None
    except LineageError as error:
        raise MeshError(str(error)) from error
