"""The platform's identity key: a file that only its owner reads, bound to the board that it was made on."""

from __future__ import annotations

import secrets
from hashlib import sha256
from pathlib import Path

from recorder.core.errors import LineageError
from recorder.core.keys import SEED_BYTES, SeedSigner
from recorder.store import keyfile
from recorder.store.errors import StoreError
from recorder.store.layout import IDENTITY, LINEAGES, replace_file

_TITLE = "lineage identity key 1"
_SERIALS = (Path("/sys/firmware/devicetree/base/serial-number"), Path("/proc/device-tree/serial-number"))


class IdentityError(LineageError):
    """The identity key cannot be used; the message says why and what to do."""


def board_fingerprint() -> str:
    """SHA-256 of the board's serial number in hex, or "-" where the board has none that Linux shows."""
    for path in _SERIALS:
        try:
            serial = path.read_bytes().strip(b"\0\n ")
        except OSError:
            continue
        if serial:
            return sha256(serial).hexdigest()
    return keyfile.NO_BOARD


def make(state: Path) -> SeedSigner:
    """Make a key and write it, 0600.

    Raises:
        IdentityError: there is one already.

    """
    path = state / IDENTITY
    if path.exists():
        raise IdentityError(f"{path} exists; a new identity is a new platform: choose another state directory")
    seed = secrets.token_bytes(SEED_BYTES)
    replace_file(path, keyfile.text_of(_TITLE, seed, board_fingerprint()), 0o600)
    return SeedSigner(seed)


def _missing(state: Path) -> str:
    """What to do without a key.  `lineage init` makes none where a state is: another key would not go on with it."""
    lineages = state / LINEAGES
    if lineages.is_dir() and any(lineages.iterdir()):
        return (
            f"{state / IDENTITY} is missing; restore it from your backup: {lineages} holds what it signed, which no "
            f"other key can go on with. If it is lost, keep this state to be read and `lineage init` another"
        )
    return (
        f"{state / IDENTITY} is missing; restore it from your backup, or, as nothing was recorded here, make another "
        f"state directory with `lineage init`"
    )


def load(state: Path) -> SeedSigner:
    """Read the key.

    Raises:
        IdentityError: missing, readable by others, malformed, or made on another board.

    """
    path = state / IDENTITY
    try:
        held = keyfile.read(path, _TITLE)
    except FileNotFoundError:
        raise IdentityError(_missing(state)) from None
    except StoreError as error:
        raise IdentityError(str(error)) from error
    board = board_fingerprint()
    if keyfile.NO_BOARD not in (held.board, board) and held.board != board:
        raise IdentityError(
            f"{path} was made on another board: a cloned image; `lineage init` a new state here, one identity a board"
        )
    return SeedSigner(held.seed)
