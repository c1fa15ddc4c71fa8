"""What this platform keeps of its peers' logs, as a part of the process: archives, pulls, comparing histories."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mesh.digest import Digest
from mesh.fleetlist import FleetList
from mesh.node.archives import Archives
from mesh.node.archivestore import ArchiveStore
from mesh.node.config import Archiving
from mesh.node.forkbook import ForkBook
from mesh.node.gossip import Gossip, OwnContradiction
from mesh.node.peers import Conduct, Peers
from mesh.node.places import ARCHIVES
from mesh.node.post import Post
from mesh.node.pulling import Pulling
from mesh.node.sources import Source

REQUEST_S = 10.0
STATUS_EVERY_S = 1.0
LIVE = {"archives", "archived_digests"}  # change with each digest
AWAY_S = 30.0  # who was not heard for as long has appeared
TOGETHER_S = 1.0  # in which others may appear too


class Following:
    """A `node.Part`; made inside the event loop."""

    def __init__(
        self,
        state: Path,
        fleet: FleetList,
        forks: ForkBook,
        peers: Peers,
        own: tuple[Callable[[], str | None], OwnContradiction],
        settings: Archiving,
        say: Callable[[str], None],
    ) -> None:
        """Make it, and read what is kept.

        Args:
            state: of the process.
            fleet: whose logs are kept.
            forks: proofs that are known.
            peers: whom to ask.
            own: the origin of our own log, and what it has against a head that is told of it.
            settings: room and intervals.
            say: tells a person.

        """
        room = (settings.per_peer_mib, settings.total_mib)
        store = ArchiveStore(state / ARCHIVES, fleet, forks, room, say, settings.save_s)
        self.archives = Archives(store, fleet, forks, settings.save_s, say)
        self.archives.own = own[0]
        self._post = Post(REQUEST_S)
        self._conduct = Conduct(time.monotonic)
        self.pulling = Pulling(self.archives, fleet, forks, peers, self._conduct, self._source, settings.pulls)
        self.archives.behind = self.pulling.behind
        self.gossip = Gossip(
            self.archives,
            self.pulling,
            fleet,
            forks,
            peers,
            self._conduct,
            self._source,
            self._post.send,
            own[1],
            settings.interval_s,
        )
        loop = asyncio.get_running_loop()
        forks.tell(lambda: loop.call_soon_threadsafe(self.gossip.found))
        self._kept: dict[str, Any] = {}
        self._heard: dict[str, float] = {}  # by platform of the fleet list, when its last digest came
        self._peers = peers
        self._appeared: set[str] = set()  # platforms, not compared with since
        self._comparing: asyncio.TimerHandle | None = None

    def take(self, says: Digest, note: bytes | None) -> None:
        """Take a digest; see `Archives.take`.  With a platform that was away histories are compared at once."""
        self.archives.take(says, note)
        platform, now_s = says.origin.rpartition("/")[0], time.monotonic()
        if now_s - self._heard.get(platform, -AWAY_S) >= AWAY_S:
            self._appeared.add(platform)
            if self._comparing is None:
                self._comparing = asyncio.get_running_loop().call_later(TOGETHER_S, self._compare)
        self._heard[platform] = now_s

    def _compare(self) -> None:
        appeared, self._appeared, self._comparing = self._appeared, set(), None
        urls = [self._peers.urls_of(platform) for platform in appeared]
        if all(urls):
            self.gossip.appeared(one for several in urls for one in several)
        else:
            self.gossip.ask_now()  # where one of them answers is not known: perhaps at an address that is only tried

    def ask_now(self) -> None:
        """Compare with all peers at once."""
        self.gossip.ask_now()

    async def run(self) -> None:
        """Work until cancelled, then make all durable."""
        works = (self.archives.run(), self.pulling.run(), self.gossip.run(), self.gossip.spread(), self._look())
        tasks = [asyncio.create_task(one) for one in works]
        try:
            await asyncio.gather(*tasks)
        finally:
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._comparing is not None:
                self._comparing.cancel()
            await self.close()

    async def close(self) -> None:
        """Let go of connections, and make all durable."""
        await self._post.close()
        await self.archives.close()

    def status(self) -> dict[str, Any]:
        """What changes seldom."""
        return {
            "compared": self.gossip.rounds,
            "answered_wrongly": self._conduct.status(),
            "suspicions": [
                {
                    "origin": origin,
                    "held": one.what.held.size,
                    "offered": one.what.offered.size,
                    "peer": one.what.peer,
                    "reason": one.what.reason,
                }
                for origin, one in self.pulling.suspicions.items()
            ],
            **{key: value for key, value in self._kept.items() if key not in LIVE},
        }

    def live(self) -> dict[str, Any]:
        """What changes as entries come."""
        return {
            **{key: value for key, value in self._kept.items() if key in LIVE},
            "pulls": dict(self.pulling.counts),
            "comparisons": dict(self.gossip.counts),
        }

    def _source(self, url: str) -> Source:
        return Source(url, self._post)

    async def _look(self) -> None:
        while True:
            self._kept = await self.archives.status()
            await asyncio.sleep(STATUS_EVERY_S)
