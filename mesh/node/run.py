"""`lineage mesh run`: from a state directory to a process that serves, and back."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mesh.fleetlist import FleetList
from mesh.node.config import Config, load
from mesh.node.desk import Clock
from mesh.node.fleetfile import fleet_in_force, fleet_to_start
from mesh.node.founding import mesh_key, witness_key
from mesh.node.node import Node, Signers
from mesh.node.places import CONFIG, HOLDER, MeshError, NoAddressError
from mesh.node.unkept import AGAIN_S, Unkept
from recorder.clock import QUALITY_SYNCHRONISED, SystemClock
from recorder.store.layout import StateLock

NS = 1_000_000_000
EXIT_NO_ADDRESS = 1


def run(state: Path, socket: Path, config: Path | None = None) -> int:
    """Serve until SIGTERM or SIGINT; SIGUSR1 begins a round at once, SIGHUP reads the fleet list anew.

    Returns:
        0 after a clean stop; 1 where an address to listen on is not there: a service manager starts it again.

    Raises:
        LineageError, OSError: it cannot start.

    """
    early: list[int] = []  # until it serves SIGHUP would end it, and what is brought after the list was read be left
    signal.signal(signal.SIGHUP, lambda number, _: early.append(number))
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # a start makes a round
    settings = load(config or state / CONFIG)
    signers = Signers(witness_key(state), mesh_key(state) if settings.digest.enabled else None)
    lock = StateLock(state, HOLDER)
    try:
        fleet, is_settled = fleet_to_start(state, _say)
        if not is_settled:
            early.append(signal.SIGHUP)
        clock, unkept = trusted_clock(settings), Unkept(_say)
        make = partial(Node, state, socket, settings, signers, clock=clock, say=_say, unkept=unkept)
        return asyncio.run(_Service(state, fleet, make).run(early))
    finally:
        lock.close()


class _Service:
    """The node under the list in force, and after it one under a newer list.

    What trusts a list is made anew with it, from what is kept, as after a start: so no part can go on by the old one.
    """

    def __init__(self, state: Path, fleet: FleetList, make: Callable[[FleetList], Node]) -> None:
        self._state = state
        self._fleet = fleet
        self._make = make
        self._node = make(fleet)
        self._next: FleetList | None = None
        self._is_brought = False
        self._said = ""
        self._is_stopped = False
        self._reloading: asyncio.Task[None] | None = None

    async def run(self, early: list[int]) -> int:
        """Serve until a signal; return the exit status.

        Args:
            early: signals that came before; a list may have been brought that is not looked at yet.

        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGUSR1, self._ask_now)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        if early:
            self._reload()
        while True:
            try:
                await self._node.run()
            except NoAddressError as error:
                _say(f"{error}; it may be there at the next start")
                return EXIT_NO_ADDRESS
            if self._is_stopped or self._next is None:
                break
            self._fleet, self._next = self._next, None
            self._node = self._make(self._fleet)
            _say(f"fleet list {self._fleet.version} is in force")
        _say("stopped")
        return 0

    def _stop(self) -> None:
        self._is_stopped = True
        self._node.stop()

    def _ask_now(self) -> None:
        self._node.ask_now()

    def _reload(self) -> None:
        self._is_brought = True
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.create_task(self._read_lists())

    async def _read_lists(self) -> None:
        """Read what is brought, also while the one before is being read."""
        while self._is_brought:
            self._is_brought = False
            await self._read_list()

    async def _read_list(self) -> None:
        try:
            fleet = await asyncio.to_thread(fleet_in_force, self._state)
        except MeshError as error:
            _say(f"{error}; fleet list {self._fleet.version} stays in force")
            return
        except OSError as error:  # it cannot be kept, and a list counts from when it is
            if str(error) != self._said:
                _say(f"{error}; fleet list {self._fleet.version} stays in force until there is room for the newer one")
            self._said = str(error)
            asyncio.get_running_loop().call_later(AGAIN_S, self._reload)
            return
        self._said = ""
        if fleet.note == (self._next or self._fleet).note:
            _say(f"fleet list {fleet.version} is in force already")
            return
        self._next = fleet
        self._node.stop()


def trusted_clock(config: Config) -> Clock:
    """Return the clock that the configuration trusts."""
    if config.witness.clock == "operator":
        return lambda: int(time.time())
    clock = SystemClock()

    def read() -> int | None:
        utc_ns, _, quality, _ = clock.read()
        return utc_ns // NS if quality >= QUALITY_SYNCHRONISED else None

    return read


def _say(text: str) -> None:
    """A line for journald: state changes only."""
    sys.stderr.write(f"lineage mesh: {text}\n")
    sys.stderr.flush()
