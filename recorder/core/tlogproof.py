"""C2SP tlog-proof: one text that shows off line that an entry is in a log, and who cosigned its head.

`c2sp.org/tlog-proof@v1`, optionally `extra BASE64`, `index N`, the inclusion proof from the leaf's sibling upwards (one
base64 hash a line), an empty line, and the checkpoint note verbatim.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from recorder.core.canonical import before_note, decode_base64, decode_proof, encode_base64, parse_decimal, written
from recorder.core.checkpoint import OpenedCheckpoint, open_checkpoint, parse_checkpoint
from recorder.core.errors import FormatError
from recorder.core.limits import NOTE_MAX_BYTES
from recorder.core.merkle import verify_inclusion
from recorder.core.note import VerifierKey, parse_note

TLOG_PROOF_MAX_BYTES = 2 * NOTE_MAX_BYTES  # a note, and extra data of as much again

_ERROR = "tlog_proof_malformed"
_MAGIC = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A parsed proof; nothing here is verified, and `extra` never is: the log does not sign it."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes  # the signed note, verbatim
    extra: bytes | None = None  # not empty: without extra data the line is left out

    def encode(self) -> bytes:
        """Return the text of the proof.

        Raises:
            Misuse: `parse_tlog_proof` would not give this proof back.

        """
        lines = [_MAGIC]
        if self.extra is not None:
            lines.append(f"extra {encode_base64(self.extra)}")
        lines.append(f"index {self.index}")
        lines += [encode_base64(value) for value in self.hashes]
        proof = "\n".join(lines).encode() + b"\n\n" + self.checkpoint
        return written(proof, parse_tlog_proof, self, "proof")


def parse_tlog_proof(proof: bytes) -> TlogProof:
    """Parse a proof, tlog-proof "Format".

    Raises:
        FormatError: "tlog_proof_malformed", also for a fault in the checkpoint note that it carries.

    """
    if len(proof) > TLOG_PROOF_MAX_BYTES:
        raise FormatError(_ERROR, f"a proof of {len(proof)} bytes, at most {TLOG_PROOF_MAX_BYTES} are allowed")
    lines, note = before_note(proof, _ERROR)
    if lines.pop(0) != _MAGIC:
        raise FormatError(_ERROR, f"the first line is not {_MAGIC}")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = decode_base64(lines.pop(0).removeprefix("extra "), _ERROR)
        if not extra:
            raise FormatError(_ERROR, "an extra line without data")
    if not lines or not lines[0].startswith("index "):
        raise FormatError(_ERROR, "no index line where it belongs")
    index = parse_decimal(lines.pop(0).removeprefix("index "), _ERROR)
    hashes = decode_proof(lines, _ERROR)
    try:
        parse_checkpoint(parse_note(note).text)
    except FormatError as failure:
        raise FormatError(_ERROR, f"its checkpoint: {failure}") from failure
    return TlogProof(index, hashes, note, extra)


def verify_tlog_proof(
    proof: TlogProof, leaf_hash: bytes, log: VerifierKey, witnesses: Iterable[VerifierKey] = ()
) -> OpenedCheckpoint:
    """Verify that the log's checkpoint includes the leaf at the proof's index.

    1. The checkpoint opens: the log signed it, and every cosignature of a known witness holds.  2. The inclusion
    proof leads from leaf hash and index to its root.  Whether the cosignatures suffice is for the caller's policy:
    they are returned.

    Raises:
        FormatError: those of `open_checkpoint`, or "inclusion_proof".

    """
    opened = open_checkpoint(proof.checkpoint, log, witnesses)
    checkpoint = opened.checkpoint
    verify_inclusion(leaf_hash, proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    return opened
