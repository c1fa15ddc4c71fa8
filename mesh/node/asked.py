"""One peer that is asked of a log: requests within bounds, what became of them, and trees that it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from mesh.asking import SeenHead, TileName, tiles_of
from mesh.exchange import OK
from mesh.node.post import OtherVersion, Post, Unreachable, below
from recorder.core.limits import HASH_BYTES
from recorder.core.merkle import NodeReader
from recorder.core.tiles import TileReader, tile_path

BYTES_MAX = 16 * 1024 * 1024  # of one peer
AT_A_TIME = 3  # requests to one peer, who has a bound of his own
FAULTS_MAX = 8  # of one peer that are told


_Got = TypeVar("_Got")


class Bounds(NamedTuple):
    """How requests are sent, and how long they may take."""

    post: Post
    request_s: float  # a part of the whole time: who is silent at first must leave time for what others are asked next
    until_s: float  # of the event loop's time

    def until(self) -> float:
        """When a request that begins now is over."""
        return min(self.until_s, asyncio.get_running_loop().time() + self.request_s)


@dataclass
class Asked:
    """A peer, and what became of asking it."""

    url: str
    names: list[str]
    outcome: str = "answered"  # or "unreachable", "other version"
    detail: str = ""
    version: str | None = None  # of the mesh protocol; None of a witness that does not speak it
    faults: list[str] = field(default_factory=list)  # what it showed that does not hold
    bytes_left: int = BYTES_MAX
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_A_TIME), repr=False)

    @property
    def label(self) -> str:
        """How it is called in answers."""
        return self.names[0] if self.names else self.url

    def fault(self, text: str) -> None:
        """Note what does not hold."""
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(text)

    async def get(self, path: str, bounds: Bounds) -> bytes | None:
        """Ask for a path; None where it is not there, or where the peer does not answer any more.

        Args:
            path: below its URL.
            bounds: of time.

        """
        if self.outcome != "answered":
            return None
        if self.bytes_left <= 0:
            self.fault(f"it sent {BYTES_MAX:,} bytes; no more is taken of one peer")
            return None
        try:
            async with self.gate, asyncio.timeout_at(bounds.until()):
                answer = await bounds.post.get(below(self.url, path))
        except OtherVersion as error:
            self.outcome, self.detail, self.version = "other version", str(error), error.version
        except Unreachable as error:
            self.outcome, self.detail = "unreachable", str(error)
        except TimeoutError:
            self.outcome, self.detail = "unreachable", "no answer in time"
        else:
            self.version = answer.version
            self.bytes_left -= len(answer.body)
            return answer.body if answer.status == OK else None
        return None


class NotServed(Exception):
    """A tile that a peer did not give; the message says which."""


class PeerTree:
    """A peer's tree of a log up to a head that it showed; what is computed over it is not to be trusted unverified."""

    def __init__(self, peer: Asked, head: SeenHead, bounds: Bounds) -> None:
        """Make it; nothing is asked yet."""
        self.peer = peer
        self.head = head
        self._bounds = bounds
        self._tiles: dict[TileName, bytes] = {}

    async def computed(self, compute: Callable[[NodeReader], _Got]) -> _Got:
        """Compute over the tree, once the tiles that this takes are here.

        Raises:
            NotServed: the peer does not give one of them; what `compute` raises passes through.

        """
        size = self.head.checkpoint.size
        missing = [name for name in tiles_of(compute, size) if name not in self._tiles]
        fetched = await asyncio.gather(*map(self._fetched, missing))
        self._tiles.update(zip(missing, fetched, strict=True))
        return compute(TileReader(lambda *name: self._tiles[name], size))

    async def _fetched(self, name: TileName) -> bytes:
        path = tile_path(*name)
        body = await self.peer.get(f"log/{self.head.checkpoint.origin}/{path}", self._bounds)
        if body is None or len(body) != name[2] * HASH_BYTES:
            raise NotServed(f"it gave no {path}")
        return body
