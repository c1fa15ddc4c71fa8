"""A peer for tests with real sockets: archives, pulls and comparisons as in the process, without recorder and witness."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

from mesh.exchange import Answer, refused
from mesh.histories import Told, told_of
from mesh.node.answering import Answering
from mesh.node.archives import Archives
from mesh.node.config import Archiving, Discovery, Limits, Submit
from mesh.node.following import Following
from mesh.node.forkbook import ForkBook
from mesh.node.logpaths import LogPaths
from mesh.node.ownlog import OwnLog
from mesh.node.peering import present_of
from mesh.node.peerlog import PeerLog
from mesh.node.places import FORKS, LOGS
from mesh.node.rounds import Rounds
from mesh.node.server import HttpServer
from mesh.node.unkept import Unkept
from mesh.standing import Standing
from recorder.core.checkpoint import Checkpoint, sign_checkpoint
from recorder.core.errors import FormatError
from recorder.core.tiles import TileTree
from tests.mesh.fleet import FLEET, IDENTITY, ORIGIN
from tests.node.test_server import free_port

STEP = 4_000  # entries at a time that a test puts into an archive


class Table:
    """Who is there, as `present.Present` says it."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.platforms: dict[str, list[str]] = {}

    def all_urls(self) -> list[str]:
        """Of any peer."""
        return list(self.urls)

    def urls_of(self, platform: str) -> list[str]:
        """Of a platform: unknown, unless a test says it."""
        return self.platforms.get(platform, [])


async def _nothing(_: Told) -> None:
    """What our own log has against a head: there is none here."""


async def _not_cosigned(_: str) -> Answer:
    return refused(404, FormatError("origin_unknown", "nothing was cosigned here"))


class Node:
    """One peer; its state survives `stop`."""

    def __init__(self, state: Path, settings: Archiving) -> None:
        self.state = state
        self.said: list[str] = []
        self.unkept = Unkept(self.said.append)
        self.asked: list[str] = []  # paths, in order
        self.lie: Callable[[str, Answer], Answer] | None = None  # instead of a true answer to a path
        self.table = Table()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings = settings

    async def start(self) -> None:
        """Read what is kept, and listen; the round that a start makes is over, and found nobody."""
        urls, self.table.urls = self.table.urls, []
        self.state.mkdir(exist_ok=True)
        self.forks = ForkBook(self.state / FORKS, FLEET, self.said.append, self.unkept)
        own = (lambda: None, _nothing)
        self.following = Following(self.state, FLEET, self.forks, self.table, own, self._settings, self.said.append)
        log = OwnLog(self.state / "no-recorder.sock", self.state / LOGS, FLEET, self.said.append, self.unkept)
        present = present_of(FLEET, Discovery(), None)
        self._rounds = Rounds(log, FLEET, None, present, _no_standings, Submit(), self.said.append)
        answering = Answering(lambda _: None)
        LogPaths(log, self._rounds, self.archives, self.forks, _not_cosigned).add_to(answering)

        async def respond(method: str, path: str, body: bytes) -> Answer:
            self.asked.append(path)
            answer = await answering.respond(method, path, body)
            return answer if self.lie is None else self.lie(path, answer)

        self._server = HttpServer(Limits(connections=64, per_address=64, request_s=120.0), respond)
        await self._server.listen([f"127.0.0.1:{self.port}"])
        self._work = asyncio.create_task(self.following.run())
        while not self.following.gossip.rounds:  # noqa: ASYNC110 -- it tells nobody
            await asyncio.sleep(0)
        self.table.urls = urls

    async def stop(self, *, kill: bool = False) -> None:
        """End; a kill keeps nothing that was not durable before."""
        if kill:
            self.archives.store.keep = lambda: False  # type: ignore[method-assign]
        self._work.cancel()
        with suppress(asyncio.CancelledError):
            await self._work
        await self._server.close()
        await self._rounds.close()

    @property
    def archives(self) -> Archives:
        """What it keeps."""
        return self.following.archives

    def log(self, origin: str = ORIGIN) -> PeerLog:
        """What it keeps of a log."""
        return self.archives.store.get(origin)

    async def told(self, leaves: Sequence[bytes], step: int = STEP) -> None:
        """Have it see a log as it grows."""
        tree = TileTree()
        for first in range(0, len(leaves), step):
            part = list(leaves[first : first + step])
            for leaf in part:
                tree.append(leaf)
            head = Checkpoint(ORIGIN, tree.size, tree.root())
            await self.archives.learn(ORIGIN, first, part, [sign_checkpoint(head, IDENTITY).encode()])
        assert self.log().size == len(leaves)

    async def follow(self, note: bytes, *urls: str) -> bool:
        """Bring it to a head."""
        return await self.following.pulling.follow(told_of(note), note, list(urls))

    async def compare(self) -> None:
        """One round."""
        await self.following.gossip.round()


def nodes(tmp_path: Path, count: int, settings: Archiving | None = None) -> list[Node]:
    """Peers that know each other; none is started."""
    quiet = settings or Archiving(interval_s=86_400, save_s=3_600)
    made = [Node(tmp_path / f"peer-{at}", quiet) for at in range(count)]
    meet(*made)
    return made


def meet(*several: Node) -> None:
    """Have these know each other, and nobody else."""
    for one in several:
        one.table.urls = [other.url for other in several if other is not one]


def together(story: Callable[[list[Node]], Awaitable[None]], several: list[Node]) -> None:
    """Run a story over peers that are up."""

    async def run() -> None:
        for one in several:
            await one.start()
        try:
            await story(several)
        finally:
            for one in several:
                await one.stop()

    asyncio.run(run())


async def _no_standings() -> list[tuple[str, Standing]]:
    return []


async def until(holds: Callable[[], object]) -> None:
    """Wait for what comes about by itself."""
    async with asyncio.timeout(240):
        while not holds():  # noqa: ASYNC110 -- it tells nobody
            await asyncio.sleep(0.01)
