"""Catching up: what is missing of a log is pulled from any peer that has it, and nobody is trusted for it.

Near a head its hashes are pulled, and have to lead to its root.  Far behind, one consistency proof and the partial
tiles of the head lead to it, and tiles are filled in later, from above.  Where a peer's proof leads from another root
than ours, the log signed two histories.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple
from weakref import WeakValueDictionary

from mesh.ahead import AHEAD_MAX
from mesh.fleetlist import FleetList
from mesh.forks import NoProof
from mesh.histories import Shown, Told, told_of
from mesh.node.archives import Archives, Behind
from mesh.node.forkbook import ForkBook
from mesh.node.peers import Conduct, Peers
from mesh.node.places import NotKeptError
from mesh.node.post import Unreachable
from mesh.node.serving import HASHES_MAX
from mesh.node.sources import Source, split
from recorder.core.checkpoint import Checkpoint
from recorder.core.errors import FormatError
from recorder.core.forks import ForkProof
from recorder.core.limits import TILE_WIDTH
from recorder.core.merkle import empty_root, verify_consistency

SOURCES_MAX = 4  # peers that are asked for one head
STEPS_MAX = 16  # answers with hashes for one head: those for which hashes may wait, and some that bring little
WAIT_S = 1.0  # in which further digests may bring what is wanting
FILLS_MAX = 64  # answers with tiles for one log, before others have their turn
RUN_TILES = HASHES_MAX // TILE_WIDTH  # tiles of hashes in one answer
BEHIND_MAX = 256  # heads that wait to be followed, or are being followed
PER_LOG_MAX = 8  # of them of one log
SOURCE_S = 60.0  # for one peer
SUSPICIONS_MAX = 64
MALFORMED = {"answer_malformed", "proof_malformed"}  # whatever the peer holds, that is no answer


class Suspicion(NamedTuple):
    """A head that nobody has led to."""

    what: NoProof
    told: Told
    note: bytes


class Pulling:
    """Pulls on the event loop, so many at a time, one for each log."""

    def __init__(
        self,
        archives: Archives,
        fleet: FleetList,
        forks: ForkBook,
        peers: Peers,
        conduct: Conduct,
        source: Callable[[str], Source],
        pulls: int,
    ) -> None:
        """Make it.

        Args:
            archives: what is kept.
            fleet: which platform a log belongs to.
            forks: which logs are no longer followed.
            peers: whom to ask.
            conduct: who is left alone.
            source: a peer by URL.
            pulls: how many at a time.

        """
        self.counts: Counter[str] = Counter()  # heads that were followed, jumps, tiles filled in, failures
        self.suspicions: OrderedDict[str, Suspicion] = OrderedDict()  # by origin
        self._archives = archives
        self._fleet = fleet
        self._forks = forks
        self._peers = peers
        self._conduct = conduct
        self._source = source
        self._room = asyncio.Semaphore(pulls)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._behind: dict[bytes, Behind] = {}  # by note: those that wait
        self._pending: dict[bytes, str] = {}  # by note, the log: these and those that are being followed
        self._wake = asyncio.Event()

    def behind(self, one: Behind) -> None:
        """A head is known that hashes are wanting for; they are pulled in a moment unless digests bring them."""
        origin = one.told.head.origin
        several = sum(1 for pending in self._pending.values() if pending == origin)
        # What has no room comes with the next comparison.
        if one.note not in self._pending and len(self._pending) < BEHIND_MAX and several < PER_LOG_MAX:
            self._pending[one.note] = origin
            self._behind[one.note] = one
            self._wake.set()

    async def run(self) -> None:
        """Pull what digests did not bring, until cancelled; no log waits for the end of another."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._wake.wait()
                await asyncio.sleep(WAIT_S)
                self._wake.clear()
                behind, self._behind = self._behind, {}
                for one in sorted(behind.values(), key=lambda one: one.told.head.size):
                    group.create_task(self._follow_behind(one))

    async def follow(self, told: Told, note: bytes, tellers: list[str]) -> bool:
        """Bring an archive to a head that the log signed; whether it is there or a fork is proved.

        Args:
            told: the head.
            note: verified.
            tellers: URLs of who told it, asked first.  They have to lead to it; another peer may know another history.

        """
        origin = told.head.origin
        lock = self._locks.setdefault(origin, asyncio.Lock())
        async with lock, self._room:  # in this order: heads of one log that wait for each other take one place
            if not await self._archives.call(self._archives.store.may_follow, origin):
                return False
            reason, asked = "nobody could be asked", ""
            with suppress(OSError):
                if told.head.size <= (await self._held(origin)).size and await self._compare(origin, told, note):
                    return True  # it was passed meanwhile
            for url in self._sources(origin, tellers):
                asked = url
                try:
                    async with asyncio.timeout(SOURCE_S):
                        is_there = await self._by(self._source(url), told.head, note)
                    if is_there:
                        await self._settle(origin)
                        return True
                except Unreachable as error:
                    reason = str(error)
                except TimeoutError:
                    reason = f"{url}: no end within {SOURCE_S:.0f} s"
                except FormatError as error:
                    reason = str(error)
                    if url in tellers or error.error in MALFORMED:
                        self._conduct.wrong(url, f"{origin} at {told.head.size}: {error}")
                except (NotKeptError, OSError):
                    return False  # it has moved on meanwhile, or an error of the disk that `Archives` says
            self.counts["failed"] += 1
            with suppress(OSError):
                await self._suspect(told, note, asked, reason)
            return False

    async def _follow_behind(self, one: Behind) -> None:
        try:
            await self.follow(one.told, one.note, [])
        finally:
            del self._pending[one.note]

    async def fill(self, origin: str) -> None:
        """Fill in what was jumped over, newest first and as far as there is room, from whoever has it."""
        lock = self._locks.setdefault(origin, asyncio.Lock())
        async with lock, self._room:
            for url in self._sources(origin, []):
                source = self._source(url)
                try:
                    async with asyncio.timeout(SOURCE_S):
                        for _ in range(FILLS_MAX):
                            wanted = await self._archives.call(self._archives.store.wanted, origin, RUN_TILES)
                            if not wanted:
                                return
                            tiles = await self._tiles(source, origin, wanted)
                            self.counts["tiles"] += await self._archives.call(self._archives.store.fill, origin, tiles)
                except (Unreachable, NotKeptError, TimeoutError):
                    continue
                except FormatError as error:
                    self._conduct.wrong(url, f"tiles of {origin}: {error}")
                except OSError:
                    return

    async def _by(self, source: Source, head: Checkpoint, note: bytes) -> bool:
        """Reach a head by one peer; False where it has nothing to offer."""
        held = await self._held(head.origin)
        if head.size <= held.size:
            await self._below(source, held, head, note)
            return True
        is_near = head.size - held.size <= AHEAD_MAX
        if is_near and await self._near(source, head, note):
            return True
        # Its hashes lead elsewhere, or there are too many: whether the head follows ours is shown by a proof.
        held = await self._held(head.origin)
        shown = Shown(empty_root(), ())
        if held.size:
            shown = await source.proof(head.origin, held.size, head.size)
            verify_consistency(held.size, shown.root, head.size, head.root, shown.hashes)
            if shown.root != held.root:
                await self._convict(source, held, note, shown, is_larger=True)
                return True
        if is_near:
            raise FormatError("hashes_unproved", f"its hashes do not lead to the head of {head.size} entries")
        partial = await source.partial(head.origin, head.size)
        jump = self._archives.store.jump
        await self._archives.call(jump, head.origin, held.size, note, list(shown.hashes), partial)
        self.counts["jumps"] += 1
        return True

    async def _below(self, source: Source, held: Checkpoint, head: Checkpoint, note: bytes) -> None:
        """Hold a head of no more entries than are proved here against them; what was dropped a peer has to show."""
        if await self._compare(head.origin, told_of(note), note):
            return
        shown = await source.proof(head.origin, head.size, held.size)
        verify_consistency(head.size, shown.root, held.size, held.root, shown.hashes)
        if shown.root != head.root:
            await self._convict(source, held, note, shown, is_larger=False)

    async def _convict(self, source: Source, held: Checkpoint, note: bytes, shown: Shown, *, is_larger: bool) -> None:
        """Prove that a head and the one that is held are of two histories; `shown` leads from one to the other."""
        held_note = await self._archives.call(self._archives.store.note_held, held.origin, held.size)
        first, second = (held_note, note) if is_larger else (note, held_note)
        proof = ForkProof(first, second, shown.root, shown.hashes)
        await self._archives.prove([proof], f"by comparing with {source.url}")

    async def _near(self, source: Source, head: Checkpoint, note: bytes) -> bool:
        """Pull the hashes that are wanting; whether they lead to the head.

        Among those that waited may be wrong ones that others sent.  So if the whole does not lead to the head it is
        pulled once more, all of it from this peer.
        """
        origin = head.origin
        await self._archives.learn(origin, 0, [], [note])
        unproved = 0
        for _ in range(STEPS_MAX):
            held = await self._held(origin)
            if held.size >= head.size or self._forks.is_forked(origin):
                self.counts["followed"] += 1
                return True
            gaps = await self._archives.call(self._archives.store.gaps, origin)
            if not gaps or unproved > 1:
                return False
            first = gaps[0][0]
            hashes = await source.hashes(origin, first, min(gaps[-1][1], first + HASHES_MAX))
            unproved += await self._archives.learn(origin, first, hashes, [])
        return False

    async def _tiles(
        self, source: Source, origin: str, wanted: list[tuple[int, int]]
    ) -> list[tuple[int, int, list[bytes]]]:
        """Tiles of one kind: the highest one that is wanting, or a run of tiles of hashes."""
        level, index = max(wanted)
        if level:
            return [(level, index, split(await source.tile(origin, level, index, TILE_WIDTH)))]
        run = [index]
        while len(run) < RUN_TILES and (0, run[-1] - 1) in wanted:
            run.append(run[-1] - 1)
        first, end = run[-1], run[0] + 1
        hashes = await source.hashes(origin, first * TILE_WIDTH, end * TILE_WIDTH)
        full = len(hashes) // TILE_WIDTH
        if not full:
            raise Unreachable(f"{source.url} has no whole tile {first} of {origin}")
        return [(0, first + at, hashes[at * TILE_WIDTH : (at + 1) * TILE_WIDTH]) for at in range(full)]

    async def settle(self) -> None:
        """Hold heads that nobody proved against what is proved by now."""
        for origin in list(self.suspicions):
            with suppress(OSError):  # said by `Archives`
                await self._settle(origin)

    async def _suspect(self, told: Told, note: bytes, asked: str, reason: str) -> None:
        """Nobody showed that a head follows ours: that is reported, and the head holds up no other.

        It is kept, the smallest one of each log: when as many entries are proved it is part of them, or proves a fork.
        """
        origin = told.head.origin
        known = self.suspicions.get(origin)
        if known is None or told.head.size <= known.told.head.size:
            held = await self._held(origin)
            self.suspicions[origin] = Suspicion(NoProof(held, told.head, asked, reason), told, note)
            if len(self.suspicions) > SUSPICIONS_MAX:
                self.suspicions.popitem(last=False)
        await self._archives.call(self._archives.store.disregard, origin, note)

    async def _settle(self, origin: str) -> None:
        known = self.suspicions.get(origin)
        if known is None or (await self._held(origin)).size < known.told.head.size:
            return
        if await self._compare(origin, known.told, known.note):
            del self.suspicions[origin]

    async def _compare(self, origin: str, told: Told, note: bytes) -> bool:
        """Hold a head of at most the proved size against the tree; whether that could be done."""
        try:
            found = await self._archives.call(self._archives.store.contradiction, told, note)
        except NotKeptError:
            return False  # dropped here
        await self._archives.prove([] if found is None else [found], f"by what is archived of {origin}")
        return True

    async def _held(self, origin: str) -> Checkpoint:
        return await self._archives.call(self._archives.store.held, origin)

    def _sources(self, origin: str, tellers: list[str]) -> list[str]:
        """Whom to ask: who told it, the platform itself, then others in no order that anyone could reckon with."""
        log = self._fleet.log_of(origin)
        own = [] if log is None else self._peers.urls_of(log.line)
        others = self._peers.all_urls()
        random.shuffle(others)
        several = [url for url in dict.fromkeys([*tellers, *own, *others]) if self._conduct.may_ask(url)]
        return several[:SOURCES_MAX]
