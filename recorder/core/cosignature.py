"""C2SP tlog-cosignature, Ed25519 (note signature type 0x04, "cosignature/v1").

It says: the largest consistent tree of this origin that I have seen at this time has this size and root.  The signed
message does not commit to the cosigner's name, so a key serves one cosigner and nothing else (FORMAT.md section 5).
"""

from __future__ import annotations

from typing import NamedTuple

from recorder.core.canonical import UINT63_MAX
from recorder.core.checkpoint import Checkpoint
from recorder.core.errors import FormatError, Misuse
from recorder.core.keys import Signer
from recorder.core.note import COSIGNATURE_V1, NoteSignature, VerifierKey, cosigned_message, holds

CLAIM = "cosigned_checkpoint"  # of an evidence entry: the note of an earlier checkpoint, with cosignatures

_TIME_BYTES = 8


class Cosignature(NamedTuple):
    """A verified cosignature: when the cosigner made it (POSIX seconds) and its 64 bytes of Ed25519."""

    time_s: int
    signature: bytes


def cosigner_key(name: str, public_key: bytes) -> VerifierKey:
    """Return the verifier key of a cosigner; raises as `VerifierKey.derive`."""
    return VerifierKey.derive(name, COSIGNATURE_V1, public_key)


def cosign(checkpoint: Checkpoint, name: str, signer: Signer, time_s: int) -> NoteSignature:
    """Cosign a checkpoint at a time in POSIX seconds and return the signature line.

    Takes the parsed checkpoint, never its text: what is signed is what was understood.

    Raises:
        Misuse: name not allowed, or time not in 1..2**63-1; without a clock there is no cosignature, and 0 is how
            an unset clock looks.

    """
    if not 1 <= time_s <= UINT63_MAX:
        raise Misuse(f"{time_s} is no time to cosign at")
    key = cosigner_key(name, signer.public_key)
    signature = signer.sign(cosigned_message(checkpoint.text(), time_s))
    return NoteSignature(name, key.key_id, time_s.to_bytes(_TIME_BYTES, "big") + signature)


def verify_cosignature(checkpoint: Checkpoint, line: NoteSignature, key: VerifierKey) -> Cosignature:
    """Verify one signature line over a checkpoint and return what it holds.

    A line that `open_note` verified under this key passes again; this is also how its time is read.

    Raises:
        FormatError: "note_signature": of another key, wrong length, time beyond 2**63-1, or it does not hold.
        Misuse: the key is not of type 0x04.

    """
    error = "note_signature"
    if key.algorithm != COSIGNATURE_V1:
        raise Misuse(f"key {key.name} is of type {key.algorithm:#04x}, not {COSIGNATURE_V1:#04x}")
    if (line.name, line.key_id) != (key.name, key.key_id):
        raise FormatError(error, f"a line of {line.name} {line.key_id.hex()}, not of {key.name} {key.key_id.hex()}")
    if not holds(key, checkpoint.text(), line.signature):
        raise FormatError(error, f"the cosignature of {line.name} does not hold")
    return Cosignature(int.from_bytes(line.signature[:_TIME_BYTES], "big"), line.signature[_TIME_BYTES:])
