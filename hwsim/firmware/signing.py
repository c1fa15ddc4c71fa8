"""What a device hashes and signs (FORMAT.md section 6, "Confirmation"; firmware_bridge/PROTOCOL.md section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from recorder.core import cbor
from recorder.core.keys import Signer

_PROTECTED = bytes.fromhex("a201320448")  # {1: -19 (Ed25519), 4: kid}, up to the kid's eight bytes


def signed(signer: Signer, kid: bytes, label: str, payload: list[object]) -> bytes:
    """The signature over the Sig_structure of RFC 9052 section 4.4."""
    return signer.sign(cbor.pack(["Signature1", _PROTECTED + kid, label.encode(), cbor.pack(payload)]))


def leaf_of(raw: bytes) -> bytes:
    """RFC 6962: the hash of a leaf."""
    return sha256(b"\0" + raw).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962: the largest power of two below the count goes left."""
    if len(leaves) == 1:
        return leaves[0]
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + root_of(leaves[:left]) + root_of(leaves[left:])).digest()
