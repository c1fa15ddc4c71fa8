"""What the process tells of itself, and when the file with it is written anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mesh.fleetlist import FleetList
from mesh.node.desk import Clock, WitnessDesk
from mesh.node.forkbook import ForkBook
from mesh.node.journal import Journal
from mesh.node.present import Present
from mesh.node.rounds import Rounds
from mesh.node.server import HttpServer
from mesh.node.unkept import Unkept
from mesh.standing import Standing
from recorder.core.note import VerifierKey
from recorder.store.statusfile import STATUS, write_status

STATUS_EVERY_S = 1.0
LIVE_EVERY_S = 10.0

Standings = Callable[[], Awaitable[list[tuple[str, Standing]]]]


class Telling(Protocol):
    """A part of the process, as far as it tells of itself (`node.Part`)."""

    def status(self) -> dict[str, Any]:
        """A change is written within a second."""
        ...

    def live(self) -> dict[str, Any]:
        """Written every 10 s, and with what else changes."""
        ...


class Witnessing(NamedTuple):
    """The two sides of witnessing, of which nobody else tells."""

    listen: Sequence[str]
    fleet: FleetList
    witness: VerifierKey | None
    platform: VerifierKey | None
    clock: Clock
    rounds: Rounds
    desk: WitnessDesk
    server: HttpServer
    forks: ForkBook
    unkept: Unkept
    ours: str | None  # this platform, FLEET/PLATFORM

    def status(self, standings: list[tuple[str, Standing]]) -> dict[str, Any]:
        """What a person is shown."""
        rounds = self.rounds
        return {
            "listen": self.listen,
            "fleet": {"name": self.fleet.fleet, "version": self.fleet.version},
            "witness": None if self.witness is None else self.witness.name,
            "platform": None if self.platform is None else self.platform.name,
            "clock_trusted": self.clock() is not None,
            "trouble": rounds.trouble,
            "rounds": rounds.count,
            "rounds_by_hand": rounds.by_hand,
            "witnessed": rounds.witnessed,
            "latest": None if rounds.latest is None else rounds.latest._asdict(),
            "peers": [
                {
                    "name": one.name,
                    "url": one.url,
                    "last": one.last,
                    "cosigned": one.cosigned,
                    "failures": one.failures,
                    "forgot": one.forgot,
                    "version": one.version,
                }
                for one in rounds.witnesses
            ],
            "held": [
                {
                    "line": line,
                    "origin": one.head.origin,
                    "size": one.head.size,
                    "retired": len(one.retired),
                    "put_off": self.desk.allowance.put_off[line],
                }
                for line, one in standings
            ],
            "answers": {str(status): count for status, count in sorted(self.desk.answers.items())},
            "other_versions": self.server.versions.seen,
            "connections": {
                "open": self.server.doors.open.total(),
                "turned_away": self.server.doors.turned_away,
                "malformed": self.server.doors.malformed,
            },
            "forks": len(self.forks.names()),
            "own_forks": self.forks.origins_of(self.ours),
            "own_splits": self.forks.splits_of(self.ours),
            "own_heads": rounds.own_heads.status(),
            "unkept": self.unkept.told(),
        }


class StatusPage:
    """Keeps the file: where anything changed, and what is live every 10 s.  A card wears by writing."""

    def __init__(
        self,
        state: Path,
        witnessing: Witnessing,
        parts: Sequence[Telling],
        present: Present,
        standings: Standings,
        journal: Journal,
    ) -> None:
        """Make it inside the event loop.

        Args:
            state: where the file is.
            witnessing: told first.
            parts: tell of themselves.
            present: who is there; grows older here.
            standings: what this witness holds.
            journal: hears of every change.

        """
        self._state = state
        self._witnessing = witnessing
        self._parts = parts
        self._present = present
        self._standings = standings
        self._journal = journal
        self._changed = asyncio.Event()

    def change(self) -> None:
        """Have it written at once if anything is different."""
        self._changed.set()

    async def run(self) -> None:
        """Write until cancelled."""
        written: dict[str, Any] | None = None
        live_at_s = 0.0
        while True:
            status = self._witnessing.status(await self._standings())
            for part in self._parts:
                status |= part.status()
            self._journal.take(status)
            now_s = time.monotonic()
            self._present.age(now_s)
            if status != written or now_s >= live_at_s:
                live = self._present.status(now_s)
                for part in self._parts:
                    live |= part.live()
                page = {**status, **live, "utc_s": int(time.time())}
                # Where it cannot be, the next change or the next 10 s try it again; who reads it sees how old it is.
                write = partial(write_status, self._state, page)
                self._witnessing.unkept.keep(str(self._state / STATUS), write, again=False)
                written, live_at_s = status, now_s + LIVE_EVERY_S
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(STATUS_EVERY_S):
                    await self._changed.wait()
