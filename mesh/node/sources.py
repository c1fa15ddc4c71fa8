"""One peer as a source of what is kept of a log: requests, and answers whose form is right."""

from __future__ import annotations

from hashlib import sha256
from typing import Protocol

from mesh.exchange import OK, Answer
from mesh.histories import Heads, Shown, parse_heads, parse_shown
from mesh.node.post import Unreachable, below
from recorder.core.errors import FormatError
from recorder.core.forks import FORK_MAX_BYTES
from recorder.core.limits import HASH_BYTES
from recorder.core.proofs import Proof, parse_proof
from recorder.core.tiles import TILE_BITS, partial_widths, tile_path

ERROR = "answer_malformed"
LISTED_MAX = 1_000  # proofs of forks that one peer may list
_NAME_CHARS = 64


class Get(Protocol):
    """Requests; raises Unreachable."""

    async def get(self, url: str) -> Answer:
        """GET."""
        ...


class Source:
    """A peer.  Calls raise Unreachable where it has no answer, FormatError where the answer is none."""

    def __init__(self, url: str, get: Get) -> None:
        self.url = url
        self._get = get

    async def heads(self) -> Heads:
        """Heads of all logs that it keeps, and names of proofs of forks."""
        return parse_heads(await self._body("heads"))

    async def forks(self) -> list[str]:
        """Names of all proofs that it keeps, where `heads` has no room for them."""
        names = (await self._body("forks")).decode("ascii", "replace").split("\n")[:-1]
        if len(names) > LISTED_MAX or any(len(one) != _NAME_CHARS or not one.isalnum() for one in names):
            raise FormatError(ERROR, "not a list of proofs of forks")
        return names

    async def fork(self, name: str) -> Proof:
        """One proof; not verified."""
        text = await self._body(f"forks/{name}", FORK_MAX_BYTES)
        if sha256(text).hexdigest() != name:
            raise FormatError(ERROR, f"not the proof of the name {name}")
        return parse_proof(text)

    async def proof(self, origin: str, old: int, new: int) -> Shown:
        """A consistency proof; not verified."""
        return parse_shown(await self._body(f"log/{origin}/proof/{old}-{new}"))

    async def hashes(self, origin: str, first: int, end: int) -> list[bytes]:
        """Hashes of entries from `first` on, at least one and perhaps fewer than asked for."""
        body = await self._body(f"log/{origin}/hashes/{first}-{end}")
        if not body or len(body) % HASH_BYTES or len(body) > (end - first) * HASH_BYTES:
            raise FormatError(ERROR, f"{len(body)} bytes are not hashes of entries {first} to {end}")
        return split(body)

    async def tile(self, origin: str, level: int, index: int, width: int) -> bytes:
        """Hashes of a tile."""
        path = tile_path(level, index, width)
        body = await self._body(f"log/{origin}/{path}")
        if len(body) != width * HASH_BYTES:
            raise FormatError(ERROR, f"{len(body)} bytes for {path}")
        return body

    async def partial(self, origin: str, size: int) -> list[bytes]:
        """The partial tile of each level of a tree of `size` entries."""
        widths = enumerate(partial_widths(size))
        return [
            await self.tile(origin, level, size >> TILE_BITS * (level + 1), width) if width else b""
            for level, width in widths
        ]

    async def _body(self, path: str, most: int | None = None) -> bytes:
        answer = await self._get.get(below(self.url, path))
        if answer.status != OK:
            told = answer.body[:200].decode("utf-8", "replace").strip()
            raise Unreachable(f"{self.url} answered {answer.status} for {path[:200]}: {told}")
        if most is not None and len(answer.body) > most:
            raise FormatError(ERROR, f"{len(answer.body)} bytes for {path[:200]}")
        return answer.body


def split(hashes: bytes) -> list[bytes]:
    """Hashes one by one."""
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
