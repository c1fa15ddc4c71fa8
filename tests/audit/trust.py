"""Trust files for a lineage of the builder, and its notes with cosignatures."""

from __future__ import annotations

from recorder.core.checkpoint import parse_checkpoint
from recorder.core.cosignature import cosign
from recorder.core.note import ED25519, Note, VerifierKey, parse_note
from recorder.core.trust import Trust, parse_trust
from tests.lineage_builder import LineageBuilder


def trusting(lineage: LineageBuilder, *more: str, name: str = "acme/arm-7", key: bytes | None = None) -> Trust:
    log = VerifierKey.derive(name, ED25519, key or lineage.identity.public_key)
    return parse_trust("\n".join([f"log {log}", *(more or ("quorum none",)), ""]).encode())


def cosigned(lineage: LineageBuilder, note: bytes, *names: str) -> bytes:
    parsed = parse_note(note)
    checkpoint = parse_checkpoint(parsed.text)
    lines = [cosign(checkpoint, name, lineage.signer(name), 1_760_000_000) for name in names]
    return Note(parsed.text, (*parsed.signatures, *lines)).encode()
