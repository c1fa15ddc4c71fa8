"""The process: its parts on one event loop, what waits on two threads, and the end of them all."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mesh.allowance import Allowance
from mesh.bucket import Rate
from mesh.exchange import Answer
from mesh.fleetlist import FleetList
from mesh.histories import Told
from mesh.node.answering import Answering, add_platforms, add_witness
from mesh.node.aside import Aside
from mesh.node.atonce import AtOnce
from mesh.node.boots import Boots
from mesh.node.broadcast import Broadcast, Sources, Speaker
from mesh.node.config import Config
from mesh.node.desk import Clock, WitnessDesk
from mesh.node.discovery import Discovery
from mesh.node.following import Following
from mesh.node.forkbook import ForkBook
from mesh.node.forklog import ForkLog
from mesh.node.journal import Journal
from mesh.node.logpaths import LogPaths
from mesh.node.ownlog import OwnLog
from mesh.node.peering import is_out_of_reach, ours_in, present_of
from mesh.node.places import BOOTS, FORKS, FORKS_LOGGED, LOGS, STANDINGS, MeshError, StoreFailedError
from mesh.node.pushes import Pushes, Take
from mesh.node.rounds import Rounds
from mesh.node.server import HttpServer
from mesh.node.standings import StandingFiles
from mesh.node.statuspage import StatusPage, Witnessing
from mesh.node.unkept import AGAIN_S, Unkept
from mesh.standing import Standing
from mesh.witness import Cosigner
from recorder.core.forks import ForkProof
from recorder.core.keys import SeedSigner
from recorder.core.note import VerifierKey


class Part(Protocol):
    """A piece of the process with a task of its own, made inside the event loop."""

    async def run(self) -> None:
        """Work until cancelled, then let go of everything.

        What leaves it ends the process, as a fault of ours.
        """
        ...

    def status(self) -> dict[str, Any]:
        """What it adds to the status file, under keys of its own; a change is written within a second."""
        ...

    def live(self) -> dict[str, Any]:
        """What it adds too, but changes as often as datagrams come: written every 10 s, and with what else changes."""
        ...


class Signers(NamedTuple):
    """Private keys of the process."""

    witness: SeedSigner
    mesh: SeedSigner | None  # None: no digests are sent


class Node:
    """The two sides of witnessing, what answers peers, and the parts beside them."""

    def __init__(
        self,
        state: Path,
        socket: Path,
        config: Config,
        signers: Signers,
        fleet: FleetList,
        clock: Clock,
        say: Callable[[str], None],
        unkept: Unkept,
    ) -> None:
        """Make it; nothing is opened yet.

        Args:
            state: its own directory, which is locked.
            socket: of the recorder.
            config: settings.
            signers: private keys.
            fleet: the list in force.
            clock: the time, where it is trusted.
            say: tells a person.
            unkept: what could not be written, also before this node.

        """
        self._state = state
        self._unkept = unkept
        self._config = config
        self._fleet = fleet
        self._socket = socket
        self._signers = signers
        self._clock = clock
        self._say = say
        self._key = _listed(signers.witness, fleet.trust.witnesses.values())
        if self._key is None:
            say("the fleet list does not name this witness key: it submits, and cosigns for nobody")
        self._mesh_key = _listed(signers.mesh, (one.key for one in fleet.platforms.values()))
        if self._mesh_key is None and signers.mesh is not None:
            say("the fleet list does not name this mesh key: no digests are sent, nobody could tell whose they are")
        if is_out_of_reach(fleet.trust, self._key):
            say("the quorum of the fleet list needs this platform's own witness, which never cosigns its own log")
        cosigner = None if self._key is None else Cosigner(self._key.name, signers.witness)
        self._forks = ForkBook(state / FORKS, fleet, say, unkept)
        self._store = StandingFiles(state / STANDINGS)
        self._desk = WitnessDesk(
            *(fleet, self._store, self._forks, cosigner, clock, say),
            allowance=Allowance(Rate(config.limits.heads_per_s, config.limits.heads_burst)),
            boots=Boots(state / BOOTS, unkept),
        )
        self._witnessing = Aside("witness")
        self._own = OwnLog(socket, state / LOGS, fleet, say, unkept)
        self._ours = ours_in(fleet, self._mesh_key, self._key)
        self._present = present_of(fleet, config.discovery, self._ours, self._key)
        self._stop = asyncio.Event()
        self.ask_now: Callable[[], None] = lambda: None  # begins a round at once, where it runs

    async def run(self) -> None:
        """Serve until `stop`; raises what a fault of ours raises."""
        rounds = self._rounds = Rounds(
            *(self._own, self._fleet, self._key, self._present, self._standings, self._config.submit, self._say)
        )
        table = Answering(self._not_durable)
        add_witness(table, self._desk, self._witnessing, self._fleet)
        try:
            parts = await self._listening(table)
        except MeshError:  # a port that is in use; nothing runs yet that would let go of what was made
            await self._following.close()
            await rounds.close()
            raise
        witnessing = Witnessing(
            *(self._config.witness.listen, self._fleet, self._key, self._mesh_key, self._clock),
            *(rounds, self._desk, self._server, self._forks),
            *(self._unkept, self._ours),
        )
        journal = Journal(self._say, has_quorum=self._fleet.trust.quorum is not None)
        self._page = StatusPage(self._state, witnessing, parts, self._present, self._standings, journal)
        self.ask_now = self._ask_all_now
        logged = ForkLog(self._state / FORKS_LOGGED, self._forks, self._own, rounds.aside, self._unkept)
        rounds.beside.append(logged.log)
        self._say(f"listening on {', '.join(self._config.witness.listen)}, {len(rounds.witnesses)} witnesses to ask")
        # What was made so far stays: no collection looks at it again, 60 ms each time.  That of a node before goes.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        works = [rounds.run(self._after_round), self._page.run(), self._retry(), *(part.run() for part in parts)]
        ended = await self._until_one_ends([asyncio.create_task(work) for work in works])
        await rounds.close()
        self._witnessing.close()
        for one in ended:
            if isinstance(one, Exception):
                raise one

    def stop(self) -> None:
        """End it."""
        self._stop.set()

    async def _listening(self, table: Answering) -> list[Part]:
        """Make the parts, and listen on all ports; raises MeshError."""
        parts = self._make_parts(table)
        archived = self._following.archives.account
        add_platforms(table, self._rounds, self._desk, self._witnessing, self._fleet, archived)
        self._server = HttpServer(self._config.limits, table.respond)
        await self._server.listen(self._config.witness.listen)
        return parts

    def _make_parts(self, table: Answering) -> list[Part]:
        """What runs beside the rounds."""
        at_once = AtOnce(self._rounds, self._config.submit.timeout_s, self._say)
        takers: list[Take] = [self._own.hear, at_once.hear]
        parts: list[Part] = [self._follow(table)]
        if self._config.discovery.enabled:
            parts.append(Discovery(self._config, self._fleet, self._present, self._mesh_key, self._say))
        if self._config.digest.enabled:
            parts.append(self._digests(takers))
        self._pushes = Pushes(self._socket, takers, self._say)
        self._name()
        return [*parts, at_once, self._pushes]

    def _name(self) -> None:
        """Say who may be asked to witness."""
        self._pushes.name(*self._rounds.named())

    def _after_round(self) -> None:
        self._name()
        self._page.change()

    def _digests(self, takers: list[Take]) -> Part:
        rounds, desk = self._rounds, self._desk
        signer = self._signers.mesh
        speaker = None if self._mesh_key is None or signer is None else Speaker(self._mesh_key, signer)
        sources = Sources(self._clock, self._witnessing, lambda: rounds.head, desk.standings)
        broadcast = Broadcast(
            self._state,
            self._config,
            self._fleet,
            self._present,
            speaker,
            sources,
            self._following,
            self._say,
            self._unkept,
        )
        takers.append(broadcast.pushed)
        return broadcast

    def _follow(self, table: Answering) -> Following:
        """What is kept of peers' logs."""
        rounds, own = self._rounds, self._own

        async def contradiction(told: Told) -> ForkProof | None:
            return None if rounds.head is None else await rounds.aside(own.contradiction, rounds.head, told)

        self._following = Following(
            self._state,
            self._fleet,
            self._forks,
            self._present,
            (self._origin, contradiction),
            self._config.archive,
            self._say,
        )
        archives = self._following.archives
        LogPaths(own, rounds, archives, self._forks, self._cosigned).add_to(table)
        loop = asyncio.get_running_loop()
        self._desk.offered = lambda note: loop.call_soon_threadsafe(archives.offer, note)
        return self._following

    def _origin(self) -> str | None:
        """The own log, as far as it is known."""
        return None if self._rounds.head is None else self._rounds.head.head.origin

    async def _cosigned(self, origin: str) -> Answer:
        return await self._witnessing(self._desk.checkpoint, origin)

    def _ask_all_now(self) -> None:
        self._rounds.ask_now()
        self._following.ask_now()

    def _not_durable(self, error: StoreFailedError) -> None:
        self._unkept.failed("what this witness holds", error, self._store.probe)

    async def _retry(self) -> None:
        """Try again what could not be written, on the thread that waits for this disk, until cancelled."""
        while True:
            await asyncio.sleep(AGAIN_S)
            await self._witnessing(self._unkept.retry)

    async def _until_one_ends(self, tasks: list[asyncio.Task[None]]) -> list[BaseException | None]:
        """Wait for the stop, or for a task that ends; then end them all, and return how they ended."""
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
        await self._server.close()  # before the parts that answer for it
        for task in (*tasks, stopped):
            task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    async def _standings(self) -> list[tuple[str, Standing]]:
        return await self._witnessing(self._desk.standings)


def _listed(signer: SeedSigner | None, keys: Iterable[VerifierKey]) -> VerifierKey | None:
    """Our key as the fleet list names it, None where it does not."""
    return None if signer is None else next((one for one in keys if one.public_key == signer.public_key), None)
