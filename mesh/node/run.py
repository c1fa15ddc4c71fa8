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
from mesh.node.fleetfile import fleet_at_start, fleet_in_force
from mesh.node.founding import HOLDER, mesh_key, witness_key
from mesh.node.node import EXIT_OK, Node, Signers
from mesh.node.places import CONFIG, MeshError
from recorder.clock import QUALITY_SYNCHRONISED, SystemClock
from recorder.store.layout import StateLock

NS = 1_000_000_000


def run(state: Path, socket: Path, config: Path | None = None) -> int:
    """Serve until SIGTERM or SIGINT; SIGUSR1 begins a round at once, SIGHUP reads the fleet list anew.

    Returns:
        0 after a clean stop; 1 after a failed write, which a service manager answers by starting again.

    Raises:
        LineageError, OSError: it cannot start.

    """
    settings = load(config or state / CONFIG)
    signers = Signers(witness_key(state), mesh_key(state) if settings.digest.enabled else None)
    lock = StateLock(state, HOLDER)
    try:
        fleet = fleet_at_start(state, _say)
        make = partial(Node, state, socket, settings, signers, clock=trusted_clock(settings), say=_say)
        return asyncio.run(_Service(state, fleet, make).run())
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
        self._is_stopped = False
        self._reloading: asyncio.Task[None] | None = None

    async def run(self) -> int:
        """Serve until a signal, a failed write or a fault; return the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGUSR1, self._ask_now)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        while True:
            status = await self._node.run()
            if self._is_stopped or self._next is None or status != EXIT_OK:
                break
            self._fleet, self._next = self._next, None
            self._node = self._make(self._fleet)
            _say(f"fleet list {self._fleet.version} is in force")
        if status == EXIT_OK:
            _say("stopped")
        return status

    def _stop(self) -> None:
        self._is_stopped = True
        self._node.stop()

    def _ask_now(self) -> None:
        self._node.ask_now()

    def _reload(self) -> None:
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.create_task(self._read_list())

    async def _read_list(self) -> None:
        try:
            fleet = await asyncio.to_thread(fleet_in_force, self._state)
        except (MeshError, OSError) as error:
            _say(f"{error}; fleet list {self._fleet.version} stays in force")
            return
        if fleet.note == self._fleet.note:
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
