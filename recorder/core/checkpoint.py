"""C2SP tlog-checkpoint: `origin LF size LF base64(root) LF`, signed as a note.

Extension lines may follow in a log that is no lineage, and only where the caller says so.  Two departures, both
stricter: the origin must be allowed as a key name, since here it is the name of the log's key (FORMAT.md section 5),
and size 0 goes only with the root of the empty tree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from recorder.core.canonical import UINT63_MAX, decode_base64, encode_base64, parse_decimal
from recorder.core.errors import FormatError, Misuse
from recorder.core.keys import Signer
from recorder.core.limits import HASH_BYTES, NOTE_MAX_BYTES
from recorder.core.merkle import empty_root
from recorder.core.note import ED25519, Note, OpenedNote, VerifierKey, is_key_name, open_note, sign_text

_LINES = 3
EXTENSION_MAX_BYTES = 4_096  # so that two notes fit a proof that they contradict each other


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log: its origin, how many leaves it has, and their Merkle root (32 bytes)."""

    origin: str
    size: int
    root: bytes
    extension: str = ""  # lines that end in newline, opaque; what is signed has them, what is said of the tree has not

    def __post_init__(self) -> None:
        """Refuse what could not be parsed back.

        Raises:
            Misuse: origin not allowed, size not in 0..2**63-1, root not 32 bytes or not that of the empty tree,
                extension lines that are none.

        """
        if fault := _fault(self.origin, self.size, self.root) or _extension_fault(self.extension):
            raise Misuse(f"a checkpoint has {fault}")

    def text(self) -> str:
        """Return the note text, tlog-checkpoint "Note text"."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n{self.extension}"


class OpenedCheckpoint(NamedTuple):
    """A checkpoint that its log signed, and the note that carried it with the lines that hold."""

    checkpoint: Checkpoint
    note: OpenedNote


def parse_checkpoint(text: str, *, may_extend: bool = False) -> Checkpoint:
    """Parse a note text, tlog-checkpoint "Note text".

    Args:
        text: of the note.
        may_extend: whether extension lines may follow; in a lineage none do.

    Raises:
        FormatError: "checkpoint_malformed".

    """
    error = "checkpoint_malformed"
    if len(text) > NOTE_MAX_BYTES:
        raise FormatError(error, f"a text of {len(text)} characters")
    lines = text.split("\n", _LINES)
    if len(lines) != _LINES + 1 or (lines[_LINES] and not may_extend):
        raise FormatError(error, "not three lines that each end in newline")
    origin, size_text, root_text, extension = lines
    size = parse_decimal(size_text, error)
    root = decode_base64(root_text, error)
    if fault := _fault(origin, size, root) or _extension_fault(extension):
        raise FormatError(error, fault)
    return Checkpoint(origin, size, root, extension)


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> Note:
    """Return the note with the log's own signature; the key is named as the origin (FORMAT.md section 5)."""
    text = checkpoint.text()
    return Note(text, (sign_text(text, checkpoint.origin, signer),))


def open_checkpoint(
    note: bytes, log: VerifierKey, witnesses: Iterable[VerifierKey] = (), *, may_extend: bool = False
) -> OpenedCheckpoint:
    """Open a checkpoint note.

    1. The note opens under the log's key and those of the witnesses (a failing known key rejects it).  2. The log
    itself signed: a cosignature alone says nothing about what the log stands for.  3. The text is a checkpoint.
    4. Its origin is the name of the log's key.

    Args:
        note: as it came.
        log: the log's own key.
        witnesses: keys whose cosignatures have to hold where they are there.
        may_extend: as `parse_checkpoint`.

    Raises:
        FormatError: "note_malformed", "note_signature" or "checkpoint_malformed".
        Misuse: the log's key is not of type 0x01, or known keys collide.

    """
    if log.algorithm != ED25519:
        raise Misuse(f"the key of log {log.name} is of type {log.algorithm:#04x}, not {ED25519:#04x}")
    opened = open_note(note, [log, *witnesses])
    if all(verified.key != log for verified in opened.verified):
        raise FormatError("note_signature", f"log {log.name} did not sign")
    checkpoint = parse_checkpoint(opened.text, may_extend=may_extend)
    if checkpoint.origin != log.name:
        raise FormatError("checkpoint_malformed", f"origin {checkpoint.origin!r} under the key of {log.name!r}")
    return OpenedCheckpoint(checkpoint, opened)


def _extension_fault(extension: str) -> str | None:
    """Empty lines could not be told from the end of a note's text; control characters no note may have."""
    if not extension:
        return None
    if len(extension.encode("utf-8", "surrogatepass")) > EXTENSION_MAX_BYTES:
        return f"extension lines of more than {EXTENSION_MAX_BYTES} bytes"
    if not extension.endswith("\n") or not all(extension[:-1].split("\n")):
        return "an extension line that is empty, or does not end in newline"
    return None


def _fault(origin: str, size: int, root: bytes) -> str | None:
    if not is_key_name(origin):
        return f"an origin that is not allowed as a key name: {origin[:80]!r}"
    if not 0 <= size <= UINT63_MAX:
        return f"a size out of range: {size}"
    if len(root) != HASH_BYTES:
        return f"a root of {len(root)} bytes, expected {HASH_BYTES}"
    if size == 0 and root != empty_root():
        return f"no leaves but the root {root.hex()}"
    return None
