"""Bytes of C2SP tlog-witness `add-checkpoint`: the request, and each of the answers.

The request is `old SIZE`, up to 63 proof hashes in base64, an empty line, and the checkpoint note.  An answer of 200 is
signature lines, one of 409 a size of type `text/x.tlog.size`; the others are ours to word: `NAME: DETAIL`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from recorder.core.canonical import before_note, decode_proof, encode_base64, parse_decimal, written
from recorder.core.errors import FormatError
from recorder.core.limits import NOTE_MAX_SIGNATURES
from recorder.core.note import NoteSignature, parse_note, parse_signature_line

ERROR = "add_checkpoint_malformed"
ANSWER_ERROR = "witness_answer_malformed"
REQUEST_MAX_BYTES = 65_536  # 63 hashes take 3 KiB; the rest is for a note with many cosignatures
ANSWER_MAX_BYTES = 65_536
SIZE_TYPE = "text/x.tlog.size"
TEXT_TYPE = "text/plain; charset=utf-8"
OK, CONFLICT = 200, 409
RETRY_AFTER_MAX_S = 3_600  # what a witness may have us wait: it may be asked again once an hour, whatever it said
RETRY_AFTER_DIGITS = 18
RETRY_AFTER = "Retry-After"

VERSION = "1"  # of the mesh protocol, in this header of every request and answer; a C2SP witness has none
VERSION_HEADER = "Lineage-Mesh"
VERSION_ERROR = "mesh_version"
VERSION_MAX = 20  # characters of another one that are worth showing

_DETAIL_MAX = 500  # characters of a refusal that are worth a line in a log


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request; only its form has been checked."""

    old: int  # size from which the proof leads
    proof: tuple[bytes, ...]
    note: bytes

    def encode(self) -> bytes:
        """Return the body of the request.

        Raises:
            Misuse: `parse_request` would not give this request back.

        """
        lines = [f"old {self.old}", *map(encode_base64, self.proof)]
        body = "\n".join(lines).encode() + b"\n\n" + self.note
        return written(body, parse_request, self, "request")


class Answer(NamedTuple):
    """Status, content type and body of an HTTP answer."""

    status: int
    content_type: str
    body: bytes
    version: str | None = None  # of the mesh protocol, as whoever answered says; None of one that does not speak it
    retry_after_s: int | None = None  # before which it is not to be asked again, as RFC 9110 section 10.2.3 has it


class Cosigned(NamedTuple):
    """200: signature lines, none of them verified."""

    lines: tuple[NoteSignature, ...]


class Conflict(NamedTuple):
    """409: the size from which the proof has to lead."""

    size: int


class Refusal(NamedTuple):
    """Any other answer."""

    status: int
    error: str  # snake_case where the witness is one of ours, else ""
    detail: str


def parse_request(body: bytes) -> AddCheckpoint:
    """Parse the body of a request, tlog-witness "add-checkpoint".

    Raises:
        FormatError: add_checkpoint_malformed, also for a fault in the note's form.

    """
    if len(body) > REQUEST_MAX_BYTES:
        raise FormatError(ERROR, f"a request of {len(body)} bytes, at most {REQUEST_MAX_BYTES} are allowed")
    (old, *lines), note = before_note(body, ERROR)
    if not old.startswith("old "):
        raise FormatError(ERROR, "the first line is not written as old SIZE")
    size = parse_decimal(old.removeprefix("old "), ERROR)
    proof = decode_proof(lines, ERROR)
    try:
        parse_note(note)
    except FormatError as failure:
        raise FormatError(ERROR, f"its checkpoint: {failure.detail}") from None
    return AddCheckpoint(size, proof, note)


def cosigned(lines: Sequence[NoteSignature]) -> Answer:
    """The answer with the witness's cosignatures."""
    return Answer(OK, TEXT_TYPE, "".join(f"{line}\n" for line in lines).encode())


def conflict(size: int) -> Answer:
    """The answer with the size that is held."""
    return Answer(CONFLICT, SIZE_TYPE, f"{size}\n".encode())


def refused(status: int, error: FormatError) -> Answer:
    """An answer that says why not."""
    return Answer(status, TEXT_TYPE, f"{error.error}: {error.detail}\n".encode(errors="backslashreplace"))


def put_off(error: FormatError, wait_s: float) -> Answer:
    """An answer that says not yet, and when."""
    return refused(429, error)._replace(retry_after_s=max(1, ceil(wait_s)))


def parse_retry_after(text: str | None) -> int | None:
    """What an answer says of when to ask again: seconds; None where it says nothing, or a date.

    A date would be by a clock that need not be ours; who states one is asked again when our own delay is over.
    """
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > RETRY_AFTER_DIGITS:
        return None
    return min(int(text), RETRY_AFTER_MAX_S)


def parse_answer(answer: Answer) -> Cosigned | Conflict | Refusal:
    """Understand the answer of any witness.

    A 409 of another type is a refusal: so do witnesses answer for another root of the size that they hold.

    Raises:
        FormatError: witness_answer_malformed: a 200 or a size that cannot be read, or a body that is too long.

    """
    status, content_type, body = answer[:3]
    if len(body) > ANSWER_MAX_BYTES:
        raise FormatError(ANSWER_ERROR, f"an answer of {len(body)} bytes, at most {ANSWER_MAX_BYTES} are allowed")
    if status == OK:
        return Cosigned(_lines(body))
    if status == CONFLICT and content_type.partition(";")[0].strip().lower() == SIZE_TYPE:
        if not body.endswith(b"\n") or not body.isascii():
            raise FormatError(ANSWER_ERROR, "a size that does not end in newline")
        return Conflict(parse_decimal(body[:-1].decode("ascii"), ANSWER_ERROR))
    text = body.decode("utf-8", "replace").strip()
    text = "".join(one if one.isprintable() else " " for one in text)[:_DETAIL_MAX]
    error, colon, detail = text.partition(": ")
    if colon and error.replace("_", "a").isalnum() and error.isascii() and error == error.lower():
        return Refusal(status, error, detail)
    return Refusal(status, "", text)


def _lines(body: bytes) -> tuple[NoteSignature, ...]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as failure:
        raise FormatError(ANSWER_ERROR, f"not UTF-8: {failure.reason} at byte {failure.start}") from None
    if not text.endswith("\n"):
        raise FormatError(ANSWER_ERROR, "signature lines that do not end in newline")
    lines = text[:-1].split("\n")
    if len(lines) > NOTE_MAX_SIGNATURES:
        raise FormatError(ANSWER_ERROR, f"{len(lines)} lines, at most {NOTE_MAX_SIGNATURES} are allowed")
    try:
        return tuple(parse_signature_line(line) for line in lines)
    except FormatError as failure:
        raise FormatError(ANSWER_ERROR, failure.detail) from None


def version_fault(said: str | None) -> FormatError | None:
    """Why nothing more is said to whoever states this version; None of ours, or none (PROTOCOL.md section 7)."""
    if said is None or said == VERSION:
        return None
    return FormatError(VERSION_ERROR, f"speaks version {said[:VERSION_MAX]} of the mesh protocol, this is {VERSION}")
