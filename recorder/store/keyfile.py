"""A private key in a file: a title, the seed in base64, the board that it was made on; only its owner reads it."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from stat import S_IMODE
from typing import NamedTuple

from recorder.core.keys import SEED_BYTES
from recorder.store.errors import StoreError
from recorder.store.layout import advice

NO_BOARD = "-"  # the key may be used on any
_TITLE = re.compile(r"lineage ([a-z]+ key) 1")


class KeyFile(NamedTuple):
    """What a key file holds."""

    seed: bytes
    board: str


def text_of(title: str, seed: bytes, board: str) -> bytes:
    """The content of a key file."""
    return f"{title}\n{base64.b64encode(seed).decode()}\n{board}\n".encode()


def read(path: Path, title: str) -> KeyFile:
    """Read a key file.

    Raises:
        FileNotFoundError: it is missing.
        StoreError: readable by others, malformed, or of another title; the message says which.

    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"cannot open {path}: {error.strerror}; {advice(error, 'its directory')}") from error
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
        mode = S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise StoreError(
                f"{path} has mode {mode:04o}: others can read it; `chmod 600 {path}`, and take the key for known to "
                f"whoever could"
            )
        lines = file.read(1024).split("\n")
    wanted = title.removeprefix("lineage ").removesuffix(" 1")
    if lines[0] != title and (other := _TITLE.fullmatch(lines[0])):
        raise StoreError(f"{path} holds no {wanted} but a {other[1]}: name the file of the right one")
    if len(lines) != 4 or lines[0] != title or lines[3]:
        raise StoreError(f"{path} holds no {wanted}; restore it from your backup")
    try:
        seed = base64.b64decode(lines[1], validate=True)
    except ValueError as error:
        raise StoreError(f"{path}: the key is not base64: {error}") from error
    if len(seed) != SEED_BYTES:
        raise StoreError(f"{path}: the key has {len(seed)} bytes, not {SEED_BYTES}")
    return KeyFile(seed, lines[2])
