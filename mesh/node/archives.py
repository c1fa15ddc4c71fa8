"""Archives on the event loop: digests come in, the disk is waited for on a thread, what is behind is to be pulled."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from mesh.account import Account
from mesh.ahead import AHEAD_MAX
from mesh.digest import Digest, note_of_head
from mesh.fleetlist import FleetList
from mesh.histories import Told, told_of
from mesh.node.archivestore import ArchiveStore
from mesh.node.aside import Aside
from mesh.node.forkbook import ForkBook
from mesh.node.incarnations import Summary
from mesh.node.places import NotKeptError
from recorder.core.errors import FormatError
from recorder.core.proofs import Proof

QUEUE_MAX = 1_024  # digests that wait for the thread; more are dropped, and what they said is pulled
# For what comes together: a head that is to be cosigned is here before the digest whose hashes lead to it, and what
# waits on the answer to it comes first.
GATHER_S = 0.1
_Got = TypeVar("_Got")


class Behind(NamedTuple):
    """A log of which a head is known that is not proved yet."""

    told: Told
    note: bytes


class Archives:
    """The archives of all peers; made and used on the event loop."""

    def __init__(
        self, store: ArchiveStore, fleet: FleetList, forks: ForkBook, save_s: float, say: Callable[[str], None]
    ) -> None:
        """Make it.

        Args:
            store: what is kept, from now on used on the thread of this object alone.
            fleet: whose logs are kept.
            forks: which logs are no longer followed.
            save_s: how often what came is made durable.
            say: tells a person.

        """
        self.counts: Counter[str] = Counter()  # of digests: taken, dropped, without a head, of another log
        self.own: Callable[[], str | None] = lambda: None  # the origin of our own log, which is not archived
        self.behind: Callable[[Behind], None] = lambda _: None  # called for a head that hashes are wanting for
        self.trouble: str | None = None
        self._store = store
        self._fleet = fleet
        self._forks = forks
        self._save_s = save_s
        self._say = say
        self._aside = Aside("archives")
        self._queue: deque[tuple[Digest | None, bytes | None]] = deque()
        self._wake = asyncio.Event()

    def take(self, says: Digest, note: bytes | None) -> None:
        """Take a digest whose mesh key was verified; cheap.

        Args:
            says: the digest.
            note: of its head, verified; None where it has none, or nobody has looked yet.

        """
        if says.origin == self.own() or self._fleet.log_of(says.origin) is None:
            return
        self._put(says, note)

    def offer(self, note: bytes) -> None:
        """Take a head that its log had this witness judge, cosigned or not; cheap.

        Of what the log signed nothing is lost: a head that nobody leads to is kept until it proves a fork, or none.

        Args:
            note: a platform's, verified, with the log's own signature first.

        """
        if told_of(note).head.origin != self.own():  # anyone can bring us our own heads
            self._put(None, note)

    def _put(self, says: Digest | None, note: bytes | None) -> None:
        if len(self._queue) >= QUEUE_MAX:
            self.counts["dropped"] += 1
            return
        self._queue.append((says, note))
        self._wake.set()

    async def run(self) -> None:
        """Take what comes and make it durable, until cancelled."""
        saved_s = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, saved_s + self._save_s - time.monotonic())):
                    await self._wake.wait()
                    await asyncio.sleep(GATHER_S)
            self._wake.clear()
            batch = [self._queue.popleft() for _ in range(len(self._queue))]
            try:
                for one in await self.call(self._take_all, batch) if batch else ():
                    self.behind(one)
                if time.monotonic() - saved_s >= self._save_s:
                    saved_s = time.monotonic()
                    if await self.call(self._store.keep) and self.trouble is not None:
                        self._say("archives are kept again")
                        self.trouble = None
            except OSError:
                await asyncio.sleep(self._save_s)  # said by `call`; a disk that is full is not asked again at once

    async def call(self, use: Callable[..., _Got], *arguments: Any) -> _Got:  # noqa: ANN401 -- whatever `use` takes
        """Use the store on its thread; after an error of the disk it goes on from what is durable."""
        try:
            return await self._aside(use, *arguments)
        except OSError as error:
            self._told(f"archives: {error}; they go on from what is durable")
            await self._aside(self._store.forget)
            raise

    async def learn(self, origin: str, first: int, hashes: list[bytes], notes: list[bytes]) -> bool:
        """Take hashes from a peer, and heads that are verified; whether there were hashes that lead to no head."""
        return await self.call(self._learned, origin, first, hashes, notes)

    async def prove(self, proofs: Sequence[Proof], source: str) -> bool:
        """Keep proofs of forks; whether one is new.

        Raises:
            FormatError: one proves nothing.

        """
        return await self.call(self._proved, proofs, source)

    @property
    def store(self) -> ArchiveStore:
        """For `call`."""
        return self._store

    async def close(self) -> None:
        """Make all durable and end."""
        with suppress(OSError):  # said by `call`
            await self.call(self._take_all, list(self._queue))
            await self.call(self._store.keep)
        self._aside.close()

    async def account(self, platform: str) -> Account:
        """What is archived of a platform, the incarnation that was begun last first."""
        return await self.call(self._store.account, platform)

    async def status(self) -> dict[str, Any]:
        """What a person is shown."""
        summaries: list[Summary] = await self.call(self._store.summaries)
        return {
            "archives": [
                {
                    "origin": one.origin,
                    "size": one.size,
                    "hashes_held": one.holds + one.size % 256,
                    "missing": [list(each) for each in one.missing[:16]],
                    "missing_entries": sum(end - first for first, end in one.missing),
                    "heads": one.heads,
                    "forked": self._forks.is_forked(one.origin),
                }
                for one in summaries
            ],
            "archives_put_off": dict(self._store.saves.put_off),
            "incarnations_put_off": dict(self._store.incarnations.refused),
            "incarnations_dropped": [list(one) for one in self._store.incarnations.dropped],
            "archived_digests": dict(self.counts),
            "archives_trouble": self.trouble,
        }

    def _learned(self, origin: str, first: int, hashes: list[bytes], notes: list[bytes]) -> bool:
        learned = self._store.learn(origin, first, hashes, notes)
        self._proved(learned.forks, "by what was told here")
        return bool(learned.unproved)

    def _proved(self, proofs: Sequence[Proof], source: str) -> bool:
        return sum(self._forks.keep(one, source) for one in proofs if self._forks.is_wanted(one)) > 0

    def _take_all(self, batch: list[tuple[Digest | None, bytes | None]]) -> list[Behind]:
        behind: dict[bytes, Behind] = {}
        for says, note in batch:
            found = self._taken(says, note) if says is not None else self._offered(note or b"")
            if found is not None:
                behind[found.note] = found
        return [one for one in behind.values() if self._store.size(one.told.head.origin) < one.told.head.size]

    def _taken(self, says: Digest, note: bytes | None) -> Behind | None:
        """On the thread: claim what a digest says; its head where hashes for it are wanting."""
        self.counts["taken"] += 1
        notes: list[bytes] = []
        told = None
        if says.head is not None and says.head.size and not self._is_known(says):
            try:
                log = self._fleet.log_of(says.origin)
                assert log is not None, "seen by `take`"
                note = note or note_of_head(says, log.key)
            except FormatError:
                self.counts["note_signature"] += 1
                return None
            assert note is not None, "there is a head"
            told = told_of(note)
            if told.head.size <= self._store.size(says.origin) + AHEAD_MAX:
                notes = [note]
        self._learned(says.origin, says.first, says.entry_hashes, notes)
        if told is not None and note is not None:
            return Behind(told, note)
        return self._waiting(says.origin)

    def _offered(self, note: bytes) -> Behind | None:
        """On the thread: the same of a head alone."""
        told = told_of(note)
        origin = told.head.origin
        if told.head.size <= self._store.size(origin) + AHEAD_MAX:
            self._learned(origin, 0, [], [note])
        return Behind(told, note)

    def _waiting(self, origin: str) -> Behind | None:
        """The largest head that came before its hashes."""
        with suppress(NotKeptError):
            archive = self._store.get(origin).archive
            if archive.heads and archive.heads[-1].head.size > archive.size:
                return Behind(told_of(archive.heads[-1].note), archive.heads[-1].note)
        return None

    def _is_known(self, says: Digest) -> bool:
        """Whether its head is kept already, so that no signature needs to be verified."""
        assert says.head is not None, "asked of a head"
        try:
            heads = self._store.get(says.origin).archive.heads
        except NotKeptError:
            return False
        size, root = says.head.size, says.head.root
        return any(rung.head.size == size and rung.head.root == root for rung in heads)

    def _told(self, trouble: str) -> None:
        """Say it once, whichever file it is the next time, until something was written again."""
        if self.trouble is None:
            self._say(trouble)
        self.trouble = trouble
