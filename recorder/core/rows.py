"""Rows: fixed-size records under a declared schema, each a leaf of a small Merkle tree (FORMAT.md section 4)."""

from __future__ import annotations

import re
from hashlib import sha256, shake_128
from typing import Any

from recorder.core import cbor
from recorder.core.claims import salts
from recorder.core.errors import FormatError
from recorder.core.limits import HASH_BYTES, SALT_BYTES
from recorder.core.merkle import root_of

MALFORMED = "rows_malformed"
SCHEMA = "schema_malformed"
TIME_BYTES = 8  # every row begins with its at_mono_ns, u64 little-endian
FIELDS_MAX = 256
ROW_MAX_BYTES = 4096

_FORMATS = {
    "<i1": "b", "|i1": "b", "<u1": "B", "|u1": "B", "|b1": "?", "<i2": "h", "<u2": "H", "<i4": "i", "<u4": "I",
    "<i8": "q", "<u8": "Q", "<f2": "e", "<f4": "f", "<f8": "d",
}  # fmt: skip
_SIZES = {"b": 1, "B": 1, "?": 1, "h": 2, "H": 2, "e": 2, "i": 4, "I": 4, "f": 4, "q": 8, "Q": 8, "d": 8}


def struct_format(schema: object) -> str:
    """The `struct` format of one row, its time included, out of a schema `[ + [name, type, count, unit] ]`.

    Types are numpy's names of packed little-endian scalars, such as "<f4".

    Raises:
        FormatError: schema_malformed.

    """
    if not isinstance(schema, list) or not 1 <= len(schema) <= FIELDS_MAX:
        raise FormatError(SCHEMA, f"a schema is a list of 1 to {FIELDS_MAX} fields")
    names: set[str] = set()
    parts = ["<Q"]
    for field in schema:
        if not (isinstance(field, list) and len(field) == 4):
            raise FormatError(SCHEMA, f"field {field!r} is not [name, type, count, unit]")
        name, kind, count, unit = field
        if not (isinstance(name, str) and 0 < len(name) <= 64 and isinstance(unit, str) and len(unit) <= 64):
            raise FormatError(SCHEMA, f"name and unit of field {field!r} are text of at most 64 characters")
        if name in names:
            raise FormatError(SCHEMA, f"field {name!r} stands twice")
        if not isinstance(kind, str) or kind not in _FORMATS:
            raise FormatError(SCHEMA, f"type {kind!r} of field {name!r} is none of {', '.join(sorted(_FORMATS))}")
        if type(count) is not int or not 1 <= count <= ROW_MAX_BYTES:
            raise FormatError(SCHEMA, f"count {count!r} of field {name!r} is not 1 to {ROW_MAX_BYTES}")
        names.add(name)
        parts.append(f"{count}{_FORMATS[kind]}")
    text = "".join(parts)
    if size_of(text) > ROW_MAX_BYTES:
        raise FormatError(SCHEMA, f"a row of {size_of(text)} bytes is over {ROW_MAX_BYTES}")
    return text


def size_of(text: str) -> int:
    """Bytes of one row under a format that `struct_format` made."""
    return TIME_BYTES + sum(int(count) * _SIZES[code] for count, code in re.findall(r"(\d+)(\D)", text))


def schema_id(schema: list[Any]) -> bytes:
    """SHA-256 of the schema's CBOR: 32 bytes."""
    return sha256(cbor.pack(schema)).digest()


def leaf(salt: bytes, row: bytes) -> bytes:
    """SHA-256(0x00 ‖ salt ‖ row): the leaf of one row."""
    return sha256(b"\x00" + salt + row).digest()


def leaves(secret: bytes, packed: bytes, row_bytes: int) -> list[bytes]:
    """Leaves of packed rows, in order; salts come from `secret`.  `packed` holds a whole number of rows."""
    stream = shake_128(secret).digest(SALT_BYTES * (len(packed) // row_bytes))
    return [
        sha256(b"\x00" + stream[at : at + SALT_BYTES] + packed[row : row + row_bytes]).digest()
        for at, row in zip(range(0, len(stream), SALT_BYTES), range(0, len(packed), row_bytes), strict=True)
    ]


def root_at_rest(secret: bytes, packed: bytes, row_bytes: int) -> bytes:
    """RFC 6962 root of packed rows."""
    return root_of(leaves(secret, packed, row_bytes))


def to_transport(secret: bytes, packed: bytes, row_bytes: int) -> dict[int, Any]:
    """`{index: [salt, row]}`: each row with its own salt, the secret left out."""
    derived = salts(secret, len(packed) // row_bytes)
    return {at: [salt, packed[at * row_bytes : (at + 1) * row_bytes]] for at, salt in enumerate(derived)}


def leaves_of(rows: object, count: int, row_bytes: int | None) -> list[bytes]:
    """Leaves of rows in either form: `[secret, packed]` at rest, `{index: [salt, row] / leaf}` in transport.

    Args:
        rows: what lies beside the entry.
        count: rows that the header says there are.
        row_bytes: size by the schema; None where the schema is not known, then equal sizes suffice.

    Raises:
        FormatError: rows_malformed.

    """
    if isinstance(rows, list):
        if not (len(rows) == 2 and all(isinstance(part, bytes) for part in rows) and len(rows[0]) == SALT_BYTES):
            raise FormatError(MALFORMED, "rows at rest are not [16-byte secret, packed rows]")
        size = row_bytes or (len(rows[1]) // count if count else 0)
        if size < TIME_BYTES or len(rows[1]) != count * size:
            raise FormatError(MALFORMED, f"{len(rows[1])} bytes are not {count} rows of {size}")
        return leaves(rows[0], rows[1], size)
    # The length first: the header's count may be 2^64-1.
    if not isinstance(rows, dict) or len(rows) != count or list(rows) != list(range(count)):
        raise FormatError(MALFORMED, f"rows in transport do not name each index below {count}")
    each = row_bytes or next((len(row[1]) for row in rows.values() if _is_disclosed(row)), None)
    return [_leaf_in_transport(index, row, each) for index, row in rows.items()]


def _is_disclosed(row: object) -> bool:
    return isinstance(row, list) and len(row) == 2 and all(isinstance(part, bytes) for part in row)


def _leaf_in_transport(index: int, row: object, row_bytes: int | None) -> bytes:
    if isinstance(row, bytes) and len(row) == HASH_BYTES:
        return row
    if isinstance(row, list) and _is_disclosed(row) and len(row[0]) == SALT_BYTES:  # noqa: SIM102
        if len(row[1]) == row_bytes and len(row[1]) >= TIME_BYTES:
            return leaf(row[0], row[1])
    raise FormatError(MALFORMED, f"row {index} is neither [salt, row of {row_bytes} bytes] nor a 32-byte leaf")


def times_of(packed: bytes, row_bytes: int) -> tuple[int, int]:
    """`at_mono_ns` of the first and the last of packed rows."""
    last = len(packed) - row_bytes
    return int.from_bytes(packed[:TIME_BYTES], "little"), int.from_bytes(packed[last : last + TIME_BYTES], "little")
