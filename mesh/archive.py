"""What a peer keeps of a log: its tree from entry hashes, gaps, heads, and what was dropped (PROTOCOL.md section 5).

Hashes out of digests and pulls are only claimed.  They count once a head that the log signed covers them and the tree
that they make has its root; then their tiles leave for the store.  So nobody but the log can put anything into the
tree, and a peer may pull from anyone.  Who is far behind jumps to a head by one proof, and fills in tiles from above:
each has to hash to a node that is proved already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mesh.ahead import AHEAD_MAX, Ahead, Claimed
from mesh.ladder import Ladder, Rung
from mesh.ranges import Range, joined, with_range, without_range
from recorder.core.checkpoint import Checkpoint
from recorder.core.errors import FormatError, Misuse
from recorder.core.forks import ForkProof, fork_of
from recorder.core.limits import TILE_WIDTH
from recorder.core.merkle import NodeReader, empty_root, root_of, verify_consistency
from recorder.core.tiles import TILE_BITS, Tile, TileTree


class State(NamedTuple):
    """What has to be kept of an archive beside its tiles; hashes that wait are pulled again."""

    size: int  # entries proved
    partial: list[bytes]  # `TileTree.snapshot`
    notes: list[bytes]  # the ladder
    missing: list[Range]  # see `Archive.missing`
    heads_dropped: int


class Advance(NamedTuple):
    """What heads made of the hashes that waited."""

    proved: Checkpoint | None  # the head up to which the tree is proved now; None where nothing moved
    tiles: list[Tile]  # for the store, before `Archive.state`
    unproved: list[Range]  # let go: hashes that do not lead to the head, or a head of another history
    contradicted: list[bytes]  # notes of smaller heads that the proved tree contradicts: see `Archive.contradiction`


class Archive:
    """One origin's log as a peer holds it; `state()` and the tiles are all that it stands on."""

    __slots__ = ("_ahead", "_ladder", "_missing", "_tree", "origin")

    def __init__(self, origin: str, state: State | None = None) -> None:
        """Begin, or go on from what was kept.

        Raises:
            FormatError: tree_state, or archive_state: the tree is not that of the head of its size.

        """
        kept = state or State(0, [], [], [], 0)
        self.origin = origin
        self._ladder = Ladder(origin, kept.notes, kept.heads_dropped)
        self._tree = TileTree.restore(kept.size, kept.partial)
        self._missing = [(first, end) for first, end in kept.missing]
        self._ahead = Ahead()
        rung = self._ladder.at(kept.size)
        if kept.size and (rung is None or rung.head.root != self._tree.root()):
            raise FormatError("archive_state", f"no head of {origin} has the root of the {kept.size} entries kept")

    @property
    def size(self) -> int:
        """Entries whose hashes are proved."""
        return self._tree.size

    @property
    def heads(self) -> list[Rung]:
        """Signed heads that are kept, by size; those above `size` wait for hashes."""
        return self._ladder.rungs

    @property
    def waiting(self) -> int:
        """Claimed hashes that no head covers yet."""
        return self._ahead.count

    @property
    def proved(self) -> Rung | None:
        """The head that the tree stands on; None where nothing is proved."""
        return self._ladder.at(self.size) if self.size else None

    @property
    def partial(self) -> list[bytes]:
        """Hashes of the partial tile of each level, as `jump` takes them."""
        return self._tree.snapshot()

    @property
    def holds(self) -> int:
        """Hashes in full tiles of level 0 that are held."""
        return _tiles(self.size) - sum(end - first for first, end in self._missing)

    @property
    def missing(self) -> list[Range]:
        """Below `size`: entries of which no hash is held, jumped over or dropped; whole tiles, in order."""
        return list(self._missing)

    def state(self) -> State:
        """What to keep, once the tiles of the last `advance` are durable."""
        notes = [rung.note for rung in self._ladder.rungs]
        return State(self.size, self._tree.snapshot(), notes, list(self._missing), self._ladder.dropped)

    def claim(self, first: int, hashes: Sequence[bytes]) -> Claimed:
        """Take hashes of consecutive entries, from whomever.

        Raises:
            Misuse: a hash that is not 32 bytes.

        """
        return self._ahead.take(self.size, first, hashes)

    def add_head(self, note: bytes) -> ForkProof | None:
        """Take a head that the caller verified; return the proof if it contradicts one of its size.

        One of fewer entries than are proved is held against the tree by `contradiction`.

        Raises:
            Misuse: it is of another origin.

        """
        return self._ladder.add(note, keep=self.size)

    def disregard(self, note: bytes) -> None:
        """Let go of a head above `size` that nobody proves, so that it holds up no other.

        Raises:
            Misuse: no such head is kept, or it is proved.

        """
        self._ladder.remove(note, self.size)

    def contradiction(self, note: bytes, tree: NodeReader) -> ForkProof | None:
        """Hold a smaller head that the log signed against the proved tree; None where it is part of it.

        Raises:
            Misuse: nothing is proved, or the head is larger; the reader's own errors pass through.

        """
        proved = self._ladder.at(self.size)
        if proved is None:
            raise Misuse("nothing is proved yet to hold a head against")
        return fork_of(note, proved.note, tree)

    def advance(self) -> Advance:
        """Prove what can be proved: for each waiting head whose hashes are all there, in order of size."""
        tree, start = self._tree.copy(), self.size
        tiles: list[Tile] = []
        result = Advance(None, [], [], [])
        failed: list[Rung] = []
        for rung in self._ladder.rungs:
            size = rung.head.size
            if size <= start:
                continue
            hashes = self._ahead.run(tree.size, size)
            if len(hashes) < size - tree.size:
                break
            for value in hashes:
                tiles += tree.append(value)
            if tree.root() != rung.head.root:
                failed.append(rung)
                continue
            # The log signed this tree: what it signed below and is not part of it is of another history.
            result = Advance(rung.head, list(tiles), [], result.contradicted + [one.note for one in failed])
            failed.clear()
            self._tree = tree.copy()
        if failed:
            # Which hash is wrong, or whether the head is, cannot be told: all are pulled again, from another peer.
            end = failed[-1].head.size
            result = result._replace(unproved=[(self.size, end)])
            self._ahead.forget(self.size, end)
        self._ahead.forget(start, self.size)
        return result

    def jump(self, note: bytes, proof: Sequence[bytes], partial: Sequence[bytes]) -> Range | None:
        """Go on from a head far ahead, without the hashes in between; return the entries that are missing now.

        1. The head is kept and larger.  2. It follows the one proved.  3. The partial tiles lead to its root.

        Args:
            note: of a head that was added.
            proof: of consistency, from `size` to the head's.
            partial: `TileTree.snapshot` at the head's size: the partial tile of each level.

        Raises:
            FormatError: consistency_proof or tree_state.
            Misuse: no such head is kept above `size`.

        """
        # 1. Head
        rung = next((one for one in self._ladder.rungs if one.note == note), None)
        if rung is None or rung.head.size <= self.size:
            raise Misuse("a jump goes to a head that was added, above what is proved")
        head = rung.head
        # 2. Consistency
        held = self._ladder.at(self.size)
        root = held.head.root if held is not None else empty_root()
        verify_consistency(self.size, root, head.size, head.root, proof)
        # 3. Partial tiles
        tree = TileTree.restore(head.size, partial)
        if tree.root() != head.root:
            raise FormatError("tree_state", f"the partial tiles do not lead to the head of {head.size} entries")
        gap = (_tiles(self.size), _tiles(head.size))
        self._ahead.forget(self.size, head.size)
        self._tree = tree
        if gap[0] == gap[1]:
            return None
        self._missing = with_range(self._missing, gap)
        return gap

    def shed(self, hashes_max: int) -> list[int]:
        """Make the oldest tiles of hashes go until at most so many hashes are held; return their indexes on level 0.

        Tiles above level 0 stay: they prove heads and whole tiles.
        """
        over = -(-(self.holds - hashes_max) // TILE_WIDTH)  # tiles
        going: list[int] = []
        gone, at = list(self._missing), 0
        for first, end in [*self._missing, (_tiles(self.size), 0)]:
            if len(going) >= over:
                break
            last = min(first, at + (over - len(going)) * TILE_WIDTH)
            going += range(at // TILE_WIDTH, last // TILE_WIDTH)
            gone.append((at, last))
            at = end
        self._missing = joined(gone)
        return going

    def fill(self, level: int, index: int, hashes: Sequence[bytes], tree: NodeReader) -> Tile:
        """Take a full tile that was jumped over or dropped; return it for the store.

        Args:
            level: of the tile; from the top down, since a tile is proved by the one above it.
            index: of the tile.
            hashes: 256 of them.
            tree: gives the nodes of tiles above this one.

        Raises:
            FormatError: tile_unproved: the tile does not hash to the node above it.
            Misuse: not a full tile of the proved tree; the reader's own errors pass through.

        """
        width = TILE_WIDTH ** (level + 1)
        if len(hashes) != TILE_WIDTH or not 0 <= index < self.size // width:
            raise Misuse(f"{len(hashes)} hashes are not tile {index} of level {level} in a tree of {self.size}")
        if root_of(hashes) != tree.node(TILE_BITS * (level + 1), index):
            raise FormatError("tile_unproved", f"tile {index} of level {level} does not lead to the node above it")
        if level == 0:
            self._missing = without_range(self._missing, (index * TILE_WIDTH, (index + 1) * TILE_WIDTH))
        return Tile(level, index, b"".join(hashes))

    def lose(self, index: int) -> None:
        """Note that a tile of hashes is not there any more: damaged, or gone.

        Raises:
            Misuse: the tree has no such full tile.

        """
        if not 0 <= index < self.size // TILE_WIDTH:
            raise Misuse(f"no tile {index} of hashes in a tree of {self.size}")
        self._missing = with_range(self._missing, (index * TILE_WIDTH, (index + 1) * TILE_WIDTH))

    def ahead(self, first: int, end: int) -> list[bytes]:
        """Claimed hashes from `first` on, as many as there are without a gap, before `end`."""
        return self._ahead.run(first, end)

    def let_go(self) -> None:
        """Forget the hashes that wait, to make room; they are pulled again."""
        self._ahead.clear()

    def gaps(self, most: int) -> list[Range]:
        """What to pull, at most so many ranges: hashes up to the largest head for which they may wait."""
        return self._ahead.gaps(self.size, max(self._reachable(), default=0), most)

    def _reachable(self) -> list[int]:
        sizes = (rung.head.size for rung in self._ladder.rungs)
        return [size for size in sizes if self.size < size <= self.size + AHEAD_MAX]


def _tiles(size: int) -> int:
    """Entries in the full tiles of a tree of this size."""
    return size - size % TILE_WIDTH
