"""The platform's identity key: a file that only its owner reads, bound to the board that it was made on."""

from __future__ import annotations

import base64
import os
import secrets
from hashlib import sha256
from pathlib import Path
from stat import S_IMODE

from recorder.core.errors import LineageError
from recorder.core.keys import SEED_BYTES, SeedSigner
from recorder.store.layout import IDENTITY, replace_file

_TITLE = "lineage identity key 1"
_SERIALS = (Path("/sys/firmware/devicetree/base/serial-number"), Path("/proc/device-tree/serial-number"))
_NO_BOARD = "-"


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
    return _NO_BOARD


def make(state: Path) -> SeedSigner:
    """Make a key and write it, 0600.

    Raises:
        IdentityError: there is one already.

    """
    path = state / IDENTITY
    if path.exists():
        raise IdentityError(f"{path} exists; a new identity is a new platform: choose another state directory")
    seed = secrets.token_bytes(SEED_BYTES)
    text = f"{_TITLE}\n{base64.b64encode(seed).decode()}\n{board_fingerprint()}\n"
    replace_file(path, text.encode(), 0o600)
    return SeedSigner(seed)


def load(state: Path) -> SeedSigner:
    """Read the key.

    Raises:
        IdentityError: missing, readable by others, malformed, or made on another board.

    """
    path = state / IDENTITY
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise IdentityError(f"{path} is missing; `lineage init --state {state}` makes one") from None
    except OSError as error:
        raise IdentityError(f"cannot open {path}: {error.strerror}; run as the owner of the state directory") from error
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
        mode = S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise IdentityError(f"{path} has mode {mode:04o}: others can read it, so it proves nothing; make a new one")
        lines = file.read(1024).split("\n")
    if len(lines) != 4 or lines[0] != _TITLE or lines[3]:
        raise IdentityError(f"{path} is not an identity key; restore it or make a new platform with `lineage init`")
    try:
        seed = base64.b64decode(lines[1], validate=True)
    except ValueError as error:
        raise IdentityError(f"{path}: the key is not base64: {error}") from error
    if len(seed) != SEED_BYTES:
        raise IdentityError(f"{path}: the key has {len(seed)} bytes, not {SEED_BYTES}")
    board = board_fingerprint()
    if _NO_BOARD not in (lines[2], board) and lines[2] != board:
        raise IdentityError(
            f"{path} was made on another board: a cloned image; `lineage init` a new state here, one identity a board"
        )
    return SeedSigner(seed)
