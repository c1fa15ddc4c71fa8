"""A request for a credential: a name, a role and a key, signed by that key (FORMAT.md section 6).

The signature proves that whoever asks has the key.  It says nothing of who that is: the authority has to know.
"""

from __future__ import annotations

from typing import NamedTuple

from recorder.core import cbor, sign1
from recorder.core.errors import FormatError
from recorder.core.fields import read_fields
from recorder.core.keys import Signer
from recorder.core.kinds import Hash, Name
from recorder.core.scope import Role
from recorder.core.sign1 import REQUEST


class CredentialRequest(NamedTuple):
    """What is asked for."""

    key: Hash
    name: Name
    role: Role


def make(name: str, role: Role, signer: Signer) -> bytes:
    """Make the bytes of a request for the signer's own key.

    Raises:
        FormatError: request_malformed: readers would refuse it.

    """
    try:
        payload = cbor.encode({"key": signer.public_key, "name": name, "role": role})
    except FormatError as error:
        raise FormatError(REQUEST.error, error.detail) from None
    read_fields(payload, CredentialRequest, REQUEST.error)
    return sign1.sign(signer, REQUEST, payload)


def read(raw: bytes) -> CredentialRequest:
    """Read a request and check that its key signed it.

    Raises:
        FormatError: request_malformed, request_signature.

    """
    signed = sign1.read(raw, REQUEST)
    asked = read_fields(signed.payload, CredentialRequest, REQUEST.error)
    if not sign1.verify(signed, asked.key):
        raise FormatError("request_signature", f"{asked.name} is not signed by the key that it asks for")
    return asked
