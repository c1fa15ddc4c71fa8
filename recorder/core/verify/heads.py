"""Step 7: the roots that known checkpoints state, against those of the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from recorder.core.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from recorder.core.errors import FormatError
from recorder.core.note import ED25519, VerifierKey, parse_note
from recorder.core.tiles import TileTree
from recorder.core.verify.found import Found


class KnownHead(NamedTuple):
    """A checkpoint that the verifier was given, not yet verified."""

    note: bytes
    checkpoint: Checkpoint


class KnownHeads:
    """Checkpoints to compare with; the root at each of their sizes is kept as the log passes it."""

    __slots__ = ("_found", "_heads", "_origin", "_roots", "_sizes", "count", "next_size")

    def __init__(self, found: Found, origin: str, notes: Sequence[bytes]) -> None:
        self._found = found
        self._origin = origin
        self._roots: dict[int, bytes] = {}
        self._heads: list[KnownHead] = []
        self.count = len(notes)
        for note in notes:
            try:
                checkpoint = parse_checkpoint(parse_note(note).text)
            except FormatError as error:
                found("checkpoint_malformed", None, error.detail)
                continue
            if checkpoint.origin == origin:
                self._heads.append(KnownHead(note, checkpoint))
            else:
                found("origin_mismatch", None, f"a checkpoint of {checkpoint.origin}, not of {origin}")
        self._sizes = iter(sorted({head.checkpoint.size for head in self._heads}))
        self.next_size = next(self._sizes, -1)
        if self.next_size == 0:
            self.passing(TileTree())

    def passing(self, tree: TileTree) -> None:
        """Keep the root at `next_size`, which the tree now has."""
        self._roots[tree.size] = tree.root()
        self.next_size = next(self._sizes, -1)

    def finish(self, identity: bytes | None, size: int) -> None:
        """Compare every known head with the log of `size` entries, under its identity key."""
        signed: dict[int, bytes] = {}
        for note, checkpoint in self._heads:
            at = checkpoint.size - 1 if checkpoint.size else None
            if fault := signature_fault(note, self._origin, identity):
                self._found("checkpoint_signature", at, f"checkpoint of size {checkpoint.size}: {fault}")
            elif signed.setdefault(checkpoint.size, checkpoint.root) != checkpoint.root:
                self._found("checkpoint_fork", at, f"two signed checkpoints of size {checkpoint.size} differ in root")
            if checkpoint.size > size:
                self._found("truncated", size, f"{size} entries, but a known checkpoint has {checkpoint.size}")
            elif self._roots[checkpoint.size] != checkpoint.root:
                self._found(
                    "root_mismatch", at, f"the first {checkpoint.size} entries have another root than the checkpoint"
                )


def signature_fault(note: bytes, origin: str, identity: bytes | None) -> str | None:
    """What is wrong with the log's own signature on a checkpoint note; None if it holds."""
    if identity is None:
        return "no identity key is known to verify it with"
    try:
        open_checkpoint(note, VerifierKey.derive(origin, ED25519, identity))
    except FormatError as error:
        return error.detail
    return None
