"""Proof that a log has two histories, and what is only suspicion (PROTOCOL.md section 6).

A fork proof is a text: `lineage/fork/1`, for heads of different sizes `root BASE64` and the hashes of a consistency
proof, an empty line, the smaller head's note, an empty line, the other note.  The log's own signatures convict it:
whoever trusts its key needs nothing else.

Two heads of one size with different roots are a fork as they stand.  With different sizes the consistency proof pins
the root of the first entries of the larger tree; the log signed another root for as many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mesh.fleetlist import log_of
from recorder.core.checkpoint import Checkpoint, OpenedCheckpoint, open_checkpoint, parse_checkpoint
from recorder.core.cosignature import verify_cosignature
from recorder.core.errors import FormatError, Misuse
from recorder.core.limits import HASH_BYTES, PROOF_MAX_HASHES
from recorder.core.merkle import NodeReader, prove_consistency, root_at, verify_consistency
from recorder.core.note import COSIGNATURE_V1, VerifierKey, decode_base64, encode_base64, parse_note
from recorder.core.trust import Trust

ERROR = "fork_malformed"
MAGIC = "lineage/fork/1"
FORK_MAX_BYTES = 65_536

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
        try:
            if parse_fork(text) == self:
                return text
        except FormatError as failure:
            raise Misuse(f"this fork cannot be written: {failure}") from failure
        raise Misuse("this fork cannot be written: it would be read as another one")


class Fork(NamedTuple):
    """A proof that holds."""

    origin: str
    first: OpenedCheckpoint
    second: OpenedCheckpoint
    root: bytes  # of the second tree at the first one's size, which the first contradicts

    def describe(self) -> str:
        """What a person is told, in lines that end in newline."""
        one, two = self.first.checkpoint, self.second.checkpoint
        lines = [
            f"FORK of {self.origin}: its own key signed two histories",
            f"  {_entries(one.size)}, root {one.root.hex()}{_seen_by(self.first)}",
            f"  {_entries(two.size)}, root {two.root.hex()}{_seen_by(self.second)}",
        ]
        if two.size != one.size:
            lines.append(f"  of which the first {one.size:,} have root {self.root.hex()}")
        return "\n".join(lines) + "\n"


class NoProof(NamedTuple):
    """A head that nobody has shown to follow the one that is held; this is no fork."""

    held: Checkpoint
    offered: Checkpoint
    peer: str  # who was asked
    reason: str  # what it did instead: its answer, or that there was none

    def describe(self) -> str:
        """What a person is told, in lines that end in newline."""
        return (
            f"{self.peer} has not shown that {self.offered.origin} at {_entries(self.offered.size)} "
            f"follows {_entries(self.held.size)}: {self.reason}\n"
            "  this alone proves nothing against the log: the peer may be slow, without the hashes, or lying\n"
        )


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
        root = _hash(lines.pop(0).removeprefix("root "))
    if len(lines) > PROOF_MAX_HASHES:
        raise FormatError(ERROR, f"{len(lines)} hashes, at most {PROOF_MAX_HASHES} are allowed")
    hashes = tuple(_hash(line) for line in lines)
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
    """Verify a proof off line.

    1. The origin's key is known.  2. Both notes open under it: the log signed both, and cosignatures of known
    witnesses hold.  3. One size: the roots differ, as parsing saw.  Else the consistency proof leads from the stated
    root to the larger tree, 4. and the log signed another root for as many entries.

    Args:
        proof: as it was parsed.
        trust: the verifier's own, out of a trust file or a fleet list.
        foreign: keys of logs that are no lineages, by origin.

    Raises:
        FormatError: those of `open_checkpoint`, fork_malformed, fork_origin (no key for it here), fork_unproved.

    """
    # 1. Key
    origin = _checkpoint_of(proof.first).origin
    log = log_of(trust, foreign or {}, origin)
    if log is None:
        raise FormatError("fork_origin", f"nobody here is trusted to speak for {origin!r}")
    # 2. Notes
    witnesses = trust.witnesses.values()
    first = open_checkpoint(proof.first, log.key, witnesses)
    second = open_checkpoint(proof.second, log.key, witnesses)
    if proof.root is None:
        return Fork(origin, first, second, second.checkpoint.root)
    # 3. Root of the larger tree at the smaller size
    small, large = first.checkpoint, second.checkpoint
    try:
        verify_consistency(small.size, proof.root, large.size, large.root, proof.hashes)
    except FormatError as error:
        raise FormatError("fork_unproved", error.detail) from None
    # 4. Contradiction
    if proof.root == small.root:
        raise FormatError("fork_unproved", f"{large.size} entries follow {small.size}: the two heads agree")
    return Fork(origin, first, second, proof.root)


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
        return parse_checkpoint(parse_note(note).text)
    except FormatError as error:
        raise FormatError(ERROR, f"a head in it: {error.detail}") from None


def _hash(line: str) -> bytes:
    value = decode_base64(line, ERROR)
    if len(value) != HASH_BYTES:
        raise FormatError(ERROR, f"a hash of {len(value)} bytes, expected {HASH_BYTES}")
    return value


def _entries(count: int) -> str:
    return f"{count:,} {'entry' if count == 1 else 'entries'}"


def _seen_by(opened: OpenedCheckpoint) -> str:
    """Witnesses that cosigned, with their POSIX seconds."""
    times: Sequence[str] = [
        f"{key.name} at {verify_cosignature(opened.checkpoint, line, key).time_s}"
        for key, line in opened.note.verified
        if key.algorithm == COSIGNATURE_V1
    ]
    return f", cosigned by {', '.join(times)}" if times else ""
