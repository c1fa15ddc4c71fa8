"""Proof that a log has two histories (FORMAT.md section 5).

A fork proof is a text: `lineage/fork/1`, for heads of different sizes `root BASE64` and the hashes of a consistency
proof, an empty line, the smaller head's note, an empty line, the other note.  The log's own signatures convict it:
whoever trusts its key needs nothing else.

Two heads of one size with different roots are a fork as they stand.  With different sizes the consistency proof pins
the root of the first entries of the larger tree; the log signed another root for as many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from recorder.core.calendar import utc_text
from recorder.core.canonical import decode_hash, decode_proof, encode_base64, written
from recorder.core.checkpoint import Checkpoint, OpenedCheckpoint, open_checkpoint, parse_checkpoint
from recorder.core.cosignature import verify_cosignature
from recorder.core.errors import FormatError, Misuse
from recorder.core.merkle import NodeReader, prove_consistency, root_at, verify_consistency
from recorder.core.note import COSIGNATURE_V1, VerifierKey, parse_note
from recorder.core.trust import Trust

ERROR = "fork_malformed"
MAGIC = "lineage/fork/1"
FORK_MAX_BYTES = 65_536
CLAIM = "fork_proof"  # of an evidence entry: the text of a proof, as bytes

_BLOCKS = 5  # head, and text and signatures of each note: no line of a checkpoint is empty


@dataclass(frozen=True, slots=True)
class ForkProof:
    """Two notes of one origin that contradict each other, smaller first; nothing here is verified."""

    first: bytes
    second: bytes
    root: bytes | None = None  # of the second tree at the first one's size; None where they have one size
    hashes: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """Return the text of the proof.

        Raises:
            Misuse: `parse_fork` would not give this proof back.

        """
        lines = [MAGIC]
        if self.root is not None:
            lines.append(f"root {encode_base64(self.root)}")
        lines += [encode_base64(value) for value in self.hashes]
        text = b"\n\n".join(("\n".join(lines).encode(), self.first.removesuffix(b"\n"), self.second))
        return written(text, parse_fork, self, "fork")


class Fork(NamedTuple):
    """A proof that holds."""

    origin: str
    first: OpenedCheckpoint
    second: OpenedCheckpoint
    root: bytes  # of the second tree at the first one's size, which the first contradicts

    def describe(self) -> str:
        """What a person is told, in lines that end in newline."""
        small, large = self.first.checkpoint.size, self.second.checkpoint.size
        lines = [f"FORK of {self.origin}: its own key signed two histories that cannot both be true"]
        lines += [f"  it signed {_head(self.first)}", *_seen_by(self.first)]
        lines += [f"  and it signed {_head(self.second)}", *_seen_by(self.second)]
        if small != large:
            lines.append(f"  but the first {small:,} of those {large:,} have root {self.root.hex()}")
        return "\n".join(lines) + "\n"


def parse_fork(text: bytes) -> ForkProof:
    """Parse a proof; there is one text for each.

    Raises:
        FormatError: fork_malformed.

    """
    if len(text) > FORK_MAX_BYTES:
        raise FormatError(ERROR, f"a proof of {len(text)} bytes, at most {FORK_MAX_BYTES} are allowed")
    blocks = text.split(b"\n\n")
    if len(blocks) != _BLOCKS:
        raise FormatError(ERROR, f"{len(blocks)} blocks between empty lines, a proof with two notes has {_BLOCKS}")
    head, one_text, one_lines, two_text, two_lines = blocks
    if not head.isascii():
        raise FormatError(ERROR, "not ASCII before the notes")
    magic, *lines = head.decode("ascii").split("\n")
    if magic != MAGIC:
        raise FormatError(ERROR, f"the first line is not {MAGIC}")
    root = None
    if lines and lines[0].startswith("root "):
        root = decode_hash(lines.pop(0).removeprefix("root "), ERROR)
    hashes = decode_proof(lines, ERROR)
    proof = ForkProof(one_text + b"\n\n" + one_lines + b"\n", two_text + b"\n\n" + two_lines, root, hashes)
    first, second = _checkpoint_of(proof.first), _checkpoint_of(proof.second)
    if first.origin != second.origin:
        raise FormatError(ERROR, f"heads of {first.origin} and {second.origin}")
    if (first.size, first.root) >= (second.size, second.root):
        raise FormatError(ERROR, "the heads are the same, or the larger one stands first")
    if (root is None) != (first.size == second.size) or (root is None and hashes):
        raise FormatError(ERROR, "heads of different sizes, and no others, need a root and a consistency proof")
    return proof


def verify_fork(proof: ForkProof, trust: Trust, foreign: Mapping[str, VerifierKey] | None = None) -> Fork:
    """Verify a proof off line, under the key that a trust file or a fleet list has for its origin.

    Args:
        proof: as it was parsed.
        trust: the verifier's own.
        foreign: keys of logs that are no lineages, by origin.

    Raises:
        FormatError: fork_origin (no key for it here), those of `verify_fork_under`.

    """
    origin = origin_of(proof)
    other = (foreign or {}).get(origin)
    log = other or trust.log_key_of(origin)
    if log is None:
        raise FormatError("fork_origin", f"nobody here is trusted to speak for {origin!r}")
    return verify_fork_under(proof, log, trust.witnesses.values(), may_extend=other is not None)


def verify_fork_under(
    proof: ForkProof, log: VerifierKey, witnesses: Iterable[VerifierKey] = (), *, may_extend: bool = False
) -> Fork:
    """Verify a proof off line, under the key of the log.

    1. Both notes open under it: the log signed both, and cosignatures of known witnesses hold.  2. One size: the roots
    differ, as parsing saw.  Else the consistency proof leads from the stated root to the larger tree, 3. and the log
    signed another root for as many entries.

    Args:
        proof: as it was parsed.
        log: named as the origin.
        witnesses: whose cosignatures are told of.
        may_extend: whether its checkpoints may have extension lines, as those of a lineage never do.

    Raises:
        FormatError: those of `open_checkpoint`, fork_malformed, fork_unproved.

    """
    # 1. Notes
    witnesses = tuple(witnesses)
    first = open_checkpoint(proof.first, log, witnesses, may_extend=may_extend)
    second = open_checkpoint(proof.second, log, witnesses, may_extend=may_extend)
    if proof.root is None:
        return Fork(log.name, first, second, second.checkpoint.root)
    # 2. Root of the larger tree at the smaller size
    small, large = first.checkpoint, second.checkpoint
    try:
        verify_consistency(small.size, proof.root, large.size, large.root, proof.hashes)
    except FormatError as error:
        raise FormatError("fork_unproved", error.detail) from None
    # 3. Contradiction
    if proof.root == small.root:
        raise FormatError("fork_unproved", f"{large.size} entries follow {small.size}: the two heads agree")
    return Fork(log.name, first, second, proof.root)


def origin_of(proof: ForkProof) -> str:
    """The log that a proof is about; nothing of it is verified. Raises FormatError, fork_malformed."""
    return _checkpoint_of(proof.first).origin


def fork_of(one: bytes, other: bytes, larger: NodeReader | None = None) -> ForkProof | None:
    """Make the proof out of two notes of one origin that are verified already; None where they agree.

    Args:
        one: a signed head.
        other: another one, in either order.
        larger: the tree of the larger head; needed where the sizes differ.

    Raises:
        Misuse: different origins, or different sizes and no tree; the reader's own errors pass through.

    """
    first, second = sorted((one, other), key=lambda note: _size_and_root(_checkpoint_of(note)))
    small, large = _checkpoint_of(first), _checkpoint_of(second)
    if small.origin != large.origin:
        raise Misuse(f"heads of {small.origin} and {large.origin} cannot contradict each other")
    if small.size == large.size:
        return None if small.root == large.root else ForkProof(first, second)
    if larger is None:
        raise Misuse("heads of different sizes are compared by the tree of the larger one")
    root = root_at(larger, small.size)
    if root == small.root:
        return None
    return ForkProof(first, second, root, tuple(prove_consistency(larger, small.size, large.size)))


def _size_and_root(checkpoint: Checkpoint) -> tuple[int, bytes]:
    return checkpoint.size, checkpoint.root


def _checkpoint_of(note: bytes) -> Checkpoint:
    try:
        return parse_checkpoint(parse_note(note).text, may_extend=True)
    except FormatError as error:
        raise FormatError(ERROR, f"a head in it: {error.detail}") from None


def seen_by(opened: OpenedCheckpoint) -> list[tuple[str, int]]:
    """Known witnesses that cosigned a head, and when they say that they did, in POSIX seconds."""
    return [
        (key.name, verify_cosignature(opened.checkpoint, line, key).time_s)
        for key, line in opened.note.verified
        if key.algorithm == COSIGNATURE_V1
    ]


def _head(opened: OpenedCheckpoint) -> str:
    head = opened.checkpoint
    return f"{head.size:,} {'entry' if head.size == 1 else 'entries'}, root {head.root.hex()}"


def _seen_by(opened: OpenedCheckpoint) -> Sequence[str]:
    lines = [f"    witnessed by {name} on {utc_text(time_s)}" for name, time_s in seen_by(opened)]
    return lines or ["    no witness that is known here cosigned that"]
