"""C2SP signed-note: text under signature lines, and verifier keys.

A note is text ending in newline, an empty line, then one line `— NAME BASE64(key id ‖ signature)` for each signature.
Two signature types are known: 0x01 (Ed25519 over the text) and 0x04 (tlog-cosignature, Ed25519 over a time and the
text).  Bytes from outside raise only `FormatError`: "note_malformed" for grammar, "note_signature" for trust.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from recorder.core.canonical import UINT63_MAX, decode_base64, encode_base64, written
from recorder.core.errors import FormatError, Misuse
from recorder.core.keys import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, Signer, verify
from recorder.core.limits import NOTE_MAX_BYTES, NOTE_MAX_SIGNATURES

ED25519 = 0x01
COSIGNATURE_V1 = 0x04
KEY_ID_BYTES = 4

_DASH = "\u2014 "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SURROGATE = re.compile("[\ud800-\udfff]")  # what a Python string may hold and UTF-8 may not
_KEY_ID_HEX = re.compile(r"[0-9a-f]{8}")
_TIME_BYTES = 8


def is_key_name(name: str) -> bool:
    """Tell whether a key name is allowed: not empty, no Unicode space, '+', control character or lone surrogate."""
    if not name or "+" in name or any(map(str.isspace, name)):
        return False
    return not _CONTROL.search(name) and not _SURROGATE.search(name)


# --- Verifier keys


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A named public key of one signature type; its text form is `name+hex8(key id)+base64(type ‖ public key)`.

    Make one with `derive` or `parse`, which see to it that the key id belongs to the key.
    """

    name: str
    key_id: bytes  # 4 bytes
    algorithm: int  # ED25519 or COSIGNATURE_V1
    public_key: bytes  # 32 bytes

    @classmethod
    def derive(cls, name: str, algorithm: int, public_key: bytes) -> VerifierKey:
        """Make the key with key id = SHA-256(name ‖ 0x0A ‖ type ‖ public key)[:4], signed-note "Signatures".

        Raises:
            Misuse: name not allowed, unknown type or a key not of 32 bytes.

        """
        if not is_key_name(name):
            raise Misuse(f"{name!r} is not allowed as a key name")
        if algorithm not in {ED25519, COSIGNATURE_V1}:
            raise Misuse(f"signature type {algorithm:#04x} is not supported")
        if len(public_key) != PUBLIC_KEY_BYTES:
            raise Misuse(f"an Ed25519 public key has {PUBLIC_KEY_BYTES} bytes, not {len(public_key)}")
        return cls(name, key_id(name, algorithm, public_key), algorithm, public_key)

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Parse the text form; it must be exactly what `str` gives.

        Raises:
            FormatError: "note_malformed".

        """
        error = "note_malformed"
        if len(text) > NOTE_MAX_BYTES:
            raise FormatError(error, f"a verifier key of {len(text)} characters")
        name, _, rest = text.partition("+")
        hex8, _, key_text = rest.partition("+")  # base64 may hold further plus signs
        if not is_key_name(name) or _KEY_ID_HEX.fullmatch(hex8) is None:
            raise FormatError(error, "a verifier key is not written as name+hex8+base64")
        encoded = decode_base64(key_text, error)
        if len(encoded) != 1 + PUBLIC_KEY_BYTES or encoded[0] not in {ED25519, COSIGNATURE_V1}:
            raise FormatError(error, f"verifier key {name} is of no supported signature type")
        key = cls.derive(name, encoded[0], encoded[1:])
        if key.key_id.hex() != hex8:
            raise FormatError(error, f"verifier key {name} states id {hex8} but has {key.key_id.hex()}")
        return key

    def __str__(self) -> str:
        """Return the text form ("vkey")."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([self.algorithm]) + self.public_key)}"


def key_id(name: str, algorithm: int, public_key: bytes) -> bytes:
    """Return SHA-256(name ‖ 0x0A ‖ type ‖ public key)[:4], signed-note "Signatures"."""
    return sha256(name.encode() + b"\n" + bytes([algorithm]) + public_key).digest()[:KEY_ID_BYTES]


# --- Notes


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line; what `signature` holds depends on the type of the key."""

    name: str
    key_id: bytes  # 4 bytes
    signature: bytes

    def __str__(self) -> str:
        """Return the line without its newline."""
        return f"{_DASH}{self.name} {encode_base64(self.key_id + self.signature)}"


@dataclass(frozen=True, slots=True)
class Note:
    """A text ending in newline and its signature lines, in the order of the note; nothing here is verified."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> bytes:
        """Return the bytes of the note.

        Raises:
            Misuse: `parse_note` would not give this note back (text without final newline, a name not allowed, ...).

        """
        try:
            note = "".join([self.text, "\n", *(f"{line}\n" for line in self.signatures)]).encode()
        except UnicodeEncodeError as failure:
            raise Misuse(f"this note cannot be written: {failure}") from failure
        return written(note, parse_note, self, "note")


def parse_note(note: bytes) -> Note:
    """Parse a signed note, signed-note "Format".

    Raises:
        FormatError: "note_malformed".

    """
    error = "note_malformed"
    if len(note) > NOTE_MAX_BYTES:
        raise FormatError(error, f"a note of {len(note)} bytes, at most {NOTE_MAX_BYTES} are allowed")
    try:
        whole = note.decode("utf-8")
    except UnicodeDecodeError as failure:
        raise FormatError(error, f"not UTF-8: {failure.reason} at byte {failure.start}") from None
    if control := _CONTROL.search(whole):
        raise FormatError(error, f"control character {control[0]!r}")
    end_of_text = whole.rfind("\n\n")  # "the last empty line in the note"
    if end_of_text < 0 or not whole.endswith("\n"):
        raise FormatError(error, "no empty line before the signatures, or no newline at the end")
    lines = whole[end_of_text + 2 : -1].split("\n")
    if len(lines) > NOTE_MAX_SIGNATURES:
        raise FormatError(error, f"{len(lines)} signature lines, at most {NOTE_MAX_SIGNATURES} are allowed")
    return Note(whole[: end_of_text + 1], tuple(parse_signature_line(line) for line in lines))


def parse_signature_line(line: str) -> NoteSignature:
    """Parse one signature line without its newline.

    Raises:
        FormatError: "note_malformed".

    """
    error = "note_malformed"
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space or not is_key_name(name):
        raise FormatError(error, "a signature line is not written as '— NAME BASE64'")
    value = decode_base64(encoded, error)
    if len(value) <= KEY_ID_BYTES:
        raise FormatError(error, f"the signature of {name} has {len(value)} bytes, no more than its key id")
    return NoteSignature(name, value[:KEY_ID_BYTES], value[KEY_ID_BYTES:])


# --- Signing and opening


class Verified(NamedTuple):
    """A signature line that holds, with the key that it holds under."""

    key: VerifierKey
    signature: NoteSignature


class OpenedNote(NamedTuple):
    """The text of a note that at least one known key signed, and its lines in order."""

    text: str
    verified: list[Verified]
    unverified: list[NoteSignature]


def sign_text(text: str, name: str, signer: Signer) -> NoteSignature:
    """Sign text as type 0x01, signed-note "Ed25519 signatures"; put the line into a `Note` to encode it.

    Raises:
        Misuse: name or text not allowed; the signer's own errors pass through.

    """
    if not text.endswith("\n") or _CONTROL.search(text) or _SURROGATE.search(text):
        raise Misuse("a text to sign is UTF-8 without control characters and ends in newline")
    key = VerifierKey.derive(name, ED25519, signer.public_key)
    return NoteSignature(name, key.key_id, signer.sign(text.encode()))


def cosigned_message(text: str, time_s: int) -> bytes:
    """Return what a type 0x04 signature signs, tlog-cosignature "Ed25519 signed message"; POSIX seconds."""
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def holds(key: VerifierKey, text: str, signature: bytes) -> bool:
    """Tell whether `signature` (without key id) is one over `text` by this key, as its type demands."""
    if key.algorithm == ED25519:
        return verify(key.public_key, text.encode(), signature)
    time_s = int.from_bytes(signature[:_TIME_BYTES], "big")
    if len(signature) != _TIME_BYTES + SIGNATURE_BYTES or time_s > UINT63_MAX:
        return False
    return verify(key.public_key, cosigned_message(text, time_s), signature[_TIME_BYTES:])


def open_note(note: bytes, known: Iterable[VerifierKey]) -> OpenedNote:
    """Parse a note and verify every line of a known key, signed-note "Signatures".

    1. Parse.  2. Leave lines aside whose (name, key id) is unknown.  3. A line of a known key that fails rejects the
    whole note (the specification's SHOULD).  4. So does a note that no known key signed (its MUST).

    Raises:
        FormatError: "note_malformed" or "note_signature".
        Misuse: two known keys share name and key id.

    """
    keys: dict[tuple[str, bytes], VerifierKey] = {}
    for key in known:
        if keys.setdefault((key.name, key.key_id), key) != key:
            raise Misuse(f"two known keys share name {key.name} and key id {key.key_id.hex()}")
    parsed = parse_note(note)
    opened = OpenedNote(parsed.text, [], [])
    for line in parsed.signatures:
        by = keys.get((line.name, line.key_id))
        if by is None:
            opened.unverified.append(line)
        elif holds(by, parsed.text, line.signature):
            opened.verified.append(Verified(by, line))
        else:
            raise FormatError("note_signature", f"the signature of {line.name} does not hold")
    if not opened.verified:
        raise FormatError("note_signature", f"none of {len(parsed.signatures)} signatures is of a known key")
    return opened
