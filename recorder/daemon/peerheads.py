"""HEADS: this platform's heads as its peers hold them, held against the log that is recorded here.

A store that was wiped, or put back from an older copy, cannot tell by itself what it lacks: what left it is signed,
and others keep it.  A head that this platform's identity key signed and that the log does not lead to is such a lack.
It is kept durably first, then nothing more is recorded here, and a new incarnation that names it begins (`resume`).
Nobody without the identity key can bring that about, and no head brings it about twice: it is named from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from recorder.core.checkpoint import Checkpoint
from recorder.core.controls import Previous
from recorder.core.errors import FormatError
from recorder.core.limits import HASH_BYTES, TILE_WIDTH
from recorder.core.message_replies import Compared
from recorder.core.message_requests import Heads
from recorder.core.messages import Status
from recorder.core.tiles import TILE_BITS, TileTree, partial_widths
from recorder.daemon.connection import Connection
from recorder.daemon.sealedtiles import Place, SealedTiles
from recorder.store import peerheads
from recorder.store.errors import StoreError
from recorder.store.store import Store
from recorder.writer.context import failed
from recorder.writer.session import Answer

SIZES_MAX = 8  # of this origin, the greatest ones: where the greatest is ours, so are those below it but for a fork
HEADS_A_TURN = 4  # of which the signatures are checked between two transactions, 100 µs each
DETAIL_MAX = 300  # characters of an error that are worth an answer

Send = Callable[[Connection, int, Answer], None]


class Brought(NamedTuple):
    """A head that the identity key signed."""

    holder: str
    note: bytes
    head: Checkpoint


class _Underway(NamedTuple):
    connection: Connection
    counter: int
    unread: list[tuple[str, bytes]]  # whose signatures are still to be checked
    lacking: list[Brought]
    here: dict[int, list[Brought]]  # of this origin and not larger than the log, by size
    tiles: dict[Place, bytes]  # that are at hand
    ignored: list[str]
    child: SealedTiles | None


class PeerHeads:
    """Compares; one request at a time."""

    def __init__(
        self, state: Path, store: Store, platform: str, identity_key: bytes, named: Sequence[Previous]
    ) -> None:
        """Begin with nothing confirmed.

        Args:
            state: the state directory.
            store: of the incarnation in force.
            platform: FLEET/PLATFORM.
            identity_key: of this platform.
            named: earlier incarnations that the boot entry at seq 0 names.

        """
        self.is_behind = False  # nothing more is to be recorded
        self.confirmed: int | None = None
        self.confirmed_by: list[str] = []
        self._state = state
        self._store = store
        self._platform = platform
        self._identity_key = identity_key
        self._named = list(named)
        self._led_to: dict[int, bytes] = {}  # heads of this origin that peers hold and the log leads to, by size
        self._underway: _Underway | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether `serve` is to be called again soon."""
        return self._underway is not None

    @property
    def is_ready(self) -> bool:
        """Whether it has something to do at once."""
        return self._underway is not None and bool(self._underway.unread)

    def add(self, connection: Connection, request: Heads, send: Send) -> None:
        """Take a request; it is answered by `serve`, a few signatures at a time, so that commits do not wait for it."""
        if self._underway is not None:
            send(connection, request.counter, failed("busy", "other heads are being compared"))
            return
        self._underway = _Underway(connection, request.counter, list(request.heads), [], {}, {}, [], None)

    def serve(self, send: Send) -> None:
        """Go on with what is under way, if anything more can be done now."""
        if (underway := self._underway) is None:
            return
        if underway.unread:
            for _ in range(min(len(underway.unread), HEADS_A_TURN)):
                self._read(underway, *underway.unread.pop(0))
            if underway.unread:
                return
            here = {at: underway.here[at] for at in sorted(underway.here)[-SIZES_MAX:]}
            try:
                tiles, sealed = self._tiles(here)
                child = SealedTiles(self._store.lineage, self._store.segments - 1, sealed) if sealed else None
            except (StoreError, OSError) as error:
                self._underway = None
                if not underway.connection.closed:
                    send(underway.connection, underway.counter, failed("read_failed", str(error)))
                return
            underway = self._underway = underway._replace(here=here, tiles=tiles, child=child)
        if underway.child is not None:
            read = underway.child.take()
            if read is None:
                return
            underway.child.close()
            underway.tiles.update(read)
        self._underway = None
        answer = self._compared(underway)
        if not underway.connection.closed:
            send(underway.connection, underway.counter, answer)

    def close(self) -> None:
        """End what is under way; whoever asked is about to be hung up on."""
        if self._underway is not None and self._underway.child is not None:
            self._underway.child.close()
        self._underway = None

    def _read(self, underway: _Underway, holder: str, note: bytes) -> None:
        """Check one signature, and put the head where it belongs."""
        try:
            one = Brought(holder, note, peerheads.opened(note, self._platform, self._identity_key))
        except FormatError as error:
            underway.ignored.append(f"{holder}: {error}"[:DETAIL_MAX])
            return
        tail = self._store.tail
        if one.head.origin == tail.origin and one.head.size <= tail.size:
            underway.here.setdefault(one.head.size, []).append(one)
        elif not peerheads.is_named(one.head, self._named):
            underway.lacking.append(one)

    def _tiles(self, here: dict[int, list[Brought]]) -> tuple[dict[Place, bytes], list[Place]]:
        """Tiles with the right edges of the trees of these sizes: those at hand, and where others lie."""
        found: dict[Place, bytes] = {}
        sealed: list[Place] = []
        for size in here:
            for level, index, _ in _edge(size):
                tile = self._store.tile(level, index, TILE_WIDTH)
                if tile is not None:
                    found[level, index] = tile
                elif (level, index) not in sealed:
                    sealed.append((level, index))
        return found, sealed

    def _compared(self, underway: _Underway) -> Answer:
        lacking = list(underway.lacking)
        confirmed: list[Brought] = []
        for size, listed in underway.here.items():
            root = _root(size, underway.tiles)
            if root is None:
                return failed("store_damaged", f"the tree of the first {size} entries cannot be read: `lineage verify`")
            for one in listed:
                (confirmed if one.head.root == root else lacking).append(one)
        for one in confirmed:
            self._led_to[one.head.size] = one.note
        self._led_to = {size: self._led_to[size] for size in sorted(self._led_to)[-SIZES_MAX:]}
        if lacking:
            notes = dict.fromkeys(one.note for one in lacking)
            try:
                # If we crash before this, the mesh brings them again; after it, the next start goes on from here.
                peerheads.keep(self._state, notes, self._led_to.values())
            except OSError as error:
                return failed("checkpoint_failed", f"what peers hold cannot be kept: {error}")
            self.is_behind = True
        elif confirmed:
            self.confirmed = max(self.confirmed or 0, *(one.head.size for one in confirmed))
            self.confirmed_by = sorted({*self.confirmed_by, *(one.holder for one in confirmed)})
        return Answer(Status.OK, Compared(bool(lacking), self.confirmed, underway.ignored))


def _edge(size: int) -> list[tuple[int, int, int]]:
    """Level, index and width of each partial tile of a tree."""
    return [
        (level, size >> (TILE_BITS * (level + 1)), width) for level, width in enumerate(partial_widths(size)) if width
    ]


def _root(size: int, tiles: dict[Place, bytes]) -> bytes | None:
    """Root of the first entries; None where a tile is missing."""
    partial = [b""] * len(partial_widths(size))
    for level, index, width in _edge(size):
        if (level, index) not in tiles:
            return None
        partial[level] = tiles[level, index][: width * HASH_BYTES]
    return TileTree.restore(size, partial).root()
