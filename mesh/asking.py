"""What peers tell of a log, held against each other: its heads, whether they agree, which entries exist in which order.

Values only: `mesh.node.asking` asks and fetches.  Nothing counts but what the log signed, and what leads to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple

from recorder.core.checkpoint import Checkpoint, OpenedCheckpoint
from recorder.core.chosen import operator_of
from recorder.core.cosignature import verify_cosignature
from recorder.core.errors import FormatError
from recorder.core.forks import ForkProof, fork_of
from recorder.core.limits import HASH_BYTES, TILE_WIDTH
from recorder.core.merkle import (
    NodeReader,
    prove_consistency,
    prove_inclusion,
    root_at,
    verify_consistency,
    verify_inclusion,
)
from recorder.core.note import COSIGNATURE_V1, Note, NoteSignature, VerifierKey, parse_note
from recorder.core.tiles import TileReader
from recorder.core.trust import Trust

Range = tuple[int, int]  # first and end, which is not in it
TileName = tuple[int, int, int]  # level, index, width
# largest: nothing longer was shown.  agrees: proved to be a beginning of a longer one.  contradicts: proved to be of
# another history.  unproved: nobody has shown either.
Standing = Literal["largest", "agrees", "contradicts", "unproved"]
Verdict = Literal["agreement", "contradiction", "partial", "nobody"]
EXIT_STATUS: dict[Verdict, int] = {"agreement": 0, "contradiction": 1, "partial": 3, "nobody": 3}


class Cosigned(NamedTuple):
    """A witness that cosigned a head."""

    witness: str  # as the list names it
    operator: str
    time_s: int  # POSIX seconds, by its own clock


@dataclass
class SeenHead:
    """A head that the log signed, from whomever it came."""

    checkpoint: Checkpoint
    note: bytes  # with the cosignatures of all known witnesses that anyone showed
    peers: list[str]  # who showed it
    cosigned: list[Cosigned]
    standing: Standing = "unproved"
    why: str = "nobody was asked"  # who proved it, or why nobody did


@dataclass
class LogAnswer:
    """All that was found of one log."""

    origin: str
    heads: list[SeenHead]  # by size and root
    forks: list[ForkProof] = field(default_factory=list)
    wanted: Range | None = None  # of entries
    held: dict[str, dict[int, bytes]] = field(default_factory=dict)  # by peer: entry hashes of it, proved, by seq
    claimed: dict[str, dict[int, bytes]] = field(default_factory=dict)  # the same, covered by no head of theirs
    unproved: dict[str, str] = field(default_factory=dict)  # by peer: why it showed no entries that lead to its head
    silent: list[str] = field(default_factory=list)  # peers that answered, and hold nothing of this log
    retired: dict[str, int] = field(default_factory=dict)  # by peer that never cosigns it again: the size it did last

    def take_forks(self, proofs: Iterable[ForkProof]) -> None:
        """Add proofs that hold; one of two heads that were found to contradict each other already says nothing new."""
        known = {_contradiction(proof) for proof in self.forks}
        for proof in proofs:
            if (heads := _contradiction(proof)) not in known:
                known.add(heads)
                self.forks.append(proof)


class EntryHeld(NamedTuple):
    """An entry of which peers hold the hash, proved under a head that the log signed."""

    seq: int
    hashes: dict[bytes, list[str]]  # more than one: two histories
    claimed: dict[bytes, list[str]]  # heard, and covered by no head that the log signed
    witnesses: list[str]  # whose cosigned heads cover it, in a history that nobody contradicts
    operators: int


def heads_of(said: Iterable[tuple[str, OpenedCheckpoint]], log: VerifierKey, trust: Trust) -> list[SeenHead]:
    """Join what peers showed: one head for each size and root.

    Args:
        said: peers, and heads that opened under `log` and the witnesses of `trust`.
        log: the key of the log.
        trust: names witnesses and, by its groups, who runs them.

    """
    found: dict[Checkpoint, tuple[str, dict[VerifierKey, NoteSignature], list[str]]] = {}
    for peer, opened in said:
        text, lines, peers = found.setdefault(opened.checkpoint, (opened.note.text, {}, []))
        for key, line in opened.note.verified:
            # A cosignature begins with its time: of several the first, by when that witness had seen this head.
            if key not in lines or line.signature < lines[key].signature:
                lines[key] = line
        if peer not in peers:
            peers.append(peer)
    heads = []
    for checkpoint in sorted(found, key=lambda one: (one.size, one.root)):
        text, lines, peers = found[checkpoint]
        others = sorted((key.name, line) for key, line in lines.items() if key != log)
        note = Note(text, (lines[log], *(line for _, line in others))).encode()
        heads.append(SeenHead(checkpoint, note, peers, _cosigned(checkpoint, lines, trust)))
    if heads:
        heads[-1].standing, heads[-1].why = "largest", ""
    return heads


def same_sizes(heads: Sequence[SeenHead]) -> list[ForkProof]:
    """Forks among heads of one size, and their standing."""
    forks = []
    for one, other in pairwise(heads):  # by size and root
        if one.checkpoint.size == other.checkpoint.size and (proof := fork_of(one.note, other.note)) is not None:
            forks.append(proof)
            for head in (one, other):
                head.standing, head.why = "contradicts", f"another root for {head.checkpoint.size:,} entries"
    return forks


def compared(small: SeenHead, large: SeenHead, tree: NodeReader) -> ForkProof | None:
    """Hold a head against the tree of a larger one; None where it is a beginning of it.

    Raises:
        FormatError: the tree does not lead to the larger head: whoever served it proves nothing.

    """
    old, new = small.checkpoint, large.checkpoint
    root = root_at(tree, old.size)
    proof = tuple(prove_consistency(tree, old.size, new.size))
    verify_consistency(old.size, root, new.size, new.root, proof)
    return None if root == old.root else ForkProof(small.note, large.note, root, proof)


def proved_tile(head: Checkpoint, start: int, tree: NodeReader) -> dict[int, bytes]:
    """The entry hashes of one tile, by seq, proved to be of a head's tree.

    Args:
        head: whose tree it is.
        start: seq of the tile's first entry, a multiple of 256 below the head's size.
        tree: untrusted.

    Raises:
        FormatError: inclusion_proof: the tree does not lead to the head.

    """
    proof = prove_inclusion(tree, start, head.size)
    # What stands beside the first leaf below its tile's root is made of all others of that tile: so it binds them all.
    verify_inclusion(tree.node(0, start), start, head.size, proof, head.root)
    return {seq: tree.node(0, seq) for seq in range(start, min(start + TILE_WIDTH, head.size))}


def tiles_of(compute: Callable[[NodeReader], object], size: int) -> list[TileName]:
    """Which tiles a computation over a tree of `size` leaves reads, found by letting it read zeros."""
    needed: dict[TileName, None] = {}

    def zeros(level: int, index: int, width: int) -> bytes:
        needed[level, index, width] = None
        return bytes(width * HASH_BYTES)

    with suppress(FormatError):  # zeros lead nowhere, which is said once all was read
        compute(TileReader(zeros, size))
    return list(needed)


def entries_of(answer: LogAnswer) -> list[EntryHeld]:
    """Each entry of the range that was asked for, and who holds it."""
    reach: dict[str, tuple[int, str]] = {}  # by witness: how far it cosigned, and who runs it
    for head in answer.heads:
        if not answer.forks and head.standing in ("largest", "agrees"):
            reach |= {one.witness: (head.checkpoint.size, one.operator) for one in head.cosigned}
    listed = []
    for seq in range(*(answer.wanted or (0, 0))):
        hashes, claimed = _holders(answer.held, seq), _holders(answer.claimed, seq)
        covering = {witness: operator for witness, (size, operator) in reach.items() if size > seq}
        listed.append(EntryHeld(seq, hashes, claimed, sorted(covering), len(set(covering.values()))))
    return listed


def verdict_of(answer: LogAnswer, unreachable: Sequence[str]) -> Verdict:
    """What the peers' answers come to; `unreachable` are peers but for the platform itself."""
    if answer.forks:
        return "contradiction"
    if not answer.heads:
        return "nobody"
    held = {seq for one in answer.held.values() for seq in one}
    is_short = answer.wanted is not None and not held.issuperset(range(*answer.wanted))
    if unreachable or is_short or any(head.standing == "unproved" for head in answer.heads):
        return "partial"
    return "agreement"


def _cosigned(checkpoint: Checkpoint, lines: Mapping[VerifierKey, NoteSignature], trust: Trust) -> list[Cosigned]:
    names = {key: name for name, key in trust.witnesses.items()}
    return sorted(
        Cosigned(names[key], operator_of(trust, names[key]), verify_cosignature(checkpoint, line, key).time_s)
        for key, line in lines.items()
        if key.algorithm == COSIGNATURE_V1
    )


def _holders(held: Mapping[str, Mapping[int, bytes]], seq: int) -> dict[bytes, list[str]]:
    hashes: dict[bytes, list[str]] = {}
    for peer, known in held.items():
        if (value := known.get(seq)) is not None:
            hashes.setdefault(value, []).append(peer)
    return hashes


def _contradiction(proof: ForkProof) -> tuple[str, str]:
    return parse_note(proof.first).text, parse_note(proof.second).text
