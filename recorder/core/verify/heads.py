"""Step 7: the roots that known checkpoints state, against those of the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from recorder.core.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from recorder.core.controls import Previous
from recorder.core.errors import FormatError
from recorder.core.note import ED25519, VerifierKey, parse_note
from recorder.core.tiles import TileTree
from recorder.core.verify.found import Found


class KnownHead(NamedTuple):
    """A checkpoint that the verifier was given, not yet verified; `note` is None of one that a boot entry names."""

    note: bytes | None
    checkpoint: Checkpoint


class KnownHeads:
    """Checkpoints to compare with; the root at each of their sizes is kept as the log passes it."""

    __slots__ = ("_declared", "_found", "_heads", "_origin", "_roots", "_sizes", "count", "next_size")

    def __init__(self, found: Found, origin: str, notes: Sequence[bytes], previous: Sequence[Previous] = ()) -> None:
        self._found = found
        self._origin = origin
        self._declared = max((one.size for one in previous), default=None)
        self._roots: dict[int, bytes] = {}
        self._heads: list[KnownHead] = []
        named = [Checkpoint(origin, one.size, one.root) for one in previous if one.root is not None]
        self.count = len(notes) + len(named)
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
        self._heads += [KnownHead(None, head) for head in named]
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
        declared = self._declared or 0
        for note, checkpoint in self._heads:
            at = checkpoint.size - 1 if checkpoint.size else None
            if note is not None and (fault := self._fault(note, identity)):
                self._found("checkpoint_signature", at, f"checkpoint of size {checkpoint.size}: {fault}")
            elif signed.setdefault(checkpoint.size, checkpoint.root) != checkpoint.root:
                self._found("checkpoint_fork", at, f"two signed checkpoints of size {checkpoint.size} differ in root")
            if checkpoint.size > size:
                if note is None:
                    self.count -= 1  # there is no root to compare it with
                if checkpoint.size > declared:
                    self._found("truncated", size, f"{size} entries, but a known checkpoint has {checkpoint.size}")
            elif self._roots[checkpoint.size] != checkpoint.root:
                whose = "the checkpoint" if note is not None else "a later incarnation's boot entry says"
                self._found("root_mismatch", at, f"the first {checkpoint.size} entries have another root than {whose}")
        if declared > size:
            detail = f"{size} entries can be read of {declared} with which a later incarnation's boot entry names them"
            self._found("loss_declared", size, detail)

    def _fault(self, note: bytes, identity: bytes | None) -> str | None:
        """What is wrong with a signature; a key that went with the entries whose loss is declared is part of it."""
        if identity is None and self._declared is not None:
            return None
        return signature_fault(note, self._origin, identity)


def signature_fault(note: bytes, origin: str, identity: bytes | None) -> str | None:
    """What is wrong with the log's own signature on a checkpoint note; None if it holds."""
    if identity is None:
        return "no identity key is known to verify it with"
    try:
        open_checkpoint(note, VerifierKey.derive(origin, ED25519, identity))
    except FormatError as error:
        return error.detail
    return None
