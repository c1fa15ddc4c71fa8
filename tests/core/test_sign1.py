"""COSE_Sign1 apart from a log: one spelling, one label for each use, and no bytes raise anything but the use's error."""

from __future__ import annotations

from hashlib import sha256
from itertools import permutations

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from recorder.core import entry, sign1
from recorder.core.errors import FormatError, Misuse
from recorder.core.keys import SeedSigner
from recorder.core.sign1 import CREDENTIAL, MATRIX, POLICY, USES, Use
from tests.core.shapes import mangled

SIGNER = SeedSigner(bytes(range(32)))
KID = sha256(SIGNER.public_key).digest()[:8]
uses = st.sampled_from(USES)


def generic(use: Use, payload: bytes) -> bytes:
    """The same COSE_Sign1 out of generic CBOR."""
    protected = cbor2.dumps({1: -19, 4: KID}, canonical=True)
    signature = SIGNER.sign(cbor2.dumps(["Signature1", protected, use.label.encode(), payload]))
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))


def holds(raw: bytes, use: Use) -> bool:
    """Whether a reader that knows the key takes these bytes as signed for this use."""
    try:
        signed = sign1.read(raw, use)
    except FormatError as error:
        assert error.error == use.error
        return False
    assert signed.raw == raw
    return sign1.verify(signed, SIGNER.public_key)


def test_spelled_to_the_byte() -> None:
    """One of them: every byte but the signature, and what is signed, which OpenSSL verifies."""
    raw = sign1.sign(SIGNER, CREDENTIAL, b"payload")
    assert raw[:-64] == b"\xd2\x84\x4d\xa2\x01\x32\x04\x48" + KID + b"\xa0\x47payload\x58\x40"
    signed = b"\x84\x6aSignature1\x4d\xa2\x01\x32\x04\x48" + KID + b"\x55lineage/credential/1\n\x47payload"
    Ed25519PublicKey.from_public_bytes(SIGNER.public_key).verify(raw[-64:], signed)
    assert sign1.read(raw, CREDENTIAL).hash == sha256(raw).digest()


@given(uses, st.binary(max_size=300) | st.integers(65_400, 65_700).map(bytes))
def test_encoding_is_what_generic_cbor_makes(use: Use, payload: bytes) -> None:
    """The bytes are those of cbor2's tag 18, whatever the length of the payload, and reading gives back what was signed."""
    use = use._replace(max_bytes=70_000)
    raw = sign1.sign(SIGNER, use, payload)
    assert raw == generic(use, payload)
    assert sign1.read(raw, use) == (use, raw, KID, payload, raw[-64:])
    assert holds(raw, use)


def test_labels_are_apart() -> None:
    """No label is the beginning of another or of an entry's external_aad: a signature has one use."""
    labels = [use.label for use in USES]
    assert all(label.endswith("\n") for label in labels)
    entries = entry.external_aad("x").decode()
    assert not any(one.startswith(other) for one, other in permutations([*labels, entries], 2))


def test_a_signature_has_one_use() -> None:
    """What was signed for one use holds for no other, and neither does an entry."""
    for use, other in permutations(USES, 2):
        assert not holds(sign1.sign(SIGNER, use, b"payload"), other)
    assert not holds(entry.sign({1: 1}, entry.external_aad(""), SIGNER), CREDENTIAL)


def test_every_byte_counts() -> None:
    """With any bit of it flipped it is refused, or does not hold."""
    raw = sign1.sign(SIGNER, CREDENTIAL, b"payload")
    assert holds(raw, CREDENTIAL)
    for at in range(len(raw)):
        for bit in range(8):
            assert not holds(raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :], CREDENTIAL), at
    assert not any(holds(raw[:length], CREDENTIAL) for length in range(len(raw)))


def test_another_key_and_no_key() -> None:
    """It holds under the key that its kid names and no other; what is no key does not raise."""
    signed = sign1.read(sign1.sign(SIGNER, MATRIX, b"x"), MATRIX)
    assert sign1.verify(signed, SIGNER.public_key)
    for key in (SeedSigner(bytes(32)).public_key, b"", SIGNER.public_key[:31], SIGNER.public_key + b"\0"):
        assert not sign1.verify(signed, key)


def test_a_kid_must_match() -> None:
    """A signature that holds over a protected header with another kid is not taken."""
    protected = b"\xa2\x01\x32\x04\x48" + bytes(8)
    signature = SIGNER.sign(cbor2.dumps(["Signature1", protected, POLICY.label.encode(), b"x"]))
    signed = sign1.read(cbor2.dumps(cbor2.CBORTag(18, [protected, {}, b"x", signature])), POLICY)
    assert not sign1.verify(signed, SIGNER.public_key)


@pytest.mark.parametrize("use", USES, ids=lambda use: use.label.strip())
def test_size(use: Use) -> None:
    """Up to the limit it is signed and read; one byte more is refused by both."""
    room = use.max_bytes - len(sign1.sign(SIGNER, use._replace(max_bytes=70_000), bytes(256))) + 256
    raw = sign1.sign(SIGNER, use, bytes(room))
    assert len(raw) == use.max_bytes
    assert holds(raw, use)
    with pytest.raises(Misuse, match=f"over {use.max_bytes}"):
        sign1.sign(SIGNER, use, bytes(room + 1))
    longer = sign1.sign(SIGNER, use._replace(max_bytes=70_000), bytes(room + 1))
    with pytest.raises(FormatError, match=f"{use.error}: .* over {use.max_bytes}"):
        sign1.read(longer, use)


@given(st.binary(max_size=200), uses)
def test_any_bytes(data: bytes, use: Use) -> None:
    """Arbitrary bytes are refused under the use's name."""
    assert not holds(data, use)


@given(uses, st.binary(max_size=70), st.data())
def test_mangled(use: Use, payload: bytes, data: st.DataObject) -> None:
    """Bytes changed, inserted, removed or added are refused, or do not hold, unless nothing changed."""
    raw = sign1.sign(SIGNER, use, payload)
    changed = data.draw(mangled(raw))
    assert holds(changed, use) == (changed == raw)
