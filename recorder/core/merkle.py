"""Merkle trees of RFC 6962 section 2.1 (RFC 9162 section 2.1): hashes, proofs and their verification.

Indexes count leaves from zero, sizes count leaves, every hash is 32 bytes of SHA-256.  A proof is first a plan,
a list of groups of coordinates of complete subtrees, and then the hashes that a `NodeReader` has for them: so one
code proves out of memory, tiles or a file, and a caller may fetch a plan's nodes in any order.

Provers raise `Misuse` for sizes and indexes that do not exist; verifiers get untrusted values and raise only
`FormatError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Protocol, TypeAlias

from recorder.core.errors import FormatError, Misuse
from recorder.core.limits import HASH_BYTES, PROOF_MAX_HASHES

SIZE_MAX = 2**63 - 1

Coordinate: TypeAlias = tuple[int, int]  # (level, index): the complete subtree of 2**level leaves from index << level


class NodeReader(Protocol):
    """Where a prover finds the hashes of complete subtrees."""

    def node(self, level: int, index: int) -> bytes:
        """Return the root of the complete subtree of 2**level leaves starting at leaf index << level.

        The reader's own errors pass through the prover unchanged.
        """
        ...


def leaf_hash(data: bytes) -> bytes:
    """Hash one leaf: SHA-256(0x00 ‖ data), RFC 6962 section 2.1."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash an inner node: SHA-256(0x01 ‖ left ‖ right), RFC 6962 section 2.1."""
    return sha256(b"\x01" + left + right).digest()


def empty_root() -> bytes:
    """Return the root of the tree without leaves: SHA-256 of nothing, RFC 6962 section 2.1."""
    return sha256(b"").digest()


def parents_of(nodes: Sequence[bytes]) -> list[bytes]:
    """Hash nodes of one level in pairs; an odd last one has no parent yet and is left out."""
    return [sha256(b"\x01" + left + right).digest() for left, right in zip(nodes[::2], nodes[1::2], strict=False)]


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the Merkle tree hash over leaf hashes, RFC 6962 section 2.1.

    Level by level, an odd last node rises unchanged: the same tree as the recursive definition, which splits at the
    largest power of two below the size.
    """
    if not leaf_hashes:
        return empty_root()
    nodes: Sequence[bytes] = leaf_hashes
    while len(nodes) > 1:
        parents = parents_of(nodes)
        if len(nodes) & 1:
            parents.append(nodes[-1])
        nodes = parents
    return nodes[0]


# --- Proving: plan, fetch, combine.


def root_nodes(size: int) -> list[Coordinate]:
    """List the complete subtrees, largest first, whose `combine` is the root of a tree of `size` leaves."""
    return _cover(0, size)


def inclusion_nodes(index: int, size: int) -> list[list[Coordinate]]:
    """Plan the inclusion proof PATH(index, D[size]) of RFC 6962 section 2.1.1, from the leaf's sibling upwards.

    Each group combines to one hash of the proof; only the last hashes at the ragged right edge need several nodes.

    Raises:
        Misuse: the tree has no such leaf.

    """
    if not 0 <= index < size <= SIZE_MAX:
        raise Misuse(f"no leaf {index} in a tree of {size} leaves")
    low, high = 0, size
    groups: list[list[Coordinate]] = []
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            groups.append(_cover(middle, high))
            high = middle
        else:
            groups.append(_cover(low, middle))
            low = middle
    groups.reverse()
    return groups


def consistency_nodes(old: int, new: int) -> list[list[Coordinate]]:
    """Plan the consistency proof PROOF(old, D[new]) of RFC 6962 section 2.1.2; empty if old is 0 or equals new.

    RFC 6962 leaves old = 0 undefined; C2SP tlog-witness has an empty proof there.

    Raises:
        Misuse: not 0 <= old <= new.

    """
    if not 0 <= old <= new <= SIZE_MAX:
        raise Misuse(f"no consistency proof leads from {old} to {new} leaves")
    if old == 0:
        return []
    low, high = 0, new
    groups: list[list[Coordinate]] = []
    while high != old:
        middle = low + _split(high - low)
        if old <= middle:
            groups.append(_cover(middle, high))
            high = middle
        else:
            groups.append(_cover(low, middle))
            low = middle
    if low:  # else the subtree is the whole old tree, whose root the verifier has (SUBPROOF with b = true)
        groups.append(_cover(low, high))
    groups.reverse()
    return groups


def combine(hashes: Sequence[bytes]) -> bytes:
    """Fold the hashes of adjacent complete subtrees, largest first, into the root over them all.

    Raises:
        Misuse: there are none.

    """
    if not hashes:
        raise Misuse("an empty group of nodes has no root; use empty_root()")
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def root_at(reader: NodeReader, size: int) -> bytes:
    """Return the root over the first `size` leaves.

    Raises:
        Misuse: size is not within 0..2**63-1.

    """
    if not 0 <= size <= SIZE_MAX:
        raise Misuse(f"no tree has {size} leaves")
    return _fetch(reader, root_nodes(size)) if size else empty_root()


def prove_inclusion(reader: NodeReader, index: int, size: int) -> list[bytes]:
    """Return the inclusion proof of leaf `index` in the tree of `size` leaves; raises as `inclusion_nodes`."""
    return [_fetch(reader, group) for group in inclusion_nodes(index, size)]


def prove_consistency(reader: NodeReader, old: int, new: int) -> list[bytes]:
    """Return the proof that the tree of `old` leaves is a prefix of that of `new`; raises as `consistency_nodes`."""
    return [_fetch(reader, group) for group in consistency_nodes(old, new)]


# --- Verifying: untrusted values, iterative, no more hashing than the tree is high.


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf hash stands at `index` of the tree with this size and root, RFC 9162 section 2.1.3.2.

    Raises:
        FormatError: "inclusion_proof".

    """
    error = "inclusion_proof"
    if not 0 <= index < size <= SIZE_MAX:
        raise FormatError(error, f"no leaf {index} in a tree of {size} leaves")
    _check_hashes(error, proof, leaf, root)
    current = leaf
    for on_left, sibling in _climb(error, index, size - 1, proof):
        current = node_hash(sibling, current) if on_left else node_hash(current, sibling)
    if current != root:
        raise FormatError(error, f"leaf {index} of {size} leads to root {current.hex()}, not {root.hex()}")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree (old, old_root) is a prefix of (new, new_root), RFC 9162 section 2.1.4.2.

    From old = 0 (undefined in the RFC) the proof is empty and old_root the empty root: every tree extends it.  The 63
    hashes that C2SP tlog-witness allows always suffice up to 2**62 leaves; beyond, some proofs would have 64.

    Raises:
        FormatError: "consistency_proof".

    """
    error = "consistency_proof"
    if not 0 <= old <= new <= SIZE_MAX:
        raise FormatError(error, f"no consistency proof leads from {old} to {new} leaves")
    _check_hashes(error, proof, old_root, new_root)
    if old == 0 and old_root != empty_root():
        raise FormatError(error, f"the empty tree cannot have root {old_root.hex()}")
    if old == new and old_root != new_root:
        raise FormatError(error, f"two trees of {old} leaves have roots {old_root.hex()} and {new_root.hex()}")
    if old in {0, new}:
        if proof:
            raise FormatError(error, f"{len(proof)} hashes where the proof from {old} to {new} is empty")
        return
    path = list(proof) if old & (old - 1) else [old_root, *proof]  # a complete old tree is its own first node
    if not path:
        raise FormatError(error, f"no hashes where the proof from {old} to {new} needs some")
    level = (old & -old).bit_length() - 1  # of the complete subtree that ends the old tree, where the path begins
    old_current = new_current = path[0]
    for on_left, sibling in _climb(error, (old - 1) >> level, (new - 1) >> level, path[1:]):
        if on_left:
            old_current = node_hash(sibling, old_current)
        new_current = node_hash(sibling, new_current) if on_left else node_hash(new_current, sibling)
    if old_current != old_root:
        raise FormatError(error, f"the proof leads to old root {old_current.hex()}, not {old_root.hex()}")
    if new_current != new_root:
        raise FormatError(error, f"the proof leads to new root {new_current.hex()}, not {new_root.hex()}")


def _climb(error: str, node: int, last: int, siblings: Sequence[bytes]) -> Iterator[tuple[bool, bytes]]:
    """Walk from `node` to the root of a level whose last node is `last`, with which side each sibling stands on.

    RFC 9162 sections 2.1.3.2 and 2.1.4.2 (their fn and sn) have this walk in common.  The path's length is checked
    while walking and at its end, so a caller must exhaust the iterator.
    """
    for sibling in siblings:
        if last == 0:
            raise FormatError(error, f"{len(siblings)} hashes are too many to climb")
        on_left = bool(node & 1) or node == last
        if on_left:
            while not node & 1 and node:  # the right edge rises past the levels where it has no sibling
                node, last = node >> 1, last >> 1
        yield on_left, sibling
        node, last = node >> 1, last >> 1
    if last:
        raise FormatError(error, f"{len(siblings)} hashes are too few to climb")


def _check_hashes(error: str, proof: Sequence[bytes], *others: bytes) -> None:
    if len(proof) > PROOF_MAX_HASHES:
        raise FormatError(error, f"{len(proof)} hashes, at most {PROOF_MAX_HASHES} are allowed")
    for value in (*proof, *others):
        if len(value) != HASH_BYTES:
            raise FormatError(error, f"a hash of {len(value)} bytes, expected {HASH_BYTES}")


def _split(count: int) -> int:
    return 1 << ((count - 1).bit_length() - 1)  # largest power of two below count, for count > 1


def _cover(low: int, high: int) -> list[Coordinate]:
    nodes: list[Coordinate] = []
    while low < high:
        level = (high - low).bit_length() - 1
        nodes.append((level, low >> level))
        low += 1 << level
    return nodes


def _fetch(reader: NodeReader, group: Sequence[Coordinate]) -> bytes:
    return combine([reader.node(level, index) for level, index in group])
