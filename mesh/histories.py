"""What peers tell each other to compare histories: heads of all logs, and a consistency proof (PROTOCOL.md section 5).

Heads are a text with a line `fork NAME` for each proof of a fork that is kept, and a line `ORIGIN SIZE ROOT SIGNATURE`
for each log, so that a note can be made again without asking for it.  A proof is a text of hashes in base64: the root
of the smaller tree, then those of RFC 9162.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from recorder.core.canonical import decode_base64, encode_base64, parse_decimal
from recorder.core.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from recorder.core.errors import FormatError, Misuse
from recorder.core.limits import HASH_BYTES, PROOF_MAX_HASHES
from recorder.core.merkle import NodeReader, prove_consistency, root_at
from recorder.core.note import Note, NoteSignature, VerifierKey, parse_note

HEADS_ERROR, PROOF_ERROR = "heads_malformed", "proof_malformed"
HEADS_MAX_BYTES = 65_536  # some 250 logs
SIGNATURE_BYTES = 64
NAMES_MAX = 256

_NAME = re.compile(r"[0-9a-f]{64}")


class Told(NamedTuple):
    """A head that somebody tells, and the log's signature, which is not verified."""

    head: Checkpoint
    signature: bytes

    def note(self, log: VerifierKey) -> bytes:
        """The note, under the log's own key.

        Raises:
            FormatError: note_signature: the log did not sign this head.

        """
        note = Note(self.head.text(), (NoteSignature(log.name, log.key_id, self.signature),)).encode()
        open_checkpoint(note, log)
        return note


class Heads(NamedTuple):
    """What a peer keeps, in short."""

    told: list[Told]
    forks: list[str]  # names of proofs; of more than `NAMES_MAX` the rest is listed by `forks`


class Shown(NamedTuple):
    """A consistency proof and the root that it leads from; nothing is verified."""

    root: bytes
    hashes: tuple[bytes, ...]


def told_of(note: bytes) -> Told:
    """What is told of a note that begins with the log's own signature, as archives keep it."""
    parsed = parse_note(note)
    return Told(parse_checkpoint(parsed.text), parsed.signatures[0].signature)


def encode_heads(heads: Iterable[Told], forks: Sequence[str] = ()) -> bytes:
    """Return the text; heads for which there is no room are left out, from the first that does not fit on."""
    text = bytearray("".join(f"fork {name}\n" for name in forks[:NAMES_MAX]).encode())
    for head, signature in heads:
        line = f"{head.origin} {head.size} {encode_base64(head.root)} {encode_base64(signature)}\n".encode()
        if len(text) + len(line) > HEADS_MAX_BYTES:
            break
        text += line
    return bytes(text)


def parse_heads(body: bytes) -> Heads:
    """Parse the text.

    Raises:
        FormatError: heads_malformed.

    """
    if len(body) > HEADS_MAX_BYTES:
        raise FormatError(HEADS_ERROR, f"{len(body)} bytes, at most {HEADS_MAX_BYTES} are allowed")
    told: dict[str, Told] = {}
    forks: list[str] = []
    for line in _lines(body, HEADS_ERROR):
        match line.split(" "):
            case ["fork", name] if _NAME.fullmatch(name) and len(forks) < NAMES_MAX:
                forks.append(name)
            case [origin, size, root, signature] if origin not in told:
                told[origin] = _told(origin, size, root, signature)
            case _:
                raise FormatError(HEADS_ERROR, f"{line[:80]!r} is none of its lines, or stands twice")
    return Heads(list(told.values()), forks)


def _told(origin: str, size: str, root: str, signature: str) -> Told:
    signed = decode_base64(signature, HEADS_ERROR)
    if len(signed) != SIGNATURE_BYTES:
        raise FormatError(HEADS_ERROR, f"a signature of {len(signed)} bytes")
    try:
        head = Checkpoint(origin, parse_decimal(size, HEADS_ERROR), decode_base64(root, HEADS_ERROR))
    except Misuse as error:
        raise FormatError(HEADS_ERROR, str(error)) from None
    return Told(head, signed)


def show(tree: NodeReader, old: int, new: int) -> Shown:
    """Prove that the first `old` entries of a tree are those of the first `new`; the reader's own errors pass through.

    Raises:
        Misuse: not 0 <= old <= new.

    """
    return Shown(root_at(tree, old), tuple(prove_consistency(tree, old, new)))


def encode_shown(shown: Shown) -> bytes:
    """Return the text of a proof."""
    return "".join(f"{encode_base64(value)}\n" for value in (shown.root, *shown.hashes)).encode()


def parse_shown(body: bytes) -> Shown:
    """Parse the text of a proof.

    Raises:
        FormatError: proof_malformed.

    """
    hashes = [decode_base64(line, PROOF_ERROR) for line in _lines(body, PROOF_ERROR)]
    if not 1 <= len(hashes) <= 1 + PROOF_MAX_HASHES or any(len(value) != HASH_BYTES for value in hashes):
        raise FormatError(PROOF_ERROR, f"not a root and at most {PROOF_MAX_HASHES} hashes of {HASH_BYTES} bytes each")
    return Shown(hashes[0], tuple(hashes[1:]))


def _lines(body: bytes, error: str) -> Sequence[str]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as failure:
        raise FormatError(error, f"not UTF-8: {failure.reason} at byte {failure.start}") from None
    if text and not text.endswith("\n"):
        raise FormatError(error, "the last line does not end in newline")
    return text.split("\n")[:-1]
