"""Signed notes: the specification's example, grammar at its edges, and which signatures make a note trusted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core import note
from recorder.core.errors import FormatError, Misuse
from recorder.core.keys import SeedSigner
from tests.core.refusals import perhaps

VECTORS = Path(__file__).resolve().parents[3] / "shared/vectors/c2sp.json"
EXAMPLE = (
    "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
    "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaq"
    "P3ZekRwNtIc=\n"
).encode()
FOO = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SIGNER = SeedSigner(b"\x01" * 32)
OTHER = SeedSigner(b"\x02" * 32)
KEY = note.VerifierKey.derive("log.example/a", note.ED25519, SIGNER.public_key)
OTHER_KEY = note.VerifierKey.derive("log.example/b", note.ED25519, OTHER.public_key)
TEXT = "Grüße\n\nline\n"
LINE = note.sign_text(TEXT, KEY.name, SIGNER)
SIGNED = note.Note(TEXT, (LINE,)).encode()

names = st.text(min_size=1, max_size=12).filter(note.is_key_name)
_NO_CONTROLS = [chr(code) for code in range(32)]
bodies = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=_NO_CONTROLS) | st.just("\n"))
lines = st.builds(note.NoteSignature, names, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=80))
notes = st.builds(
    lambda body, signatures: note.Note(body + "\n", tuple(signatures)), bodies, st.lists(lines, min_size=1, max_size=4)
)


def refused_or_same(data: bytes) -> note.Note | None:
    """Parse; a note that is not refused must be written as exactly these bytes."""
    try:
        parsed = note.parse_note(data)
    except FormatError as failure:
        if failure.error != "note_malformed":
            raise
        return None
    assert parsed.encode() == data
    return parsed


def test_the_specifications_example() -> None:
    """The note of signed-note parses: its text has an empty line of its own and ends before the last one."""
    parsed = note.parse_note(EXAMPLE)
    assert parsed.text.endswith("\n\ned è subito sera.\n")
    assert [(line.name, line.key_id.hex(), len(line.signature)) for line in parsed.signatures] == [
        ("quasimodo.example/salvatore", "367ba04b", 64)
    ]
    assert parsed.encode() == EXAMPLE


def test_known_verifier_key() -> None:
    """A published verifier key parses, has the id that its parts give, and is written back alike."""
    key = note.VerifierKey.parse(FOO)
    assert (key.name, key.key_id.hex(), key.algorithm) == ("example.com/foo", "530d903a", note.ED25519)
    assert str(key) == FOO
    assert note.VerifierKey.derive(key.name, key.algorithm, key.public_key) == key
    if VECTORS.exists():
        assert json.loads(VECTORS.read_text())["signed_note_vkey"] == FOO


@pytest.mark.parametrize(
    "text",
    [
        "", "+", "++", "example.com/foo", "example.com/foo+530d903a", FOO + "=", FOO + "\n", FOO[:-1], " " + FOO,
        FOO.replace("530d903a", "530D903A"), FOO.replace("530d903a", "530d903b"), FOO.replace("530d903a", "0530d903a"),
        FOO.replace("+530d903a+", "+530d903a "), FOO.replace("example.com/foo", "example.com/fo"),
        FOO.replace("example.com/foo", ""), FOO.replace("example.com/foo", "a\u00a0b"), FOO.replace("+Aek", "+Bek"),
        FOO.replace("+Aek", "+Auk"), FOO.replace("e", "é"), FOO.replace("e", "\ud800"), "x" * 2_000_000,
    ],
)  # fmt: skip
def test_verifier_keys_refused(text: str) -> None:
    """A verifier key with a wrong id, type, name, length or spelling is refused."""
    with pytest.raises(FormatError, match="note_malformed"):
        note.VerifierKey.parse(text)


def test_mangled_verifier_keys() -> None:
    """A verifier key changed at any one place is refused: its id covers name, type and key."""
    for at in range(len(FOO)):
        for new in ("", "A", "b", "7", "+", "/", "\n"):
            mangled = FOO[:at] + new + FOO[at + 1 :]
            if mangled != FOO:
                with pytest.raises(FormatError, match="note_malformed"):
                    note.VerifierKey.parse(mangled)


@given(st.text(max_size=80), names, st.sampled_from([1, 4]), st.binary(min_size=32, max_size=32))
def test_verifier_keys_round_trip(anything: str, name: str, algorithm: int, public_key: bytes) -> None:
    """A derived key is read back from its text; arbitrary text is refused or is the text of a key."""
    key = note.VerifierKey.derive(name, algorithm, public_key)
    assert note.VerifierKey.parse(str(key)) == key
    with perhaps("note_malformed"):
        assert str(note.VerifierKey.parse(anything)) == anything


def test_keys_that_cannot_be_made() -> None:
    """A name with a space, plus or control character, another type or another length is misuse."""
    for name in ("", "a b", "a+b", "a\nb", "a\x00", "a\u2003b", "a\u3000", "a\x85", "a\ud800"):
        with pytest.raises(Misuse):
            note.VerifierKey.derive(name, note.ED25519, bytes(32))
    for algorithm, length in ((0, 32), (2, 32), (1, 31), (4, 33)):
        with pytest.raises(Misuse):
            note.VerifierKey.derive("name", algorithm, bytes(length))


@given(notes)
def test_notes_round_trip(value: note.Note) -> None:
    """Any note is read back as it was written, and refused when cut, continued or mangled to another spelling."""
    data = value.encode()
    assert note.parse_note(data) == value
    for changed in (data[:-1], data + b"\n", data + b"x", b"", data + b"\n\n"):
        with pytest.raises(FormatError, match="note_malformed"):
            note.parse_note(changed)


@given(st.binary(max_size=200), notes, st.data())
def test_any_bytes_as_note(anything: bytes, value: note.Note, data: st.DataObject) -> None:
    """Arbitrary bytes and notes with a stretch replaced are refused, or are written back as they were."""
    refused_or_same(anything)
    encoded = value.encode()
    low = data.draw(st.integers(0, len(encoded)))
    high = data.draw(st.integers(low, min(len(encoded), low + 4)))
    refused_or_same(encoded[:low] + data.draw(st.binary(max_size=4)) + encoded[high:])


def test_every_byte_mangled() -> None:
    """No byte of a signed note can be changed, dropped or added without the note being refused."""
    assert note.open_note(SIGNED, [KEY]).verified == [note.Verified(KEY, LINE)]
    for at in range(len(SIGNED) + 1):
        for new in (b"", b"\n", b"A", b" ", b"\x00", b"\xff", bytes([SIGNED[at] ^ 1]) if at < len(SIGNED) else b"="):
            for mangled in (SIGNED[:at] + new + SIGNED[at + 1 :], SIGNED[:at] + new + SIGNED[at:]):
                if mangled == SIGNED:
                    continue
                refused_or_same(mangled)
                with pytest.raises(FormatError, match=r"note_(malformed|signature)"):
                    note.open_note(mangled, [KEY])


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n", b"\n\n", b"text\n", b"text\n\n", str(LINE).encode() + b"\n", b"text\n" + str(LINE).encode() + b"\n",
        SIGNED.replace(b"\xe2\x80\x94", b"-"), SIGNED.replace("— ".encode(), "—".encode()), SIGNED.replace(b"\n", b"\r\n"),
        SIGNED.replace(b"\n\n\xe2", b"\n\n \xe2"), SIGNED.replace(b"/a ", b"/a  "), SIGNED.replace(b"/a ", b"/a\xc2\xa0"),
        SIGNED.replace(b"/a ", b"/+ "), SIGNED.replace(b"log.example/a", b""), SIGNED[:-1] + b"=\n", SIGNED + b"\n",
        SIGNED.replace(b"Gr", b"\t"), SIGNED.replace(b"Gr", b"\xc0\x80"), SIGNED.replace(b"Gr", b"\xed\xa0\x80"),
        b"\xef\xbb\xbf" + SIGNED[:-1], b"text\n\n\xe2\x80\x94 name AAAAAA==\n", b"text\n\n\xe2\x80\x94 name AAAAAB==\n",
        b"text\n\n\xe2\x80\x94 name AAA_AAA=\n", b"text\n\n\xe2\x80\x94 name AAAAAAA\n", b"text\n\n\xe2\x80\x94 name \n",
    ],
)  # fmt: skip
def test_notes_refused(data: bytes) -> None:
    """A note without text, signatures, final newline, proper dash, name or canonical base64 is refused."""
    with pytest.raises(FormatError, match="note_malformed"):
        note.parse_note(data)


def test_separators_that_are_no_newline() -> None:
    """Characters at which Python's splitlines would split are part of the text and part nothing."""
    text = "a\u2028b\u0085\u2029\n"
    signed = note.Note(text, (note.sign_text(text, KEY.name, SIGNER),)).encode()
    assert note.open_note(signed, [KEY]).text == text


def test_limits() -> None:
    """A hundred signatures are read, one more is not, and neither is a note over a million bytes."""
    assert len(note.parse_note(note.Note(TEXT, (LINE,) * 100).encode()).signatures) == 100
    with pytest.raises(FormatError, match="note_malformed"):
        note.parse_note(SIGNED + f"{LINE}\n".encode() * 100)
    with pytest.raises(FormatError, match="note_malformed"):
        note.parse_note(b"x" * 1_000_000 + SIGNED)
    with pytest.raises(Misuse):
        note.Note(TEXT, (LINE,) * 101).encode()


@pytest.mark.parametrize(
    "value",
    [
        note.Note("no newline", (LINE,)), note.Note("", (LINE,)), note.Note(TEXT, ()), note.Note("\x00\n", (LINE,)),
        note.Note("\ud800\n", (LINE,)), note.Note(TEXT, (note.NoteSignature("a b", bytes(4), b"x"),)),
        note.Note(TEXT, (note.NoteSignature("a", bytes(5), b"x"),)),
        note.Note(TEXT, (note.NoteSignature("a", bytes(4), b""),)),
        note.Note(TEXT, (note.NoteSignature("a AAAAAAA=\n\n— b", bytes(4), b"x"),)),
    ],
)  # fmt: skip
def test_notes_that_cannot_be_written(value: note.Note) -> None:
    """A note that would be refused, or read as another one, is misuse when written."""
    with pytest.raises(Misuse):
        value.encode()


def test_texts_that_cannot_be_signed() -> None:
    """Nothing is signed that no note could carry."""
    for text in ("", "no newline", "tab\t\n", "\ud800\n"):
        with pytest.raises(Misuse):
            note.sign_text(text, KEY.name, SIGNER)


def test_unknown_keys_are_left_aside() -> None:
    """Lines that share only the name or only the id with a known key don't count, whatever they hold."""
    strangers = (
        note.NoteSignature(KEY.name, b"\x00\x00\x00\x00", b"x" * 64),
        note.NoteSignature("somebody.else", KEY.key_id, b"x"),
        note.sign_text(TEXT, OTHER_KEY.name, OTHER),
    )
    opened = note.open_note(note.Note(TEXT, (strangers[0], LINE, *strangers[1:])).encode(), [KEY])
    assert opened == (TEXT, [note.Verified(KEY, LINE)], list(strangers))


def test_a_failing_known_key_rejects_the_note() -> None:
    """One failing line of a known key rejects a note, however many others hold."""
    bad = note.NoteSignature(OTHER_KEY.name, OTHER_KEY.key_id, LINE.signature)
    data = note.Note(TEXT, (LINE, bad)).encode()
    assert note.open_note(data, [KEY]).unverified == [bad]
    for known in ([KEY, OTHER_KEY], [OTHER_KEY]):
        with pytest.raises(FormatError, match="note_signature"):
            note.open_note(data, known)


def test_a_note_without_a_known_signature_is_rejected() -> None:
    """A note that nobody known signed has no text to trust."""
    for known in ([], [OTHER_KEY]):
        with pytest.raises(FormatError, match="note_signature"):
            note.open_note(SIGNED, known)


def test_colliding_known_keys() -> None:
    """The same key given twice is one, two keys under one name and id are misuse."""
    assert len(note.open_note(SIGNED, [KEY, KEY]).verified) == 1
    twin = note.VerifierKey(KEY.name, KEY.key_id, KEY.algorithm, OTHER.public_key)
    with pytest.raises(Misuse):
        note.open_note(SIGNED, [KEY, twin])


def test_types_do_not_mix() -> None:
    """A plain signature is none as a cosignature, even by the same key under the id of the other type."""
    as_witness = note.VerifierKey.derive(KEY.name, note.COSIGNATURE_V1, SIGNER.public_key)
    assert as_witness.key_id != KEY.key_id
    for signature in (LINE.signature, bytes(8) + LINE.signature, b"\xff" * 8 + LINE.signature, b""):
        assert not note.holds(as_witness, TEXT, signature)
