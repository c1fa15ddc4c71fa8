"""Entries: COSE_Sign1 over a header, bound to one origin (FORMAT.md section 2)."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, NamedTuple

from recorder.core import cbor
from recorder.core.errors import FormatError
from recorder.core.header import Header, header_of, read_header
from recorder.core.keys import Signer, kid
from recorder.core.limits import ENTRY_MAX_BYTES, KID_BYTES

LABEL = "lineage/entry/1"
SIGNATURE_BYTES = 64
ZERO_HASH = bytes(32)
COMMITS_MAX = 200  # keeps an entry with its claims within one `read` reply

# d2: tag 18.  84: array of 4.  4d: 13 bytes of protected header {1: -19, 4: kid}.  a0: empty unprotected header.
_HEAD = bytes.fromhex("d2844da201320448")
_PAYLOAD_AT = len(_HEAD) + KID_BYTES + 1
_PROTECTED_HEAD = _HEAD[3:]
_SIGNATURE_HEAD = b"\x58\x40"
# A payload as long as that has a head of 3 bytes; 2 are the head of the signature.
PAYLOAD_MAX_BYTES = ENTRY_MAX_BYTES - _PAYLOAD_AT - 3 - 2 - SIGNATURE_BYTES
_CONTEXT = b"\x84\x6aSignature1"


class Entry(NamedTuple):
    """A decoded entry; its signature has not been checked by decoding it."""

    raw: bytes
    hash: bytes
    kid: bytes
    header: Header
    payload: bytes
    signature: bytes


def entry_hash(raw: bytes) -> bytes:
    """SHA-256(0x00 ‖ entry): the RFC 6962 leaf, the next entry's `prev` and the target of references."""
    return sha256(b"\x00" + raw).digest()


def external_aad(origin: str) -> bytes:
    """What binds an entry to its log: the label and the origin, each with a line feed."""
    return f"{LABEL}\n{origin}\n".encode()


def to_be_signed(protected: bytes, aad: bytes, payload: bytes) -> bytes:
    """The Sig_structure of RFC 9052 section 4.4 for COSE_Sign1."""
    return _CONTEXT + _bstr(protected) + _bstr(aad) + _bstr(payload)


def sign(header: dict[int, Any], aad: bytes, signer: Signer, signer_kid: bytes | None = None) -> bytes:
    """Make the bytes of an entry.

    Args:
        header: keys 1 to 18 as FORMAT.md numbers them; what it holds has been checked already.
        aad: `external_aad` of the log.
        signer: identity key for boot and epoch entries, else the epoch key in force.
        signer_kid: `kid(signer.public_key)`, where the caller has it at hand.

    Raises:
        FormatError: entry_too_large.

    """
    return sign_payload(cbor.pack(header), aad, signer, signer_kid or kid(signer.public_key))


def sign_payload(payload: bytes, aad: bytes, signer: Signer, signer_kid: bytes) -> bytes:
    """As `sign`, of a header that is encoded already.

    Raises:
        FormatError: entry_too_large.

    """
    protected = _PROTECTED_HEAD + signer_kid
    if len(payload) > PAYLOAD_MAX_BYTES:
        raise FormatError("entry_too_large", f"a header of {len(payload)} bytes is over {PAYLOAD_MAX_BYTES}")
    signature = signer.sign(to_be_signed(protected, aad, payload))
    return b"".join((_HEAD[:3], protected, b"\xa0", _bstr(payload), _SIGNATURE_HEAD, signature))


def decode(raw: bytes) -> Entry:
    """Read an entry and check its encoding, its keys and their shapes; not its signature, not its place in a log.

    Raises:
        FormatError: entry_too_large, entry_malformed, cbor_malformed, header_keys, header_value.

    """
    signer_kid, payload, signature = split(raw)
    return Entry(raw, entry_hash(raw), signer_kid, read_header(payload), payload, signature)


def decode_in_order(raw: bytes) -> Entry:
    """Read an entry as `decode` does, but for the comparison with its deterministic encoding (`cbor.load`).

    Raises:
        FormatError: as `decode`.

    """
    signer_kid, payload, signature = split(raw)
    return Entry(raw, entry_hash(raw), signer_kid, header_of(cbor.load(payload)), payload, signature)


def split(raw: bytes) -> tuple[bytes, bytes, bytes]:
    """Take kid, payload and signature out of the one encoding that an entry has.

    Raises:
        FormatError: entry_too_large, entry_malformed.

    """
    if len(raw) > ENTRY_MAX_BYTES:
        raise FormatError("entry_too_large", f"an entry of {len(raw)} bytes is over {ENTRY_MAX_BYTES}")
    signature_at = len(raw) - SIGNATURE_BYTES
    payload_end = signature_at - len(_SIGNATURE_HEAD)
    if (
        raw[: len(_HEAD)] != _HEAD
        or raw[_PAYLOAD_AT - 1 : _PAYLOAD_AT] != b"\xa0"
        or raw[payload_end:signature_at] != _SIGNATURE_HEAD
    ):
        raise FormatError("entry_malformed", "not a COSE_Sign1 with the protected header {1: -19, 4: kid}")
    for head in (1, 2, 3):
        payload = raw[_PAYLOAD_AT + head : payload_end]
        if _bstr(payload) == raw[_PAYLOAD_AT:payload_end]:
            return raw[len(_HEAD) : _PAYLOAD_AT - 1], payload, raw[signature_at:]
    raise FormatError("entry_malformed", "the payload is not one byte string of the length that is left for it")


def protected_of(signer_kid: bytes) -> bytes:
    """The protected header that names this key."""
    return _PROTECTED_HEAD + signer_kid


def _bstr(data: bytes) -> bytes:
    """A CBOR byte string of at most 65,535 bytes."""
    length = len(data)
    if length < 24:
        return bytes((0x40 + length,)) + data
    if length < 256:
        return bytes((0x58, length)) + data
    return b"\x59" + length.to_bytes(2, "big") + data
