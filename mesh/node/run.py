"""`lineage mesh run`: from a state directory to a witness that answers and a loop that submits, and back."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from mesh.exchange import OK, TEXT_TYPE, Answer, refused
from mesh.fleetlist import FleetList
from mesh.node.atonce import AtOnce
from mesh.node.config import Config, load
from mesh.node.desk import Clock, WitnessDesk
from mesh.node.fleetfile import fleet_in_force
from mesh.node.forkfiles import count_forks
from mesh.node.founding import HOLDER, witness_key
from mesh.node.ownlog import CLIENT, OwnLog
from mesh.node.places import CONFIG, FORKS, LOGS, STANDINGS, DamagedError, StoreFailedError
from mesh.node.pushes import Pushes
from mesh.node.rounds import Rounds
from mesh.node.server import HttpServer
from mesh.node.standings import StandingFiles
from mesh.node.status import write_status
from mesh.standing import Standing
from mesh.witness import Cosigner
from recorder.clock import QUALITY_SYNCHRONISED, SystemClock
from recorder.core.errors import FormatError, Misuse
from recorder.core.keys import SeedSigner
from recorder.core.tiles import parse_tile_path
from recorder.store.layout import StateLock

EXIT_OK, EXIT_FAILED = 0, 1
NS = 1_000_000_000
STATUS_EVERY_S = 1.0
_LOG_PATH = re.compile(r"/log/(?P<origin>.+)/(?P<what>checkpoint|tile/.+)")
_BINARY = "application/octet-stream"


def run(state: Path, socket: Path, config: Path | None = None) -> int:
    """Serve until SIGTERM or SIGINT; SIGUSR1 begins a round at once.

    Returns:
        0 after a clean stop; 1 after a failed write, which a service manager answers by starting again.

    Raises:
        LineageError, OSError: it cannot start.

    """
    settings = load(config or state / CONFIG)
    signer = witness_key(state)
    lock = StateLock(state, HOLDER)
    try:
        fleet = fleet_in_force(state)
        return asyncio.run(_Node(state, socket, settings, signer, fleet).run())
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


class _Node:
    """The process: the two sides, and who is answered by which."""

    def __init__(self, state: Path, socket: Path, config: Config, signer: SeedSigner, fleet: FleetList) -> None:
        self._state = state
        self._config = config
        self._fleet = fleet
        key = next((one for one in fleet.trust.witnesses.values() if one.public_key == signer.public_key), None)
        if key is None:
            _say("the fleet list does not name this witness key: it submits, and cosigns for nobody")
        cosigner = None if key is None else Cosigner(key.name, signer)
        self._clock = trusted_clock(config)
        store = StandingFiles(state / STANDINGS)
        self._desk = WitnessDesk(fleet, store, state / FORKS, cosigner, self._clock, _say)
        self._desk_thread = ThreadPoolExecutor(1, "witness")
        self._socket = socket
        self._own = OwnLog(socket, state / LOGS, fleet, _say)
        self._key = key
        self._stop = asyncio.Event()
        self._changed = asyncio.Event()
        self._failed: StoreFailedError | None = None

    async def run(self) -> int:
        self._rounds = Rounds(self._own, self._fleet, self._key, self._config.submit, _say)
        self._at_once = AtOnce(self._rounds, self._config.submit.timeout_s, _say)
        self._pushes = Pushes(self._socket, CLIENT, _say)
        self._pushes.add(self._own.hear)
        self._pushes.add(self._at_once.hear)
        self._server = HttpServer(self._config.limits, self._respond)
        await self._server.listen(self._config.witness.listen)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGUSR1, self._rounds.ask_now)
        _say(f"listening on {', '.join(self._config.witness.listen)}, {len(self._rounds.witnesses)} witnesses to ask")
        self._name()
        running = (self._rounds.run(self._after_round), self._write_often(), self._pushes.run(), self._at_once.run())
        tasks = [asyncio.create_task(one) for one in running]
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, stopped):
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.close()
        await self._rounds.close()
        self._desk_thread.shutdown()
        for one in ended:
            if isinstance(one, Exception):
                raise one
        if self._failed is not None:
            _say(f"{self._failed}; what is held is read back at the next start")
            return EXIT_FAILED
        _say("stopped")
        return EXIT_OK

    def _after_round(self) -> None:
        self._name()
        self._changed.set()

    def _name(self) -> None:
        """Say who may be asked to witness."""
        self._pushes.name(*self._rounds.named())

    async def _respond(self, method: str, path: str, body: bytes) -> Answer:
        """Answer one request, each on the thread that what it needs belongs to."""
        try:
            if method == "POST":
                judge = self._desk.add_checkpoint if path == "/add-checkpoint" else self._desk.add_incarnation
                return await self._aside(judge, body)
            if path == "/held":
                return await self._aside(self._desk.held)
            if path == "/fleet":
                return Answer(OK, TEXT_TYPE, self._fleet.note)
            if found := _LOG_PATH.fullmatch(path):
                return await self._of_log(found["origin"], found["what"])
        except StoreFailedError as error:
            self._failed = error
            self._stop.set()
            return refused(500, FormatError("witness_failed", "a write failed here; nothing is answered any more"))
        return refused(404, FormatError("path_unknown", f"no {method} {path[:200]!r} here"))

    async def _of_log(self, origin: str, what: str) -> Answer:
        latest = self._rounds.latest
        if latest is None or latest.origin != origin:
            if what == "checkpoint":
                return await self._aside(self._desk.checkpoint, origin)
            return refused(404, FormatError("origin_unknown", f"no tiles of {origin[:200]!r} here"))
        if what == "checkpoint":
            if self._rounds.note is None:
                return refused(404, FormatError("origin_unknown", "nobody has cosigned this log yet"))
            return Answer(OK, TEXT_TYPE, self._rounds.note)
        try:
            level, index, width = parse_tile_path(what)
            hashes = await self._rounds.aside(self._own.tree(origin).tile, level, index, width)
        except (FormatError, Misuse, DamagedError) as error:
            return refused(404, FormatError("tile_unknown", str(error)))
        return Answer(OK, _BINARY, hashes)

    async def _aside(self, call: Any, *arguments: Any) -> Answer:  # noqa: ANN401 -- what answers, and what it takes
        answer: Answer = await asyncio.get_running_loop().run_in_executor(self._desk_thread, call, *arguments)
        return answer

    async def _write_often(self) -> None:
        written: dict[str, Any] | None = None
        while True:
            standings = await asyncio.get_running_loop().run_in_executor(self._desk_thread, self._desk.standings)
            status = self._status(standings)
            if status != written:  # a card wears by writing
                write_status(self._state, {**status, "utc_s": int(time.time())})
                written = status
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(STATUS_EVERY_S):
                    await self._changed.wait()

    def _status(self, standings: list[tuple[str, Standing]]) -> dict[str, Any]:
        rounds = self._rounds
        return {
            "listen": self._config.witness.listen,
            "fleet": {"name": self._fleet.fleet, "version": self._fleet.version},
            "witness": None if self._key is None else self._key.name,
            "clock_trusted": self._clock() is not None,
            "trouble": rounds.trouble,
            "rounds": rounds.count,
            "at_once": {
                "rounds": self._at_once.count,
                "cosigned": self._at_once.cosigned,
                "trouble": self._at_once.trouble or self._pushes.trouble,
            },
            "latest": None if rounds.latest is None else rounds.latest._asdict(),
            "peers": [
                {
                    "name": one.name,
                    "url": one.url,
                    "last": one.last,
                    "cosigned": one.cosigned,
                    "failures": one.failures,
                    "forgot": one.forgot,
                }
                for one in rounds.witnesses
            ],
            "held": [
                {"line": line, "origin": one.head.origin, "size": one.head.size, "retired": len(one.retired)}
                for line, one in standings
            ],
            "answers": {str(status): count for status, count in sorted(self._desk.answers.items())},
            "connections": {
                "open": self._server.doors.open.total(),
                "turned_away": self._server.doors.turned_away,
            },
            "forks": count_forks(self._state / FORKS),
        }


def _say(text: str) -> None:
    """A line for journald: state changes only."""
    sys.stderr.write(f"lineage mesh: {text}\n")
    sys.stderr.flush()
