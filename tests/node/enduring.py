"""Two platforms that a test does harm to, and the load they are under: thieves with two histories, commits that ask."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from mesh.fleetlist import make_fleet_list
from mesh.node.places import STANDINGS
from mesh.node.standings import StandingFiles
from mesh.standing import Standing
from recorder.client import Cycle, NotRecorded, Recorder, Refused, Unavailable
from recorder.core.merkle import root_of
from recorder.store.statusfile import STATUS
from tests.claims import WHAT, WHO, WHY
from tests.faults.clocks import Offsets
from tests.faults.mounted import Mounted
from tests.mesh.fleet import ROOT, ROOT_KEY
from tests.node import twofaced
from tests.node.meshes import Platform, checked, peer_of
from tests.node.scenarios.world import leaves_of, standings_of

WITHIN_MS = 3_000
SLACK_S = 2.0  # between two processes on a busy machine


class OnDevice(Platform):
    """One whose mesh has its state on a device; a test reads it beside that, which neither waits nor disturbs."""

    device: Mounted | None = None

    def move(self, device: Mounted) -> None:
        """Have it there from the first start on."""
        self.mesh = Path(shutil.move(self.mesh, device.path / "mesh"))
        self.device = device

    def status(self) -> dict[str, Any]:
        assert self.device is not None
        with suppress(FileNotFoundError):
            status: dict[str, Any] = json.loads((self.device.backing / "mesh" / STATUS).read_text())
            return status
        return {}

    def standings(self) -> dict[str, Standing]:
        """What it holds durably."""
        assert self.device is not None
        return dict(StandingFiles(self.device.backing / "mesh" / STANDINGS).all())


class Pair:
    """Two platforms that cosign each other: the state of the first lies on a device, the second has a clock of its own."""

    def __init__(self, base: Path, names: list[str], undo: ExitStack) -> None:
        self.first, self.second = OnDevice(base, 0, names[0], 3.0), Platform(base, 1, names[1], 3.0)
        self.platforms: list[Platform] = [self.first, self.second]
        self.outside = names[2]
        self.version = 0
        self.device = undo.enter_context(Mounted(base))
        self.first.move(self.device)
        self.clock = Offsets(base)
        self.clock.jump(is_synchronised=True)
        self.second.environment |= self.clock.environment
        self.second.configure("witness", clock='"kernel"')
        for one in self.platforms:
            undo.callback(one.stop)
        self.bring()

    def bring(self) -> None:
        """Give both a list that is newer, and the same but for that."""
        self.version += 1
        lines = [f"mesh {one.keys.mesh}" for one in self.platforms]
        policy = [one.log_line for one in self.platforms]
        policy += [f"witness {one.name} {one.keys.witness} {one.url}" for one in self.platforms]
        policy += [f"group all 1 {' '.join(one.name for one in self.platforms)}", "quorum all", ""]
        text = "\n".join([*lines, *twofaced.lines(), *policy])
        note = make_fleet_list("acme", self.version, text, ROOT_KEY.name, ROOT)
        for one in self.platforms:
            (one.state.parent / "fleet.trust").write_text("\n".join(policy))
            (one.mesh / "fleet").write_bytes(note)

    def is_in_force(self) -> bool:
        """Whether both have the list that was brought last, and a round behind them."""
        return all(
            (status := one.status()).get("fleet", {}).get("version") == self.version and status["rounds"]
            for one in self.platforms
        )

    def asks(self) -> str:
        """Have the second one's head cosigned by the first one; what came of it."""
        return last_of(self.second, self.first)

    def held_by(self, one: Platform) -> dict[str, Standing]:
        """What one of them holds durably, by line."""
        return self.first.standings() if one is self.first else standings_of(one)

    def are_consistent(self) -> None:
        """What each holds of the other is a head of what that one truly has; and both lineages verify."""
        for holder, held in ((self.first, self.second), (self.second, self.first)):
            head = self.held_by(holder)[f"acme/{held.name}"].head
            assert head.root == root_of(leaves_of(held)[: head.size])
            report = checked(held)
            assert (report.integrity, report.witnessing) == ("pass", "pass"), report


def last_of(log: Platform, witness: Platform) -> str:
    """What came of a round in which there was something to cosign."""
    log.mark()
    return str(peer_of(log.round(), witness)["last"])


class Said:
    """The lines that a process says from now on, read beside the test."""

    def __init__(self, platform: Platform) -> None:
        assert platform.process is not None
        assert platform.process.stderr is not None
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self.lines.extend, args=(platform.process.stderr,), daemon=True)
        self._thread.start()

    def count(self, text: str) -> int:
        """How many lines have this in them."""
        return sum(text in one for one in list(self.lines))


class Controller:
    """Commits without a pause, each of which asks for a witness, until it is left."""

    def __init__(self, platform: Platform) -> None:
        self.wrong: list[str] = []
        self.commits = self.met = 0
        self._socket = platform.state / "recorder.sock"
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with Recorder(self._socket, timeout_ms=60_000) as client:
            while not self._end.is_set():
                try:
                    with client.open_cycle(
                        who=WHO, why=WHY, actuators=["arm"], action_classes=["motion"], valid_ms=60_000
                    ) as cycle:
                        self._commit(client, cycle)
                except (Unavailable, NotRecorded, Refused) as error:
                    self.wrong.append(repr(error))

    def _commit(self, client: Recorder, cycle: Cycle) -> None:
        receipt = cycle.commit("arm", what=WHAT, witnesses=1, within_ms=WITHIN_MS)
        begun_s = time.monotonic()
        found = client.witnessed(receipt, wait_ms=WITHIN_MS)
        took_s = time.monotonic() - begun_s
        self.commits += 1
        self.met += found.is_met
        if took_s > WITHIN_MS / 1_000 + SLACK_S:
            self.wrong.append(f"{receipt.entry_id} was answered after {took_s:.1f} s")
        self._end.wait(0.02)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(60)

    def __str__(self) -> str:
        return f"{self.met} of {self.commits} commits were witnessed in time"


@contextmanager
def two_faces(pair: Pair) -> Iterator[dict[tuple[str, int], dict[int, int]]]:
    """Thieves ask both; by witness and log, which history has which size that was cosigned, once they have ended."""
    given: defaultdict[tuple[str, int], dict[int, int]] = defaultdict(dict)
    urls = [one.url for one in pair.platforms]
    command = ["ip", "netns", "exec", pair.outside, sys.executable, "-m", "tests.node.twofaced", "1", *urls]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as thieves:
        assert thieves.stdout is not None
        lines: list[str] = [thieves.stdout.readline()]
        reader = threading.Thread(target=lines.extend, args=(thieves.stdout,))
        reader.start()
        yield given
        assert thieves.stdin is not None
        thieves.stdin.close()
        reader.join(60)
        assert thieves.wait(60) == 0
    for url, log, size, face in map(json.loads, lines):
        given[url, log][size] = face
