"""Tiles out of whatever a source has: stored ones, and for the ragged edge hashes of the entries themselves."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from itertools import islice

from recorder.audit.source import Held
from recorder.core.checkpoint import parse_checkpoint
from recorder.core.entry import entry_hash
from recorder.core.errors import FormatError
from recorder.core.limits import HASH_BYTES, TILE_WIDTH
from recorder.core.merkle import prove_inclusion, root_of, verify_inclusion
from recorder.core.note import parse_note
from recorder.core.tiles import TileReader
from recorder.core.tlogproof import TlogProof

FullTile = Callable[[int, int], bytes | None]
Reading = Callable[[int], Generator[Held, None, None]]


def tile_fetch(full_tile: FullTile, read: Reading) -> Callable[[int, int, int], bytes]:
    """A `fetch` for `TileReader`: a full tile where one is held, else made of what lies below it."""

    def fetch(level: int, index: int, width: int) -> bytes:
        if width == TILE_WIDTH and (stored := full_tile(level, index)) is not None:
            return stored
        first = index * TILE_WIDTH
        if level == 0:
            with closing(read(first)) as entries:
                return b"".join(entry_hash(held.raw) for held in islice(entries, width))
        children = (fetch(level - 1, first + child, TILE_WIDTH) for child in range(width))
        return b"".join(
            root_of([child[at : at + HASH_BYTES] for at in range(0, len(child), HASH_BYTES)]) for child in children
        )

    return fetch


class Prover:
    """Inclusion proofs under one checkpoint; tiles stay cached from one proof to the next."""

    def __init__(self, note: bytes, fetch: Callable[[int, int, int], bytes]) -> None:
        """Prove under `note`.

        Raises:
            FormatError: checkpoint_malformed, note_malformed.

        """
        self.note = note
        self.checkpoint = parse_checkpoint(parse_note(note).text)
        self._reader = TileReader(fetch, self.checkpoint.size)

    def prove(self, seq: int, leaf: bytes) -> TlogProof | None:
        """Prove one entry, and check the proof: stored tiles may be wrong; None where the checkpoint does not cover it.

        Raises:
            FormatError: inclusion_proof, where what is held does not lead to the root that was signed.

        """
        size, root = self.checkpoint.size, self.checkpoint.root
        if seq >= size:
            return None
        hashes = prove_inclusion(self._reader, seq, size)
        try:
            verify_inclusion(leaf, seq, size, hashes, root)
        except FormatError as error:
            detail = f"what is stored does not lead to its own checkpoint; run `lineage verify` ({error.detail})"
            raise FormatError(error.error, detail) from None
        return TlogProof(seq, tuple(hashes), self.note)
