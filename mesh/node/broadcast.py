"""Digests on the network: a part of the process that sends this platform's, and hands on what comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from mesh import digest
from mesh.digest import Digest, Held
from mesh.fleetlist import FleetList
from mesh.node.announcing import FILL_S, Announcer
from mesh.node.aside import Aside
from mesh.node.config import Config, host_of
from mesh.node.datagrams import Datagrams
from mesh.node.desk import Clock
from mesh.node.listening import Archives, Listening
from mesh.node.ownlog import Head as OwnHead
from mesh.node.peering import urls_in
from mesh.node.present import Present
from mesh.node.runs import MS, Sent, next_run
from mesh.node.unkept import Unkept
from mesh.standing import Standing
from mesh.window import RENEWED_S
from recorder.core.errors import Misuse
from recorder.core.keys import Signer
from recorder.core.message_replies import Head as Push
from recorder.core.note import VerifierKey

LOOK_S = 5.0  # how soon an interface that came is used
WAKE_S = 1.0


class Speaker(NamedTuple):
    """Whose digests are sent."""

    key: VerifierKey  # named FLEET/PLATFORM
    signer: Signer


class Sources(NamedTuple):
    """What a digest says beside what the recorder pushes."""

    clock: Clock
    aside: Aside  # the thread of the witness
    head: Callable[[], OwnHead | None]  # the latest checkpoint of the own log
    standings: Callable[[], list[tuple[str, Standing]]]  # what this platform holds as a witness; on that thread


class Broadcast:
    """Sender and receiver, over the same sockets."""

    def __init__(
        self,
        state: Path,
        config: Config,
        fleet: FleetList,
        present: Present,
        speaker: Speaker | None,
        sources: Sources,
        archives: Archives | None,
        say: Callable[[str], None],
        unkept: Unkept,
    ) -> None:
        """Make it inside the event loop; the port is open from then on.

        Args:
            state: where the run is kept.
            config: settings.
            fleet: whom to trust.
            present: learns who is there.
            speaker: this platform; None where the fleet list names no key of it, and nothing is sent.
            sources: of what is sent.
            archives: get what came.
            say: tells a person.
            unkept: holds a run that cannot be written.

        Raises:
            NoAddressError: the port is taken.

        """
        self._state = state
        self._unkept = unkept
        self._speaker = speaker
        self._sources = sources
        self._announcer = Announcer(config.digest, time.monotonic())
        self._is_timed = sources.clock() is not None
        self._sent = Sent(0 if speaker is None else next_run(state, sources.clock, unkept))
        self._trouble: str | None = None
        self._blind: str | None = None
        ours = None if speaker is None else speaker.key.name
        self._listening = Listening(fleet, present, ours, self._sent.has, sources.clock, archives, say)
        self._datagrams = Datagrams(config.digest, config.discovery.interfaces, self._take)
        urls = list(config.discovery.peers)
        if not config.digest.multicast:
            urls += [url for platform, several in urls_in(fleet).items() if platform != ours for url in several]
        self._unicast, named = _addresses(urls)
        if named:
            say(f"digests go to addresses alone, not to {', '.join(named)}")
        self._wake = asyncio.Event()
        self._head: OwnHead | None = None

    def pushed(self, origin: str, push: Push) -> None:
        """Take what the recorder pushes; a `pushes.Take`."""
        if self._speaker is None:
            return
        platform = origin.rpartition("/")[0]
        if platform != self._speaker.key.name:
            self._trouble = f"the mesh key is that of {self._speaker.key.name}, the recorder's log is of {platform}"
            return
        self._trouble = None
        self._announcer.pushed(origin, push.first, push.hashes, time.monotonic())
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._look_often())
                await self._send_often()
        finally:
            self._datagrams.close()

    def status(self) -> dict[str, Any]:
        """What keeps digests from being sent."""
        return {"digest_trouble": self._blind or self._trouble}

    def live(self) -> dict[str, Any]:
        """Counts of what went and of what came, by fate."""
        return {
            "digests": {
                "run": self._sent.run,
                "number": self._sent.number,
                "sent": dict(self._datagrams.sent),
                "hashes_left_out": self._announcer.left_out,
                "received": dict(sorted(self._listening.fates.items())),
                "interfaces": [one.name for one in self._datagrams.interfaces],
                "unicast": self._unicast,
            }
        }

    def _take(self, datagram: bytes, address: str) -> None:
        self._listening.take(datagram, address, time.monotonic())

    async def _look_often(self) -> None:
        while True:
            try:
                self._datagrams.look()
                self._blind = None
            except OSError as error:
                self._blind = f"which interfaces there are is not known: {error}"
            await asyncio.sleep(LOOK_S)

    async def _send_often(self) -> None:
        while True:
            self._wake.clear()
            await self._send_due()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(WAKE_S, self._announcer.wait_s(time.monotonic()))):
                    await self._wake.wait()
            # Not once for each push: what comes while a datagram fills goes together.
            await asyncio.sleep(min(FILL_S, self._announcer.wait_s(time.monotonic())))

    async def _send_due(self) -> None:
        if self._speaker is None:
            return
        latest = self._sources.head()
        if latest is not None and latest != self._head:
            self._announcer.headed(latest.head.origin, digest.head_in(latest.note, latest.log.key), time.monotonic())
            self._head = latest
        held: list[Held] = []
        if self._announcer.is_beacon_due(time.monotonic()):
            held = list(_held(await self._sources.aside(self._sources.standings)))
            await self._renew_run()
        for says in self._announcer.due(held, time.monotonic()):
            self._send(says, self._speaker.signer)

    def _send(self, says: Digest, signer: Signer) -> None:
        run, number = self._sent.next()
        datagram = digest.make(says._replace(run=run, number=number), signer)
        self._datagrams.spread(datagram)
        for host in self._unicast:
            self._datagrams.send_to(datagram, host)

    async def _renew_run(self) -> None:
        """Begin another run where this one is not known to be new, or began an hour ago (`mesh.window`).

        One that began without a clock may be one that peers saw before; as soon as there is a clock it is not.
        """
        time_s = self._sources.clock()
        if time_s is not None and (not self._is_timed or (time_s - RENEWED_S) * MS >= self._sent.run):
            self._sent.begin(await self._sources.aside(next_run, self._state, self._sources.clock, self._unkept))
            self._is_timed = True


def _held(standings: Iterable[tuple[str, Standing]]) -> Iterable[Held]:
    """What a digest says of them; of a foreign log, which has no incarnations, nothing."""
    for line, one in standings:
        if one.head.origin != line:
            yield digest.held_of(one.head.origin, one.head.size)


def _addresses(urls: Iterable[str]) -> tuple[list[str], list[str]]:
    """Hosts of URLs that are addresses, and those that are names: to look one up, one may have to wait.

    What a URL of the fleet list means is not ours to say: one that is none of this protocol is told of like a name.
    """
    addresses, names = [], []
    for url in urls:
        try:
            host = unquote(host_of(url))
        except Misuse:
            names.append(url)
            continue
        try:
            ip_address(host.partition("%")[0])
        except ValueError:
            names.append(host)
        else:
            addresses.append(host)
    return list(dict.fromkeys(addresses)), list(dict.fromkeys(names))
