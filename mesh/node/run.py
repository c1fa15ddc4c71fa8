"""`lineage mesh run`: from a state directory to a process that serves, and back."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from mesh.node.config import Config, load
from mesh.node.desk import Clock
from mesh.node.fleetfile import fleet_in_force
from mesh.node.founding import HOLDER, mesh_key, witness_key
from mesh.node.node import Node, Signers
from mesh.node.places import CONFIG
from recorder.clock import QUALITY_SYNCHRONISED, SystemClock
from recorder.store.layout import StateLock

NS = 1_000_000_000


def run(state: Path, socket: Path, config: Path | None = None) -> int:
    """Serve until SIGTERM or SIGINT; SIGUSR1 begins a round at once.

    Returns:
        0 after a clean stop; 1 after a failed write, which a service manager answers by starting again.

    Raises:
        LineageError, OSError: it cannot start.

    """
    settings = load(config or state / CONFIG)
    signers = Signers(witness_key(state), mesh_key(state) if settings.digest.enabled else None)
    lock = StateLock(state, HOLDER)
    try:
        fleet = fleet_in_force(state)
        return asyncio.run(Node(state, socket, settings, signers, fleet, trusted_clock(settings), _say).run())
    finally:
        lock.close()


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
