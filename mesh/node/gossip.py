"""Comparing histories with peers: heads of all logs, and proofs of forks, at an interval and when somebody appears.

What a peer tells is a head with the log's own signature or a proof; both count by themselves, whoever tells them.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from mesh.exchange import OK, Answer
from mesh.fleetlist import FleetList
from mesh.histories import NAMES_MAX, Told
from mesh.node.archives import Archives
from mesh.node.forkbook import ForkBook
from mesh.node.peers import Conduct, Peers
from mesh.node.places import DamagedError, NotKeptError
from mesh.node.post import OtherVersion, Unreachable, below
from mesh.node.pulling import Pulling
from mesh.node.sources import Source
from recorder.core.errors import FormatError
from recorder.core.forks import ForkProof

NOTES_MAX = 64  # signatures of heads that are verified for one peer and round
FORKS_MAX = 8  # proofs that are verified for one peer and round
SEEN_MAX = 4_096
AT_ONCE = 8  # peers that are asked at a time
PEER_S = 60.0  # for one peer and round: one that answers slowly, again and again, keeps no other from being asked again
FILL_S = 60.0  # for what is filled in after a round
# That are asked in one round. Two halves of a fleet of any size meet in the first round all the same: that all of so
# many drawn by lot are of one's own half happens once in four billion times, and who finds a fork tells all.
PEERS_MAX = 32
TEXT = "text/plain; charset=utf-8"

OwnContradiction = Callable[[Told], Awaitable[ForkProof | None]]


class Gossip:
    """Rounds with all peers, on the event loop."""

    def __init__(
        self,
        archives: Archives,
        pulling: Pulling,
        fleet: FleetList,
        forks: ForkBook,
        peers: Peers,
        conduct: Conduct,
        source: Callable[[str], Source],
        send: Callable[[str, bytes, str], Awaitable[Answer]],
        own: OwnContradiction,
        interval_s: float,
    ) -> None:
        """Make it.

        Args:
            archives: what is kept.
            pulling: follows heads that are larger.
            fleet: whose heads count.
            forks: proofs that are known.
            peers: whom to ask.
            conduct: who is left alone.
            source: a peer by URL.
            send: POST: URL, body, content type.
            own: what our own log has against a head that is told of it.
            interval_s: between rounds.

        """
        self.rounds = 0  # with all peers, that have ended
        self.counts: Counter[str] = Counter()  # peers that answered or did not, heads, proofs
        self._archives = archives
        self._pulling = pulling
        self._fleet = fleet
        self._forks = forks
        self._peers = peers
        self._conduct = conduct
        self._source = source
        self._send = send
        self._own = own
        self._interval_s = interval_s
        self._wanted = asyncio.Event()
        self._is_all_wanted = True
        self._appeared: dict[str, None] = {}  # URLs
        self._spread: set[str] = set(forks.names())  # those of before a restart were told, and are listed
        self._seen: OrderedDict[str, None] = OrderedDict()  # names of proofs that came, whether kept or not
        self._new = asyncio.Event()

    def ask_now(self) -> None:
        """Begin a round at once."""
        self._is_all_wanted = True
        self._wanted.set()

    def appeared(self, urls: Iterable[str]) -> None:
        """Compare at once with these alone: many that start would else ask all whenever one of them appears."""
        self._appeared |= dict.fromkeys(urls)
        self._wanted.set()

    def found(self) -> None:
        """A proof is new here: tell it to all."""
        self._new.set()

    async def run(self) -> None:
        """Make rounds until cancelled, with all at the interval and with those who appeared when they do."""
        clock = asyncio.get_running_loop().time
        due_s = clock()
        while True:
            self._wanted.clear()
            appeared, self._appeared = self._appeared, {}
            if self._is_all_wanted or clock() >= due_s:
                self._is_all_wanted = False
                await self.round()
                due_s = clock() + self._interval_s
            elif appeared:
                await self._compare_with(list(appeared))
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due_s):
                    await self._wanted.wait()

    async def spread(self) -> None:
        """Send proofs that are new to every peer, until cancelled; who is away finds them in our list."""
        while True:
            await self._new.wait()
            self._new.clear()
            for name in set(self._forks.names()) - self._spread:
                self._spread.add(name)
                text = self._forks.text(name)
                if text is not None:
                    await asyncio.gather(*(self._post(url, text) for url in self._peers.all_urls()))

    async def round(self) -> None:
        """Compare with every peer once, of many with some."""
        await self._compare_with(self._peers.all_urls())
        self.rounds += 1

    async def _compare_with(self, urls: list[str]) -> None:
        """Ask these, and fill in what is missing."""
        room = asyncio.Semaphore(AT_ONCE)
        asked = [url for url in urls if self._conduct.may_ask(url)]
        if len(asked) > PEERS_MAX:
            asked = random.sample(asked, PEERS_MAX)  # in no order that anyone could reckon with

        async def ask(url: str) -> None:
            async with room:
                try:
                    async with asyncio.timeout(PEER_S):
                        await self._with(url)
                except TimeoutError:
                    self.counts["too_slow"] += 1  # what was learnt of it stays; the rest is for the next round

        await asyncio.gather(*(ask(url) for url in asked))
        await self._pulling.settle()
        with suppress(OSError):  # said by `Archives`; TimeoutError is one: the rest is for the next round
            async with asyncio.timeout(FILL_S):
                await self._fill()

    async def _fill(self) -> None:
        """Fill in what was jumped over, in no order: so that each log has its turn, whatever holds up another."""
        some = list(await self._archives.call(self._archives.store.summaries))
        random.shuffle(some)
        for one in some:
            if one.missing and not self._forks.is_forked(one.origin):
                await self._pulling.fill(one.origin)

    async def _with(self, url: str) -> None:
        source = self._source(url)
        try:
            heads = await source.heads()
            self.counts["answered"] += 1
            self.counts["heads"] += len(heads.told)
            await self._forks_of(source, heads.forks)
            notes = NOTES_MAX
            for one in heads.told:
                notes -= await self._compare(source, one)
                if notes <= 0:
                    self.counts["put_off"] += 1
                    break
        except OtherVersion as error:
            self._conduct.wrong(url, str(error))  # it is told, and left alone longer each time
        except Unreachable:
            self.counts["unreachable"] += 1
        except FormatError as error:
            self._conduct.wrong(url, str(error))
        except OSError:
            return  # said by `Archives`

    async def _forks_of(self, source: Source, names: list[str]) -> None:
        if len(names) >= NAMES_MAX:
            names = await source.forks()
        unknown = set(names) - set(self._forks.names()) - self._seen.keys()
        for name in sorted(unknown)[:FORKS_MAX]:
            proof = await source.fork(name)
            self._seen[name] = None  # only now: who lists it and does not give it would keep it from us
            if len(self._seen) > SEEN_MAX:
                self._seen.popitem(last=False)
            self.counts["forks"] += await self._archives.prove([proof], f"told by {source.url}")

    async def _compare(self, source: Source, told: Told) -> int:
        """Hold a head against ours; return how many signatures were verified."""
        origin = told.head.origin
        log = self._fleet.log_of(origin)
        if log is None or not told.head.size or self._forks.is_forked(origin):
            return 0
        if origin == self._archives.own():
            try:
                found = await self._own(told)
            except DamagedError:
                self.counts["not_compared"] += 1  # a tile of our own tree; it is made again by the next round
                return 0
            except FormatError:
                self.counts["note_signature"] += 1  # as below
                return 1
            await self._archives.prove([] if found is None else [found], f"by comparing with {source.url}")
            return found is not None
        held = await self._archives.call(self._archives.store.held, origin)
        is_larger = told.head.size > held.size
        is_beside = None if is_larger else await self._archives.call(self._is_beside, told)
        if is_beside is False:
            return 0
        try:
            note = told.note(log.key)
        except FormatError:
            # Of another key that the log had, by another fleet list than ours: it says nothing against this peer.
            self.counts["note_signature"] += 1
            return 1
        if is_beside is None:  # what would be needed was dropped here: another peer has to show it
            await self._pulling.follow(told, note, [source.url] if is_larger else [])
            return 1
        try:
            found = await self._archives.call(self._archives.store.contradiction, told, note)
        except NotKeptError:  # it was dropped just now
            return 1
        await self._archives.prove([] if found is None else [found], f"by comparing with {source.url}")
        return 1

    def _is_beside(self, told: Told) -> bool | None:
        """On the archives' thread: whether a head not above what is proved is of another history; None: unknown."""
        try:
            return self._archives.store.get(told.head.origin).root_at(told.head.size) != told.head.root
        except NotKeptError:
            self.counts["not_kept"] += 1
            return None

    async def _post(self, url: str, text: bytes) -> None:
        with suppress(Unreachable):
            answer = await self._send(below(url, "forks"), text, TEXT)
            self.counts["told_forks"] += answer.status == OK
