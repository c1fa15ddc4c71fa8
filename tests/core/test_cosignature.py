"""Cosignatures: the published vector, times at their edges, and lines that don't hold."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core import cosignature, note
from recorder.core.checkpoint import Checkpoint, parse_checkpoint
from recorder.core.errors import FormatError, Misuse
from recorder.core.keys import SeedSigner

# The same as cosignature_v1 in the shared vectors.
NAME = "witness.example.org"
SIGNER = SeedSigner(sha256(b"skylight test witness key").digest())
TIME_S = 1767139200
HEAD = parse_checkpoint("rome2026h1.example.org\n300\nlCkHUpkmVBEms2r2T1K6Og69+wUuuN3MIEW1/ezu2v0=\n")
VKEY = "witness.example.org+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Zozkoy7clp+P7XB28qUN"
SIGNATURE = "uKLPIAAAAABpVGeAhm2bOvKc3LaB9PFN1ruG19Y5yqslmcAAbhftnn1Zznmo0LXFZq4LGvqKqLX8jWlwLKasxEGTLIqAVusneCBmBw=="
KEY = note.VerifierKey.parse(VKEY)
LINE = note.parse_signature_line(f"— {NAME} {SIGNATURE}")


def test_known_answer() -> None:
    """The published seed gives the published key and signature line, byte for byte, and it verifies."""
    assert str(cosignature.cosigner_key(NAME, SIGNER.public_key)) == VKEY
    line = cosignature.cosign(HEAD, NAME, SIGNER, TIME_S)
    assert str(line) == f"— {NAME} {SIGNATURE}"
    raw = base64.b64decode(SIGNATURE)
    assert cosignature.verify_cosignature(HEAD, line, KEY) == (TIME_S, raw[12:])


def test_message() -> None:
    """What is signed is header, time and the whole checkpoint text."""
    assert note.cosigned_message("a\n1\nb\n", 1679315147) == b"cosignature/v1\ntime 1679315147\na\n1\nb\n"


def test_opens_as_a_note() -> None:
    """A note with only the cosignature opens under the cosigner's key and keeps the line."""
    opened = note.open_note(note.Note(HEAD.text(), (LINE,)).encode(), [KEY])
    assert opened == (HEAD.text(), [note.Verified(KEY, LINE)], [])


@given(st.integers(1, 2**63 - 1))
def test_any_time(time_s: int) -> None:
    """Every time up to 2^63 - 1 s is signed and read back."""
    line = cosignature.cosign(HEAD, NAME, SIGNER, time_s)
    assert cosignature.verify_cosignature(HEAD, line, KEY).time_s == time_s


def test_times_that_are_refused() -> None:
    """No cosignature is made without a time, and one with a time beyond 2^63 - 1 does not hold."""
    for time_s in (-1, 0, 2**63):
        with pytest.raises(Misuse):
            cosignature.cosign(HEAD, NAME, SIGNER, time_s)
    beyond = 2**63
    signature = beyond.to_bytes(8, "big") + SIGNER.sign(note.cosigned_message(HEAD.text(), beyond))
    with pytest.raises(FormatError, match="note_signature"):
        cosignature.verify_cosignature(HEAD, note.NoteSignature(NAME, KEY.key_id, signature), KEY)


def test_every_bit_mangled() -> None:
    """A signature with any bit flipped, cut or continued does not hold; neither does it for another checkpoint."""
    for bit in range(len(LINE.signature) * 8):
        flipped = bytearray(LINE.signature)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError, match="note_signature"):
            cosignature.verify_cosignature(HEAD, note.NoteSignature(NAME, KEY.key_id, bytes(flipped)), KEY)
    for head in (Checkpoint(HEAD.origin, 301, HEAD.root), Checkpoint("other", 300, HEAD.root)):
        with pytest.raises(FormatError, match="note_signature"):
            cosignature.verify_cosignature(head, LINE, KEY)


@given(st.binary(max_size=80))
def test_any_signature(signature: bytes) -> None:
    """Arbitrary bytes as a signature don't hold."""
    with pytest.raises(FormatError, match="note_signature"):
        cosignature.verify_cosignature(HEAD, note.NoteSignature(NAME, KEY.key_id, signature), KEY)


def test_lines_of_others() -> None:
    """A line of another name or id is refused, and a key of another type is misuse."""
    for line in (
        note.NoteSignature("other", KEY.key_id, LINE.signature),
        note.NoteSignature(NAME, bytes(4), LINE.signature),
    ):
        with pytest.raises(FormatError, match="note_signature"):
            cosignature.verify_cosignature(HEAD, line, KEY)
    plain = note.VerifierKey.derive(NAME, note.ED25519, SIGNER.public_key)
    with pytest.raises(Misuse):
        cosignature.verify_cosignature(HEAD, LINE, plain)
