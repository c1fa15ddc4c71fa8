"""What notes, checkpoints, proofs and requests share: each value has one text, and what is written is read back.

The pieces of text are those of C2SP: standard base64, decimals without leading zeros, lines before a signed note.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from recorder.core.errors import FormatError, Misuse
from recorder.core.limits import HASH_BYTES, PROOF_MAX_HASHES

UINT63_MAX = 2**63 - 1

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")

_Value = TypeVar("_Value")


def decode_base64(text: str, error: str) -> bytes:
    """Decode standard base64 (RFC 4648 section 4), refusing every spelling but the one that encoding gives.

    Raises:
        FormatError: `error`.

    """
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as failure:  # ValueError: not ASCII
        raise FormatError(error, f"not base64: {failure}") from None
    if encode_base64(value) != text:  # validate=True still accepts stray padding bits and excess padding
        raise FormatError(error, "base64 that is not canonical")
    return value


def encode_base64(value: bytes) -> str:
    """Encode as standard base64 with padding (RFC 4648 section 4)."""
    return base64.b64encode(value).decode("ascii")


def parse_decimal(text: str, error: str) -> int:
    """Parse an ASCII decimal of 0..2**63-1 without leading zeros.

    Raises:
        FormatError: `error`.

    """
    if _DECIMAL.fullmatch(text) is None or (value := int(text)) > UINT63_MAX:
        raise FormatError(error, f"{text[:24]!r} is no decimal of 0 to 2^63-1 without leading zeros")
    return value


def decode_hash(line: str, error: str) -> bytes:
    """Decode a hash in base64.

    Raises:
        FormatError: `error`.

    """
    value = decode_base64(line, error)
    if len(value) != HASH_BYTES:
        raise FormatError(error, f"a hash of {len(value)} bytes, expected {HASH_BYTES}")
    return value


def decode_proof(lines: Sequence[str], error: str) -> tuple[bytes, ...]:
    """Decode the hashes of a proof, one a line.

    Raises:
        FormatError: `error`.

    """
    if len(lines) > PROOF_MAX_HASHES:
        raise FormatError(error, f"{len(lines)} hashes, at most {PROOF_MAX_HASHES} are allowed")
    return tuple(decode_hash(line, error) for line in lines)


def before_note(text: bytes, error: str) -> tuple[list[str], bytes]:
    """Take a text apart into the lines before its first empty line, and the note behind it.

    Raises:
        FormatError: `error`.

    """
    head, empty_line, note = text.partition(b"\n\n")  # the first one; a note's text ends at its last
    if not empty_line:
        raise FormatError(error, "no empty line before the checkpoint")
    if not head.isascii():
        raise FormatError(error, "not ASCII before the checkpoint")
    return head.decode("ascii").split("\n"), note


def written(text: bytes, parse: Callable[[bytes], _Value], value: _Value, what: str) -> bytes:
    """Give what was written of a value, which has to be read as that value.

    Raises:
        Misuse: it is not; `what` it is, for the message.

    """
    try:
        if parse(text) == value:
            return text
    except FormatError as failure:
        raise Misuse(f"this {what} cannot be written: {failure}") from failure
    raise Misuse(f"this {what} cannot be written: it would be read as another one")
