"""One LMDB value: the entries of one transaction, their claims and how they moved the tail.

`crc32 ‖ MessagePack [[entry, ...], [claims, ...], [operation, ...]]`.  The CRC tells a torn page from tampering: it is
checked before anything is decoded, on opening and by every reader.  Claims of an entry are one byte string, empty where
the entry has none or they were erased.

A record never leaves the store and needs no one encoding, so it is MessagePack, which `msgspec` packs in an eighth of
the time that CBOR took.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from zlib import crc32

from msgspec import MsgspecError, msgpack

from recorder.core.errors import FormatError

CRC_BYTES = 4
DAMAGED = "record_damaged"


class Record(NamedTuple):
    """What one transaction added."""

    entries: list[bytes]
    claims: list[bytes]  # one an entry; b"" for none
    operations: list[list[Any]]  # on the tail, in order: `tail.Tail.apply`


_pack = msgpack.Encoder().encode
_unpack = msgpack.Decoder(Record).decode


def encode(record: Record) -> bytes:
    """Bytes of a record."""
    body = _pack(record)
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
        record = _unpack(body)
    except (MsgspecError, RecursionError) as error:
        raise FormatError(DAMAGED, str(error)) from None
    if not len(record.entries) == len(record.claims) > 0:
        raise FormatError(DAMAGED, f"{len(record.entries)} entries with {len(record.claims)} claims")
    return record
