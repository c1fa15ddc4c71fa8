"""`lineage mesh init`: configuration, witness key, mesh key, the trust file; and reading the keys back."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mesh.node.config import address, template
from mesh.node.places import CONFIG, HOLDER, MESH_KEY, TRUST, WITNESS_KEY, MeshError
from recorder.core.cosignature import cosigner_key
from recorder.core.errors import FormatError, LineageError, Misuse
from recorder.core.keys import SEED_BYTES, SeedSigner
from recorder.core.note import ED25519, VerifierKey
from recorder.core.trust import parse_trust
from recorder.store import keyfile
from recorder.store.layout import StateLock, replace_file

WITNESS_TITLE = "lineage witness key 1"
MESH_TITLE = "lineage mesh key 1"
_PLATFORM = re.compile(r"[^/]+/[^/]+")


class Keys(NamedTuple):
    """Public keys of a mesh process, as the fleet list is to name them."""

    witness: VerifierKey
    mesh: VerifierKey  # named FLEET/PLATFORM


def found(state: Path, name: str, listen: Sequence[str], trust: bytes, platform: str | None = None) -> Keys:
    """Make a state directory; return its keys.

    If we crash before the configuration is renamed into place, there are keys that signed nothing; `init` says so.

    Args:
        state: the directory.
        name: of the witness key.
        listen: ADDRESS:PORT.
        trust: text of the trust file.
        platform: FLEET/PLATFORM; where left out, the name says it as PLATFORM.FLEET.

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
    line = platform or platform_named(name)
    if line is None:
        raise Misuse(f"{name!r} is not written as PLATFORM.FLEET: say which platform this is by --platform FLEET/NAME")
    seeds = [secrets.token_bytes(SEED_BYTES) for _ in range(2)]
    keys = Keys(cosigner_key(name, SeedSigner(seeds[0]).public_key), _mesh_key_of(line, seeds[1]))
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = StateLock(state, HOLDER)
    try:
        for taken in (CONFIG, WITNESS_KEY, MESH_KEY):
            if (state / taken).exists():
                raise MeshError(f"{state / taken} is there already; choose another directory")
        # No board beside them: the mesh may not read serial numbers, and a cloned witness shows as two answers.
        replace_file(state / WITNESS_KEY, keyfile.text_of(WITNESS_TITLE, seeds[0], keyfile.NO_BOARD), 0o600)
        replace_file(state / MESH_KEY, keyfile.text_of(MESH_TITLE, seeds[1], keyfile.NO_BOARD), 0o600)
        replace_file(state / TRUST, trust, 0o644)
        replace_file(state / CONFIG, template(listen).encode(), 0o644)
    finally:
        lock.close()
    return keys


def platform_named(witness: str) -> str | None:
    """FLEET/PLATFORM of a witness that is named PLATFORM.FLEET, None where it is named otherwise.

    Nothing hangs on it but where one tries first: the fleet list does not say which platform a witness runs on.
    """
    platform, dot, fleet = witness.rpartition(".")
    return f"{fleet}/{platform}" if dot and _PLATFORM.fullmatch(f"{fleet}/{platform}") else None


def add_mesh_key(state: Path, platform: str) -> VerifierKey:
    """Return the mesh key of a state, and make it where there is none yet.

    Raises:
        MeshError: no state of a mesh, or a key that cannot be read.
        Misuse: no FLEET/PLATFORM.

    """
    if not (state / CONFIG).is_file():
        raise MeshError(f"{state / CONFIG} is missing; `lineage mesh init --state {state}` makes it")
    if (state / MESH_KEY).exists():
        return VerifierKey.derive(_checked(platform), ED25519, mesh_key(state).public_key)
    seed = secrets.token_bytes(SEED_BYTES)
    key = _mesh_key_of(platform, seed)
    replace_file(state / MESH_KEY, keyfile.text_of(MESH_TITLE, seed, keyfile.NO_BOARD), 0o600)
    return key


def witness_key(state: Path) -> SeedSigner:
    """Read the key that cosigns.

    Raises:
        MeshError: missing, readable by others, or no witness key.

    """
    return _key(state / WITNESS_KEY, WITNESS_TITLE, "restore it, or make a new witness by `lineage mesh init`")


def mesh_key(state: Path) -> SeedSigner:
    """Read the key that signs digests.

    Raises:
        MeshError: missing, readable by others, or no mesh key.

    """
    advice = f"restore it, or make one by `lineage mesh key --state {state} --platform FLEET/NAME`"
    return _key(state / MESH_KEY, MESH_TITLE, f"{advice}, whose line the fleet list then needs")


def _key(path: Path, title: str, advice: str) -> SeedSigner:
    try:
        return SeedSigner(keyfile.read(path, title).seed)
    except FileNotFoundError:
        raise MeshError(f"{path} is missing; {advice}") from None
    except LineageError as error:
        raise MeshError(str(error)) from error


def _mesh_key_of(platform: str, seed: bytes) -> VerifierKey:
    return VerifierKey.derive(_checked(platform), ED25519, SeedSigner(seed).public_key)


def _checked(platform: str) -> str:
    if not _PLATFORM.fullmatch(platform):
        raise Misuse(f"{platform!r} is not written as FLEET/PLATFORM")
    return platform
