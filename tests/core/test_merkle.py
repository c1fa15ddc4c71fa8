"""RFC 6962 trees: known answers, a naive reference for every small size, and proofs that were tampered with."""

from __future__ import annotations

import json
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core import merkle
from recorder.core.errors import FormatError, Misuse
from tests.core.refusals import perhaps

VECTORS = Path(__file__).resolve().parents[3] / "shared/vectors/c2sp.json"
SIZE_MAX_TESTED = 70
LEAVES = [merkle.leaf_hash(bytes([n])) for n in range(SIZE_MAX_TESTED)]
# The eight leaves of the Certificate Transparency test suite, and the roots over the first n of them.
CT_LEAVES = [bytes.fromhex(leaf) for leaf in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
CT_ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


class Complete:
    """A reader of LEAVES that refuses a subtree which is not complete."""

    def node(self, level: int, index: int) -> bytes:
        """Hash the subtree out of its leaves."""
        return naive_root(index << level, (index + 1) << level)


@cache
def naive_root(low: int, high: int) -> bytes:
    """MTH of RFC 6962 section 2.1, as written."""
    assert 0 <= low < high <= SIZE_MAX_TESTED
    if high - low == 1:
        return LEAVES[low]
    middle = low + largest_power_below(high - low)
    return sha256(b"\x01" + naive_root(low, middle) + naive_root(middle, high)).digest()


def largest_power_below(count: int) -> int:
    """Find k of the RFC by doubling."""
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def naive_path(index: int, low: int, high: int) -> list[bytes]:
    """PATH of RFC 6962 section 2.1.1, as written."""
    if high - low == 1:
        return []
    middle = low + largest_power_below(high - low)
    if index < middle:
        return [*naive_path(index, low, middle), naive_root(middle, high)]
    return [*naive_path(index, middle, high), naive_root(low, middle)]


def naive_subproof(old: int, low: int, high: int, *, whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962 section 2.1.2, as written."""
    if old == high:
        return [] if whole else [naive_root(low, high)]
    middle = low + largest_power_below(high - low)
    if old <= middle:
        return [*naive_subproof(old, low, middle, whole=whole), naive_root(middle, high)]
    return [*naive_subproof(old, middle, high, whole=False), naive_root(low, middle)]


def naive_tree(size: int) -> bytes:
    """Root over the first `size` leaves."""
    return naive_root(0, size) if size else sha256(b"").digest()


def test_known_roots() -> None:
    """The Certificate Transparency leaves have their published roots at every size."""
    hashes = [merkle.leaf_hash(leaf) for leaf in CT_LEAVES]
    assert [merkle.root_of(hashes[:size]).hex() for size in range(9)] == list(CT_ROOTS)
    assert merkle.empty_root().hex() == CT_ROOTS[0]


def test_shared_vector() -> None:
    """The shared vector's leaves have its root."""
    if not VECTORS.exists():
        pytest.skip("no shared vectors here")
    vector = json.loads(VECTORS.read_text())
    hashes = [merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in vector["rfc6962_leaves_hex"]]
    assert merkle.root_of(hashes).hex() == vector["rfc6962_root_8_hex"]


def test_published_inclusion_and_consistency_paths() -> None:
    """Paths published with the Certificate Transparency leaves verify."""
    hashes = [merkle.leaf_hash(leaf) for leaf in CT_LEAVES]
    inclusion = [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    merkle.verify_inclusion(hashes[5], 5, 8, [bytes.fromhex(h) for h in inclusion], bytes.fromhex(CT_ROOTS[8]))
    consistency = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    old_root, new_root = bytes.fromhex(CT_ROOTS[6]), bytes.fromhex(CT_ROOTS[8])
    merkle.verify_consistency(6, old_root, 8, new_root, [bytes.fromhex(h) for h in consistency])


def test_every_root() -> None:
    """Both ways to compute a root agree with the recursive definition at every size."""
    for size in range(SIZE_MAX_TESTED + 1):
        assert merkle.root_of(LEAVES[:size]) == naive_tree(size)
        assert merkle.root_at(Complete(), size) == naive_tree(size)


def test_every_inclusion_proof() -> None:
    """Every leaf of every size has the proof of the recursive definition, which verifies at its place only."""
    for size in range(1, SIZE_MAX_TESTED + 1):
        root = naive_tree(size)
        for index in range(size):
            proof = merkle.prove_inclusion(Complete(), index, size)
            assert proof == naive_path(index, 0, size)
            merkle.verify_inclusion(LEAVES[index], index, size, proof, root)
            for wrong in {(index + 1) % size, index ^ 1, size - 1} - {index}:
                with pytest.raises(FormatError, match="inclusion_proof"):
                    merkle.verify_inclusion(LEAVES[index], wrong, size, proof, root)


def test_every_consistency_proof() -> None:
    """Every pair of sizes has the proof of the recursive definition, which verifies with its two roots only."""
    for new in range(SIZE_MAX_TESTED + 1):
        for old in range(new + 1):
            proof = merkle.prove_consistency(Complete(), old, new)
            assert proof == (naive_subproof(old, 0, new, whole=True) if old else [])
            merkle.verify_consistency(old, naive_tree(old), new, naive_tree(new), proof)
            for old_root, new_root in ((bytes(32), naive_tree(new)), (naive_tree(old), bytes(32))):
                if old == 0 and old_root == naive_tree(0) and new:
                    continue  # nothing is said about what follows an empty tree
                with pytest.raises(FormatError, match="consistency_proof"):
                    merkle.verify_consistency(old, old_root, new, new_root, proof)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 21, 64, 70])
def test_changed_inclusion_proofs_fail(size: int) -> None:
    """A proof with a bit flipped, a hash dropped, doubled or added, or a hash of another length fails."""
    root = naive_tree(size)
    for index in range(size):
        proof = merkle.prove_inclusion(Complete(), index, size)
        for changed in changes(proof):
            with pytest.raises(FormatError, match="inclusion_proof"):
                merkle.verify_inclusion(LEAVES[index], index, size, changed, root)


@pytest.mark.parametrize("new", [1, 2, 3, 7, 8, 21, 64, 70])
def test_changed_consistency_proofs_fail(new: int) -> None:
    """A proof with a bit flipped, a hash dropped, doubled or added, or a hash of another length fails."""
    for old in range(new + 1):
        proof = merkle.prove_consistency(Complete(), old, new)
        for changed in changes(proof):
            with pytest.raises(FormatError, match="consistency_proof"):
                merkle.verify_consistency(old, naive_tree(old), new, naive_tree(new), changed)


def changes(proof: list[bytes]) -> list[list[bytes]]:
    """List proofs near this one."""
    near = [[*proof, bytes(32)], [bytes(32), *proof], [*proof, *[bytes(32)] * 70]]
    near += [[]] if proof else []
    for at, value in enumerate(proof):
        flipped = bytes([value[0] ^ 1]) + value[1:]
        near += [[*proof[:at], new, *proof[at + 1 :]] for new in (flipped, value[:-1], value + b"\x00", b"")]
        near += [proof[:at] + proof[at + 1 :], [*proof[:at], value, *proof[at:]]]
    return near


def test_sizes_that_do_not_exist() -> None:
    """Verifiers call impossible sizes bad data, provers call them misuse."""
    root = naive_tree(4)
    for index, size in ((-1, 4), (4, 4), (0, 0), (0, 2**63), (0, -1)):
        with pytest.raises(FormatError, match="inclusion_proof"):
            merkle.verify_inclusion(LEAVES[0], index, size, [], root)
        with pytest.raises(Misuse):
            merkle.inclusion_nodes(index, size)
    for old, new in ((-1, 4), (5, 4), (4, 2**63)):
        with pytest.raises(FormatError, match="consistency_proof"):
            merkle.verify_consistency(old, root, new, root, [])
        with pytest.raises(Misuse):
            merkle.consistency_nodes(old, new)
    for size in (-1, 2**63):
        with pytest.raises(Misuse):
            merkle.root_at(Complete(), size)
    with pytest.raises(Misuse):
        merkle.combine([])
    with pytest.raises(FormatError):
        merkle.verify_inclusion(LEAVES[0][:31], 0, 1, [], LEAVES[0][:31])


@given(st.integers(1, 2**63 - 1), st.data())
def test_plans_of_huge_trees(size: int, data: st.DataObject) -> None:
    """In a tree of any size a plan names only complete subtrees, and a proof over made-up nodes verifies."""

    class MadeUp:
        def node(self, level: int, index: int) -> bytes:
            assert (index + 1) << level <= size
            if level and parent_of_path(level, index):
                return merkle.node_hash(self.node(level - 1, 2 * index), self.node(level - 1, 2 * index + 1))
            return sha256(f"{level} {index}".encode()).digest()

    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(0, size))

    def parent_of_path(level: int, node: int) -> bool:
        # Nodes above the leaf, and above the last leaf of the old tree, are hashed out of their children.
        return node == index >> level or (old > 0 and node in {(old - 1) >> level, old >> level})

    reader = MadeUp()
    root = merkle.root_at(reader, size)
    leaf = reader.node(0, index)
    merkle.verify_inclusion(leaf, index, size, merkle.prove_inclusion(reader, index, size), root)
    if size > 2**62:
        return  # PROOF_MAX_HASHES cuts the few consistency proofs of 64 hashes that exist only up there
    old_root = merkle.root_at(reader, old)
    merkle.verify_consistency(old, old_root, size, root, merkle.prove_consistency(reader, old, size))


hash_lists = st.lists(st.binary(min_size=30, max_size=33) | st.binary(min_size=32, max_size=32), max_size=70)


@given(st.integers(-2, 2**64), st.integers(-2, 2**64), hash_lists, st.binary(max_size=33), st.binary(max_size=33))
def test_verifiers_raise_only_their_error(a: int, b: int, proof: list[bytes], one: bytes, two: bytes) -> None:
    """Whatever the numbers and hashes are, a verifier returns None or raises FormatError of its own name."""
    with perhaps("inclusion_proof"):
        merkle.verify_inclusion(one, a, b, proof, two)
    with perhaps("consistency_proof"):
        merkle.verify_consistency(a, one, b, two, proof)
