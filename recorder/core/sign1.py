"""COSE_Sign1 for what is signed apart from a log: credentials, policies, observations and more (FORMAT.md section 6).

The spelling is that of entries, and the external_aad is a label for each use, so that a signature made for one use is
never one for another, nor one for an entry.  Entries keep a path of their own in `core/entry`: it is the hot one, and
binds to an origin.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from recorder.core import cbor, keys
from recorder.core.entry import protected_of
from recorder.core.errors import FormatError, Misuse
from recorder.core.keys import SIGNATURE_BYTES, Signer
from recorder.core.limits import KID_BYTES

_PROTECTED_HEAD = protected_of(b"")
SIGNED = b"\xd2"  # the tag that each begins with; of what may stand in its place, nothing does
_OPENING = SIGNED + b"\x84" + cbor.head(2, len(_PROTECTED_HEAD) + KID_BYTES) + _PROTECTED_HEAD
_UNPROTECTED = b"\xa0"
_PAYLOAD_AT = len(_OPENING) + KID_BYTES + len(_UNPROTECTED)
_SIGNATURE_HEAD = cbor.head(2, SIGNATURE_BYTES)
_CONTEXT = cbor.head(4, 4) + cbor.encode("Signature1")


class Use(NamedTuple):
    """What a signature is for."""

    label: str  # ends in a line feed: external_aad
    max_bytes: int  # of the whole COSE_Sign1
    error: str  # name of the FormatError for bytes that are none


# What a device is sent fits one request over its socket.
CREDENTIAL = Use("lineage/credential/1\n", 8192, "credential_malformed")
MATRIX = Use("lineage/matrix/1\n", 49_152, "matrix_malformed")
POLICY = Use("lineage/policy/1\n", 49_152, "policy_malformed")
REQUEST = Use("lineage/request/1\n", 2048, "request_malformed")
REVOCATION = Use("lineage/revocation/1\n", 49_152, "revocation_malformed")
OBSERVATION = Use("lineage/observation/1\n", 8192, "observation_malformed")
GRANT = Use("lineage/grant/1\n", 8192, "grant_malformed")
CONFIRMATION = Use("lineage/confirmation/1\n", 512, "confirmation_malformed")
USES = (CREDENTIAL, MATRIX, POLICY, REQUEST, REVOCATION, OBSERVATION, GRANT, CONFIRMATION)


class Sign1(NamedTuple):
    """A COSE_Sign1 that was read; reading it has not checked its signature."""

    use: Use
    raw: bytes
    kid: bytes  # of the signer
    payload: bytes
    signature: bytes

    @property
    def hash(self) -> bytes:
        """SHA-256 of the exact bytes: how credentials, policies and authorisations are referred to."""
        return sha256(self.raw).digest()


def sign(signer: Signer, use: Use, payload: bytes) -> bytes:
    """Sign a payload.

    Raises:
        Misuse: the result would be larger than its readers take.

    """
    signer_kid = keys.kid(signer.public_key)
    head = b"".join((_OPENING, signer_kid, _UNPROTECTED, cbor.byte_string(payload), _SIGNATURE_HEAD))
    if len(head) + SIGNATURE_BYTES > use.max_bytes:
        raise Misuse(
            f"{_named(use)} of {len(head) + SIGNATURE_BYTES} bytes is over {use.max_bytes}: say less, or divide it"
        )
    return head + signer.sign(_to_be_signed(use, signer_kid, payload))


def read(raw: bytes, use: Use) -> Sign1:
    """Take a COSE_Sign1 of the one spelling apart.

    Raises:
        FormatError: the use's error.

    """
    if len(raw) > use.max_bytes:
        raise FormatError(use.error, f"{_named(use)} of {len(raw)} bytes is over {use.max_bytes}")
    signature_at = len(raw) - SIGNATURE_BYTES
    payload_end = signature_at - len(_SIGNATURE_HEAD)
    signer_kid = raw[len(_OPENING) : len(_OPENING) + KID_BYTES]
    if raw[:_PAYLOAD_AT] != _OPENING + signer_kid + _UNPROTECTED or raw[payload_end:signature_at] != _SIGNATURE_HEAD:
        raise FormatError(use.error, "not a COSE_Sign1 with the protected header {1: -19, 4: kid}")
    for head in (1, 2, 3, 5):
        payload = raw[_PAYLOAD_AT + head : payload_end]
        if cbor.byte_string(payload) == raw[_PAYLOAD_AT:payload_end]:
            return Sign1(use, raw, signer_kid, payload, raw[signature_at:])
    raise FormatError(use.error, "the payload is not one byte string of the length that is left for it")


def verify(signed: Sign1, public_key: bytes) -> bool:
    """Tell whether this key signed it for this use; false too where the kid names another key."""
    if len(public_key) != keys.PUBLIC_KEY_BYTES or keys.kid(public_key) != signed.kid:
        return False
    return keys.verify(public_key, _to_be_signed(signed.use, signed.kid, signed.payload), signed.signature)


def _to_be_signed(use: Use, signer_kid: bytes, payload: bytes) -> bytes:
    """The Sig_structure of RFC 9052 section 4.4, for a payload of any length."""
    parts = (protected_of(signer_kid), use.label.encode(), payload)
    return _CONTEXT + b"".join(map(cbor.byte_string, parts))


def _named(use: Use) -> str:
    name = use.label.strip().removesuffix("/1").removeprefix("lineage/")
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
