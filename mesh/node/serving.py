"""What is answered out of a tree: tiles, hashes, consistency proofs; of the own log and of archived ones alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Protocol

from mesh.exchange import OK, TEXT_TYPE, Answer, refused
from mesh.histories import encode_shown, show
from mesh.node.places import DamagedError, NotKeptError
from recorder.core.errors import FormatError, Misuse
from recorder.core.limits import HASH_BYTES, TILE_WIDTH
from recorder.core.merkle import NodeReader
from recorder.core.tiles import parse_tile_path

BINARY = "application/octet-stream"
HASHES_MAX = 2_048  # of one answer: as many bytes as an answer may have
_RANGE = re.compile(r"(hashes|proof)/(0|[1-9][0-9]{0,18})-(0|[1-9][0-9]{0,18})")


class Tree(Protocol):
    """A log's tree in tiles; what cannot be read raises DamagedError, what is not kept NotKeptError."""

    @property
    def size(self) -> int:
        """Entries."""
        ...

    def tile(self, level: int, index: int, width: int = TILE_WIDTH) -> bytes:
        """Hashes of a tile; raises Misuse where the tree has none such."""
        ...

    def reader(self) -> NodeReader:
        """Reads nodes."""
        ...


def hashes_of(tree: Tree, first: int, end: int) -> bytes:
    """Hashes of entries, as many as are there without a gap; empty where there is none of `first`."""
    found = bytearray()
    at, end = first, min(end, tree.size)
    while at < end:
        index, within = divmod(at, TILE_WIDTH)
        start = index * TILE_WIDTH
        width = min(TILE_WIDTH, tree.size - start)
        try:
            tile = tree.tile(0, index, width)
        except NotKeptError:
            break
        found += tile[within * HASH_BYTES : (end - start) * HASH_BYTES]
        at = min(end, start + width)
    return bytes(found)


def answer(tree: Tree, what: str, hashes: Callable[[int, int], bytes] | None = None) -> Answer:
    """Answer for `tile/...`, `hashes/FIRST-END` or `proof/OLD-NEW`: 200, or 404 with a name.

    Args:
        tree: of the log.
        what: the path below the log's.
        hashes: of entries, where there are more than those of the tree.

    """
    try:
        asked = _RANGE.fullmatch(what)
        if asked is None:
            level, index, width = parse_tile_path(what)
            return Answer(OK, BINARY, tree.tile(level, index, width))
        first, end = int(asked[2]), int(asked[3])
        if asked[1] == "proof":
            return _proof(tree, first, end)
        found = (hashes or partial(hashes_of, tree))(first, min(end, first + HASHES_MAX))
        if found:
            return Answer(OK, BINARY, found)
        fault = f"no hash of entry {first} is kept here"
    except (FormatError, Misuse, DamagedError, NotKeptError) as error:
        fault = str(error)
    return refused(404, FormatError("tile_unknown", fault))


def _proof(tree: Tree, old: int, new: int) -> Answer:
    if not 0 < old <= new <= tree.size:
        raise Misuse(f"no proof from {old} to {new} entries where {tree.size} are proved")
    return Answer(OK, TEXT_TYPE, encode_shown(show(tree.reader(), old, new)))
