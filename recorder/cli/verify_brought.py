"""What the caller of `lineage verify` brings to hold the lineage against: known heads and proofs of forks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from recorder.audit.forked import BroughtFork
from recorder.cli.identity import read_bounded
from recorder.core.checkpoint import parse_checkpoint
from recorder.core.errors import FormatError, Misuse
from recorder.core.forks import FORK_MAX_BYTES, ForkProof, origin_of
from recorder.core.limits import NOTE_MAX_BYTES
from recorder.core.note import parse_note
from recorder.core.proofs import parse_proof

FORKS_MAX = 1_000


class KnownHead(NamedTuple):
    """A signed note, and the incarnation that it says it is of."""

    note: bytes
    incarnation: str


class KnownFork(NamedTuple):
    """A proof that can be read, and the incarnation that it is about."""

    brought: BroughtFork
    incarnation: str


class Known(NamedTuple):
    """All that was brought."""

    heads: Sequence[KnownHead]
    forks: Sequence[KnownFork]

    def notes(self) -> list[bytes]:
        """Signed notes of heads."""
        return [one.note for one in self.heads]

    def proofs(self) -> list[BroughtFork]:
        """Proofs of forks."""
        return [one.brought for one in self.forks]

    def of(self, incarnation: str | None, others: Sequence[str]) -> Known:
        """What is about one incarnation; what is about none that lies here goes with the one in force (None)."""

        def is_meant(named: str) -> bool:
            return (named if named in others else None) == incarnation

        heads = [one for one in self.heads if is_meant(one.incarnation)]
        return Known(heads, [one for one in self.forks if is_meant(one.incarnation)])


def read_known(checkpoints: Iterable[Path], forks: Iterable[Path]) -> Known:
    """Read what was named; a directory stands for all files in it.

    What is no checkpoint, or no proof, at all says nothing against the lineage.

    Raises:
        FormatError: note_malformed, checkpoint_malformed, fork_malformed; the file is named.
        Misuse: more proofs than anyone needs.
        OSError: a file cannot be read.

    """
    files = [file for path in forks for file in (_whole(path) if path.is_dir() else [path])]
    if len(files) > FORKS_MAX:
        raise Misuse(f"{len(files):,} fork proofs, at most {FORKS_MAX:,} at once; one is enough to convict a log")
    return Known([_head(path) for path in checkpoints], [_fork(path) for path in files])


def _whole(directory: Path) -> list[Path]:
    """The files of a directory, as a mesh keeps proofs: one that was being written is none yet."""
    return sorted(path for path in directory.iterdir() if path.suffix != ".tmp")


def _head(path: Path) -> KnownHead:
    note = read_bounded(path, NOTE_MAX_BYTES)
    try:
        return KnownHead(note, _incarnation(parse_checkpoint(parse_note(note).text).origin))
    except FormatError as error:
        raise FormatError(error.error, f"{path} is no known head: {error.detail}") from error


def _fork(path: Path) -> KnownFork:
    text = read_bounded(path, FORK_MAX_BYTES)
    try:
        proof = parse_proof(text)
        # A split is about two logs: it goes with the one in force, as what is about none that lies here.
        incarnation = _incarnation(origin_of(proof)) if isinstance(proof, ForkProof) else ""
        return KnownFork(BroughtFork(str(path), text), incarnation)
    except FormatError as error:
        raise FormatError(error.error, f"{path} is no fork proof: {error.detail}") from error


def _incarnation(origin: str) -> str:
    return origin.rpartition("/")[2]
