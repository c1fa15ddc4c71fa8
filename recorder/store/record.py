"""One LMDB value: the entries of one transaction, their claims and how they moved the tail.

`crc32 ‖ CBOR [[entry, ...], [claims, ...], [operation, ...]]`.  The CRC tells a torn page from tampering: it is checked
before anything is decoded, on opening and by every reader.  Claims of an entry are one byte string, empty where the
entry has none or they were erased.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from zlib import crc32

import cbor2

from recorder.core import cbor
from recorder.core.errors import FormatError

CRC_BYTES = 4
DAMAGED = "record_damaged"


class Record(NamedTuple):
    """What one transaction added."""

    entries: list[bytes]
    claims: list[bytes]  # one an entry; b"" for none
    operations: list[list[Any]]  # on the tail, in order: `tail.Tail.apply`


def encode(record: Record) -> bytes:
    """Bytes of a record."""
    body = cbor.pack_ordered(list(record))  # only ever read here, so any order will do
    return crc32(body).to_bytes(CRC_BYTES, "big") + body


def decode(value: bytes) -> Record:
    """Read a record.

    Raises:
        FormatError: record_damaged.

    """
    body = value[CRC_BYTES:]
    if crc32(body).to_bytes(CRC_BYTES, "big") != value[:CRC_BYTES]:
        raise FormatError(DAMAGED, f"the checksum over {len(body)} bytes does not match")
    try:
        record = cbor2.loads(body)
    except (cbor2.CBORError, ValueError) as error:
        raise FormatError(DAMAGED, str(error)) from None
    if not (isinstance(record, list) and len(record) == 3 and len(record[0]) == len(record[1]) > 0):
        raise FormatError(DAMAGED, "not [entries, claims, operations]")
    return Record(*record)
