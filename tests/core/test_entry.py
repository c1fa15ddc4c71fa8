"""Entries: one encoding, bound to key and origin; every byte counts, and no bytes raise anything but FormatError."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core import entry
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.keys import SeedSigner, kid, verify
from tests.core.shapes import KINDS, headers, mangled, mutated, naive_cbor, values

SIGNER = SeedSigner(bytes(range(32)))
ORIGIN = "fleet/arm/0123456789abcdef"
AAD = entry.external_aad(ORIGIN)
HEADER = {1: 1, 2: 3, 3: 7, 4: bytes(32), 5: [1, 2, 1, 0, None], 15: [bytes(32)]}
ERRORS = {"entry_too_large", "entry_malformed", "cbor_malformed", "header_keys", "header_value"}

any_header = st.sampled_from(KINDS).flatmap(headers)


def raw_with(payload: bytes) -> bytes:
    """An entry with any payload, its signature right, made with generic CBOR."""
    protected = cbor2.dumps({1: -19, 4: sha256(SIGNER.public_key).digest()[:8]}, canonical=True)
    signature = SIGNER.sign(cbor2.dumps(["Signature1", protected, AAD, payload]))
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))


def holds(raw: bytes, aad: bytes = AAD) -> bool:
    """Whether a reader that knows the key takes these bytes for an entry."""
    try:
        decoded = entry.decode(raw)
    except FormatError as error:
        assert error.error in ERRORS
        return False
    assert decoded.raw == raw
    message = entry.to_be_signed(entry.protected_of(decoded.kid), aad, decoded.payload)
    return decoded.kid == kid(SIGNER.public_key) and verify(SIGNER.public_key, message, decoded.signature)


def test_known_answer_of_cose() -> None:
    """The Sig_structure of RFC 9052 section 4.4 for {1: -19}, no aad and the payload "payload", to the byte."""
    expected = "846a5369676e61747572653143a1013240477061796c6f6164"
    assert entry.to_be_signed(bytes.fromhex("a10132"), b"", b"payload").hex() == expected


def test_spelled_to_the_byte() -> None:
    """One epoch entry: every byte but the signature, and what is signed."""
    raw = entry.sign(HEADER, AAD, SIGNER)
    signer_kid = sha256(SIGNER.public_key).digest()[:8]
    payload = (
        b"\xa6\x01\x01\x02\x03\x03\x07\x04\x58\x20"
        + bytes(32)
        + b"\x05\x85\x01\x02\x01\x00\xf6\x0f\x81\x58\x20"
        + bytes(32)
    )
    assert raw[:-64] == b"\xd2\x84\x4d\xa2\x01\x32\x04\x48" + signer_kid + b"\xa0\x58\x55" + payload + b"\x58\x40"
    aad = b"lineage/entry/1\nfleet/arm/0123456789abcdef\n"
    protected = b"\xa2\x01\x32\x04\x48" + signer_kid
    signed = b"\x84\x6aSignature1\x4d" + protected + b"\x58\x2b" + aad + b"\x58\x55" + payload
    assert verify(SIGNER.public_key, signed, raw[-64:])
    assert entry.entry_hash(raw) == sha256(b"\0" + raw).digest() == entry.decode(raw).hash


@pytest.mark.parametrize("kind", KINDS)
def test_encoding_is_what_generic_cbor_makes(kind: int) -> None:
    """For each kind the bytes are those of cbor2's tag 18, and reading gives back what was written."""

    @given(headers(kind))
    def check(header: dict[int, Any]) -> None:
        raw = entry.sign(header, AAD, SIGNER)
        assert raw == entry.sign(header, AAD, SIGNER, kid(SIGNER.public_key)) == raw_with(naive_cbor(header))
        assert holds(raw)
        decoded = entry.decode(raw)
        assert (decoded.raw, decoded.payload) == (raw, naive_cbor(header))
        read = decoded.header
        by_key = {
            2: read.kind, 3: read.seq, 4: read.prev, 5: read.time, 6: read.actuator_axis, 7: read.policy_axis, 8: read.who,
            9: read.why, 10: read.commits, 11: read.body, 12: read.refs, 13: read.classes, 14: read.stage, 15: read.control,
            16: read.decision, 17: read.bounds, 18: read.witnesses,
        }  # fmt: skip
        assert plain({key: value for key, value in by_key.items() if value is not None}) == plain(
            {key: value for key, value in header.items() if key != 1}
        )

    check()


def plain(value: Any) -> Any:
    """Named tuples as lists, without the optional elements that are not there."""
    if isinstance(value, list | tuple):
        items = [plain(item) for item in value]
        absent = {"Ref": -1, "Witnesses": 0}.get(type(value).__name__)
        while absent is not None and items[-1] == absent:
            items.pop()
        return items
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("length", [0, 1, 22, 23, 24, 25, 254, 255, 256, 257, 65_449])
def test_payload_lengths(length: int) -> None:
    """The payload's length has one spelling on either side of each CBOR boundary."""
    raw = raw_with(bytes(length))
    assert entry.split(raw) == (kid(SIGNER.public_key), bytes(length), raw[-64:])
    for cut in (raw[:-1], raw[1:], raw + b"\0", raw[:17] + raw[18:]):
        with pytest.raises(FormatError, match=r"entry_malformed|entry_too_large"):
            entry.split(cut)


def test_a_longer_spelling_of_a_length_is_refused() -> None:
    """A payload of 85 bytes under a two-byte or four-byte length is not an entry."""
    raw = raw_with(naive_cbor(HEADER))
    payload = naive_cbor(HEADER)
    for head in (b"\x59\x00\x55", b"\x5a\x00\x00\x00\x55", b"\x5b" + bytes(7) + b"\x55", b"\x5f\x58\x55", b"\x78\x55"):
        with pytest.raises(FormatError, match="entry_malformed"):
            entry.decode(raw[:17] + head + payload + raw[-66:])


def test_an_entry_fits_a_bundle() -> None:
    """An entry of 65,535 bytes is written and read, one of 65,536 is neither."""
    filler = 65_535 - len(entry.sign({**HEADER, 2: 99, 15: bytes(1000)}, AAD, SIGNER)) + 1000
    raw = entry.sign({**HEADER, 2: 99, 15: bytes(filler)}, AAD, SIGNER)
    assert len(raw) == 65_535
    assert holds(raw)
    for more in (1, 100_000):
        with pytest.raises(FormatError, match="entry_too_large"):
            entry.sign({**HEADER, 2: 99, 15: bytes(filler + more)}, AAD, SIGNER)
    with pytest.raises(FormatError, match="entry_too_large"):
        entry.decode(raw + b"\0")


@pytest.mark.parametrize("kind", [1, 3, 4, 24, 25])
def test_every_byte_counts(kind: int) -> None:
    """Any bit flipped at any byte, any byte removed or doubled: no reader takes it for the entry."""

    @given(headers(kind))
    def check(header: dict[int, Any]) -> None:
        raw = entry.sign(header, AAD, SIGNER)
        step = max(1, len(raw) // 150)  # all of a usual entry, a sample of one that Hypothesis made huge
        for at in range(0, len(raw), step):
            flipped = raw[:at] + bytes([raw[at] ^ 1 << at % 8]) + raw[at + 1 :]
            assert not holds(flipped)
            assert not holds(raw[:at] + raw[at + 1 :])
            assert not holds(raw[: at + 1] + raw[at:])

    check()


def test_every_bit_of_one_entry() -> None:
    """All bits of one entry, one after another."""
    raw = entry.sign(HEADER, AAD, SIGNER)
    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not holds(bytes(flipped)), bit


@pytest.mark.parametrize(
    "origin",
    ["", "fleet/arm/0123456789abcdee", "fleet/arm/0123456789abcdef\n", "Fleet/arm/0123456789abcdef", "fleet/arm/"],
)
def test_bound_to_one_origin(origin: str) -> None:
    """The signature does not hold under another origin."""
    raw = entry.sign(HEADER, AAD, SIGNER)
    assert holds(raw)
    assert not holds(raw, entry.external_aad(origin))
    assert not holds(raw, AAD.replace(b"entry", b"other"))


def test_bound_to_one_key() -> None:
    """Another key's entry does not hold, even where it names our key id."""
    other = SeedSigner(bytes(32))
    assert not holds(entry.sign(HEADER, AAD, other))
    assert not holds(entry.sign(HEADER, AAD, other, kid(SIGNER.public_key)))


@given(st.one_of(st.binary(max_size=300), any_header.map(lambda header: raw_with(naive_cbor(header))).flatmap(mangled)))
def test_any_bytes(raw: bytes) -> None:
    """Arbitrary bytes are refused by name or are an entry that re-encodes to themselves."""
    try:
        decoded = entry.decode(raw)
    except FormatError as error:
        assert error.error in ERRORS
        return
    again = cbor2.CBORTag(18, [entry.protected_of(decoded.kid), {}, decoded.payload, decoded.signature])
    assert cbor2.dumps(again) == raw


@given(st.one_of(values, any_header.flatmap(mutated)).map(naive_cbor) | st.binary(max_size=100))
def test_any_payload(payload: bytes) -> None:
    """Any payload under a right signature is a header of its kind or refused by name."""
    raw = raw_with(payload)
    try:
        decoded = entry.decode(raw)
    except FormatError as error:
        assert error.error in ERRORS
    else:
        assert decoded.payload == payload
        assert isinstance(decoded.header, Header)
