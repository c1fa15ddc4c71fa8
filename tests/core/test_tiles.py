"""Tiles: paths, bundles, the growing tree against the plain root, and proofs read out of tiles."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core import merkle, tiles
from recorder.core.errors import FormatError, Misuse
from tests.core.refusals import perhaps

COUNT = 66_100  # beyond 256 * 256, so that three tile levels have hashes
LEAVES = [sha256(n.to_bytes(4, "big")).digest() for n in range(COUNT)]
Key = tuple[int, int]


class Grown:
    """A tree grown leaf by leaf, with every full tile that came out of it."""

    def __init__(self, size: int) -> None:
        """Append the first `size` leaves."""
        self.tree = tiles.TileTree()
        self.full: dict[Key, bytes] = {}
        self.fetched: list[tuple[int, int, int]] = []
        for leaf in LEAVES[:size]:
            for tile in self.tree.append(leaf):
                assert (tile.level, tile.index) not in self.full
                self.full[tile.level, tile.index] = tile.hashes

    def fetch(self, level: int, index: int, width: int) -> bytes:
        """Serve a full tile from what was emitted and a partial one from the snapshot."""
        self.fetched.append((level, index, width))
        if width == 256:
            return self.full[level, index]
        return self.tree.snapshot()[level][: width * 32]


@pytest.fixture(scope="module")
def grown() -> Grown:
    """Grow the large tree once."""
    return Grown(COUNT)


@pytest.mark.parametrize(
    ("level", "index", "width", "path"),
    [
        (0, 0, 256, "tile/0/000"),
        (0, 1067, 8, "tile/0/x001/067.p/8"),
        (63, 999, 255, "tile/63/999.p/255"),
        (1, 1000, 1, "tile/1/x001/000.p/1"),
        (2, 1234067, 256, "tile/2/x001/x234/067"),
        (0, 2**63 - 1, 255, "tile/0/x009/x223/x372/x036/x854/x775/807.p/255"),
    ],
)
def test_known_paths(level: int, index: int, width: int, path: str) -> None:
    """A tile's path is the specification's, parses back, and has a twin for its entries."""
    assert tiles.tile_path(level, index, width) == path
    assert tiles.parse_tile_path(path) == (level, index, width)
    entries = re.sub("^tile/[0-9]+", "tile/entries", path)
    assert tiles.entries_path(index, width) == entries
    assert tiles.parse_entries_path(entries) == (index, width)


@pytest.mark.parametrize(
    "path",
    [
        "", "tile", "tile/0", "tile/0/", "tile/0/0", "tile/0/00", "tile/0/0000", "tile/00/000", "tile/64/000",
        "tile/01/000", "tile/-1/000", "tile/0/x000/001", "tile/0/001/x002", "tile/0/x001", "tile/0/001/002",
        "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/08", "tile/0/000.p/", "tile/0/000.p", "tile/0/000 ",
        "tile/0/000\n", "/tile/0/000", "tile/0/000/", "tile/0/٠٠٠", "tile/0/X001/000", "tile/0/../000",
        "tile/0/x009/x223/x372/x036/x854/x775/808", "tile/0/" + "x001/" * 50 + "000", "tile/entries/000\x00",
        "tile/data/000", "tile/0/000.p/8.p/8", "tile/0/000.p/1000",
    ],
)  # fmt: skip
def test_paths_refused(path: str) -> None:
    """A path in any other spelling is no path, neither of a tile nor of entries."""
    for text in (path, re.sub("^tile/[0-9](?=/)", "tile/entries", path)):
        for parse in (tiles.parse_tile_path, tiles.parse_entries_path):
            with pytest.raises(FormatError, match="tile_path"):
                parse(text)


@given(st.text(max_size=80) | st.from_regex(r"\Atile/[0-9e]{1,3}/(x[0-9]{3}/){0,7}[0-9]{2,4}(\.p/[0-9]{0,4})?\Z"))
def test_parsed_paths_are_canonical(path: str) -> None:
    """Any string is either refused or exactly what its parsed value is written as."""
    with perhaps("tile_path"):
        assert tiles.tile_path(*tiles.parse_tile_path(path)) == path
    with perhaps("tile_path"):
        assert tiles.entries_path(*tiles.parse_entries_path(path)) == path


def test_mangled_paths_are_refused_or_canonical() -> None:
    """A path with any one character changed, dropped or added is refused or the path of another tile."""
    path = "tile/0/x001/067.p/8"
    for at in range(len(path) + 1):
        for new in ("", "0", "1", "x", "/", ".", "\n", "é"):
            for mangled in (path[:at] + new + path[at + 1 :], path[:at] + new + path[at:]):
                with perhaps("tile_path"):
                    assert tiles.tile_path(*tiles.parse_tile_path(mangled)) == mangled


def test_paths_that_cannot_be_asked_for() -> None:
    """A level, index or width out of range is misuse."""
    for level, index, width in ((-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 2**63, 1), (0, 0, 0), (0, 0, 257)):
        with pytest.raises(Misuse):
            tiles.tile_path(level, index, width)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=256))
def test_bundles_round_trip(entries: list[bytes]) -> None:
    """A bundle gives its entries back; cut anywhere or with more behind, it is refused."""
    bundle = tiles.encode_bundle(entries)
    assert tiles.decode_bundle(bundle, len(entries)) == entries
    for changed in (bundle[:-1], bundle + b"\x00", bundle + b"\x00\x00", b""):
        with pytest.raises(FormatError, match="entry_bundle"):
            tiles.decode_bundle(changed, len(entries))


@given(st.binary(max_size=200), st.integers(1, 256))
def test_any_bytes_as_bundle(bundle: bytes, width: int) -> None:
    """Arbitrary bytes are refused or are exactly the bundle of the entries decoded."""
    with perhaps("entry_bundle"):
        assert tiles.encode_bundle(tiles.decode_bundle(bundle, width)) == bundle


def test_bundle_limits() -> None:
    """An entry of 65,535 bytes fits, and the first byte too many is misuse, as is no entry or the 257th."""
    assert tiles.decode_bundle(tiles.encode_bundle([bytes(65_535)]), 1) == [bytes(65_535)]
    for entries in ([], [b""] * 257, [bytes(65_536)]):
        with pytest.raises(Misuse):
            tiles.encode_bundle(entries)
    for width in (0, 257):
        with pytest.raises(Misuse):
            tiles.decode_bundle(b"\x00\x00", width)


def test_roots_while_growing() -> None:
    """After each leaf, size and root are those of the plain tree; copy and restored snapshot go on alike."""
    tree = tiles.TileTree()
    assert tree.root() == merkle.empty_root()
    assert tree.snapshot() == []
    for size, leaf in enumerate(LEAVES[:600], 1):
        before = tree.copy()
        tree.append(leaf)
        assert (tree.size, before.size) == (size, size - 1)
        if size % 7 == 0 or size % 256 in {0, 1, 255}:
            assert tree.root() == merkle.root_of(LEAVES[:size])
            restored = tiles.TileTree.restore(size, tree.snapshot())
            assert restored.root() == tree.root()
            before.append(leaf)
            assert before.root() == tree.root()


def test_tiles_come_out_once_and_in_order(grown: Grown) -> None:
    """Each full tile of each level comes out exactly once, level 0 first, with the hashes of its subtrees."""
    assert sorted(grown.full) == sorted([(0, n) for n in range(258)] + [(1, 0)])
    assert grown.full[0, 100] == b"".join(LEAVES[25_600:25_856])
    assert grown.full[1, 0] == b"".join(merkle.root_of(LEAVES[n * 256 : (n + 1) * 256]) for n in range(256))
    tree = tiles.TileTree.restore(65_535, Grown(65_535).tree.snapshot())
    assert [(tile.level, tile.index) for tile in tree.append(LEAVES[65_535])] == [(0, 255), (1, 0)]
    assert [len(level) for level in tree.snapshot()] == [0, 0, 32]
    assert tree.root() == merkle.root_of(LEAVES[:65_536])


def test_widths_of_the_specification() -> None:
    """A tree of 70,000 leaves has the partial tiles that tlog-tiles names, and so on."""
    assert tiles.partial_widths(70_000) == [112, 17, 1]
    assert tiles.partial_widths(256) == [0, 1]
    assert tiles.partial_widths(0) == []


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65_536])
def test_states_that_disagree_with_the_size(size: int) -> None:
    """A snapshot restores at its own size and at no other, and not with a byte or a level more or less."""
    snapshot = Grown(size).tree.snapshot()
    assert tiles.TileTree.restore(size, snapshot).snapshot() == snapshot
    bad = [(other, snapshot) for other in (-1, size - 1, size + 1, size + 256, size * 256 + 3, 2**63, 2**80)]
    bad += [(size, [*snapshot, b""]), (size, [*snapshot, bytes(32)])]
    bad += [(size, [*snapshot[:-1], snapshot[-1] + more]) for more in (b"\x00", bytes(32)) if snapshot]
    bad += [(size, snapshot[:-1])] if snapshot else []
    for wrong_size, state in bad:
        with pytest.raises(FormatError, match="tree_state"):
            tiles.TileTree.restore(wrong_size, state)


@given(st.integers(-1, 2**64) | st.integers(0, 600), st.lists(st.binary(max_size=100), max_size=4))
def test_any_state(size: int, snapshot: list[bytes]) -> None:
    """An arbitrary state is refused or is the snapshot of the tree restored."""
    with perhaps("tree_state"):
        assert tiles.TileTree.restore(size, snapshot).snapshot() == snapshot


def test_hashes_of_another_length() -> None:
    """A leaf hash that is not 32 bytes is misuse when appended, and a bad state when restored."""
    with pytest.raises(Misuse):
        tiles.TileTree().append(b"short")
    with pytest.raises(FormatError, match="tree_state"):
        tiles.TileTree(1, [[b"short"]])


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 70_000 % COUNT, 65_536, 65_537, COUNT])
def test_proofs_out_of_tiles(grown: Grown, size: int) -> None:
    """Roots and proofs read out of tiles are those of the plain tree, for this and every smaller size."""
    part = Grown(size) if size <= 600 else grown  # a reader of a smaller size takes its partial tiles from full ones
    assert part.tree.size == size or size >= 3_900

    def fetch(level: int, index: int, width: int) -> bytes:
        hashes = part.full.get((level, index))
        return (part.tree.snapshot()[level] if hashes is None else hashes)[: width * 32]

    reader = tiles.TileReader(fetch, size, cached_tiles=2)
    root = merkle.root_at(reader, size)
    assert root == merkle.root_of(LEAVES[:size])
    for index in {0, size // 3, size // 2, size - 1}:
        merkle.verify_inclusion(LEAVES[index], index, size, merkle.prove_inclusion(reader, index, size), root)
        old_root = merkle.root_of(LEAVES[:index])
        merkle.verify_consistency(index, old_root, size, root, merkle.prove_consistency(reader, index, size))


def test_tiles_are_cached(grown: Grown) -> None:
    """A tile is fetched once while it is among the latest ones, with the width that the tree size gives it."""
    grown.fetched.clear()
    reader = tiles.TileReader(grown.fetch, COUNT, cached_tiles=2)
    for index in (0, 3, 7):
        reader.node(0, index)
    reader.node(1, 100)
    reader.node(7, 1)
    reader.node(0, COUNT - 1)
    assert grown.fetched == [(0, 0, 256), (0, 258, COUNT % 256)]
    reader.node(0, 0)
    reader.node(8, 2)
    reader.node(0, COUNT - 1)
    assert grown.fetched[2:] == [(1, 0, 256), (0, 258, COUNT % 256)]


def test_nodes_that_do_not_exist(grown: Grown) -> None:
    """A node that is not complete in the tree is misuse, and a tile of another length is bad data."""
    reader = tiles.TileReader(grown.fetch, COUNT)
    for level, index in ((0, COUNT), (-1, 0), (0, -1), (17, 0), (8, 258), (10**9, 0)):
        with pytest.raises(Misuse):
            reader.node(level, index)
    for wrong in (b"", bytes(31), bytes(33), bytes(8192)):
        with pytest.raises(FormatError, match="tile_malformed"):
            tiles.TileReader(lambda _level, _index, _width, wrong=wrong: wrong, 1).node(0, 0)  # type: ignore[misc]
    for size, cached in ((-1, 1), (2**63, 1), (1, 0)):
        with pytest.raises(Misuse):
            tiles.TileReader(grown.fetch, size, cached)
