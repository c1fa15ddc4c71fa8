"""Real platforms for tests: a recorder and a mesh process each, every mesh in a network namespace of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from mesh.fleetlist import make_fleet_list
from mesh.node.founding import found
from recorder.audit.check import check_source
from recorder.audit.opening import open_source
from recorder.client import Recorder
from recorder.core.kinds import Kind
from recorder.core.note import ED25519, VerifierKey
from recorder.core.trust import parse_trust
from recorder.core.verdict import Report
from recorder.daemon import identity
from tests.mesh.fleet import ROOT, ROOT_KEY
from tests.node.networks import address_of, networks
from tests.running import Running, make_state, wait_until

PORT = 7171
ROUND_S = 300.0
PATIENT_S = 60.0  # for an answer: who is not there refuses at once, and a machine with other work takes its time
AT_A_TIME = 8  # processes that start, or make a round: more would only wait for the cores
_RUN = "import sys; from pathlib import Path; from mesh.node.run import run; sys.exit(run(Path(sys.argv[1]), Path(sys.argv[2])))"
_COMMAND = "from recorder.cli import main; main()"

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="network namespaces need root and ip(8)"
)


class Platform:
    """A recorder and its mesh; rounds are made when a test asks for one, never by themselves."""

    def __init__(
        self, directory: Path, at: int, network: str, timeout_s: float = PATIENT_S, listen: str = "0.0.0.0"
    ) -> None:
        self.at = at
        self.name = f"arm-{at}"
        self.address = address_of(at)
        self.network = network
        self.state = make_state(directory / self.name, append='["mark", "evidence", "observation"]', more="mesh = true")
        config = self.state / "recorder.toml"
        config.write_text(config.read_text().replace('"arm-7"', f'"{self.name}"'))
        self.mesh = directory / f"{self.name}-mesh"
        trust = f"root {ROOT_KEY}\nquorum none\n".encode()
        self.keys = found(self.mesh, f"{self.name}.acme", [f"{listen}:{PORT}"], trust)
        self.configure("witness", clock='"operator"')
        self.configure("submit", interval_s=3600.0, timeout_s=timeout_s, learn_s=timeout_s)
        self.configure("digest", interval_s=0.2)
        self.environment: dict[str, str] = {}  # of both processes, beside ours
        self.recorder: Running | None = None
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where its mesh answers."""
        return f"http://{self.address}:{PORT}/"

    @property
    def log_line(self) -> str:
        """Its line in a policy."""
        key = VerifierKey.derive(f"acme/{self.name}", ED25519, identity.load(self.state).public_key)
        return f"log {key}"

    def configure(self, section: str, **values: object) -> None:
        """Set keys of a section of mesh.toml, in TOML's spelling."""
        settings = self.mesh / "mesh.toml"
        before, head, text = settings.read_text().partition(f"[{section}]\n")
        text, bracket, after = text.partition("\n[")
        for key, value in values.items():
            text, found = re.subn(rf"^{key} = [^#\n]*", f"{key} = {value}  ", text, flags=re.MULTILINE)
            assert found == 1, f"{key} stands {found} times in [{section}] of {settings}"
        settings.write_text(before + head + text + bracket + after)

    def start_recorder(self) -> None:
        self.recorder = Running(self.state, env=self.environment)

    def stop_recorder(self, *, kill: bool = False) -> None:
        assert self.recorder is not None
        with self.recorder as running:
            if kill:
                running.kill()
            else:
                running.stop()
        self.recorder = None

    def begin_mesh(self, *, by_command: bool = False) -> None:
        """Start the process without waiting for it; by the command `lineage`, or without its imports."""
        (self.mesh / "status.json").unlink(missing_ok=True)  # of the process before
        mesh, socket = str(self.mesh), str(self.state / "recorder.sock")
        program = [_RUN, mesh, socket]
        if by_command:
            program = [_COMMAND, "mesh", "run", "--state", mesh, "--socket", socket]
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.network, sys.executable, "-c", *program],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.environment},
        )

    def await_listening(self) -> None:
        """Wait until it listens."""
        assert self.process is not None
        assert self.process.stderr is not None
        said = ""
        while "listening" not in said:
            line = self.process.stderr.readline()
            assert line, f"the mesh of {self.name} ended with {self.process.wait()}: {said}"
            said += line

    def await_mesh(self) -> None:
        """Wait until it listens and its first round is over: from then on rounds are those that a test asks for."""
        self.await_listening()
        wait_until(lambda: self.status().get("rounds", 0), ROUND_S)

    def stop_mesh(self) -> int:
        assert self.process is not None
        assert self.process.stderr is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(240)
        self.process.stderr.close()
        self.process = None
        return status

    def stop(self) -> None:
        """Whatever still runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stderr is not None
            self.process.stderr.close()
        if self.recorder is not None:
            self.recorder.__exit__()

    def status(self) -> dict[str, Any]:
        with suppress(FileNotFoundError):
            status: dict[str, Any] = json.loads((self.mesh / "status.json").read_text())
            return status
        return {}

    def mark(self, count: int = 1) -> None:
        """Record something."""
        with Recorder(self.state / "recorder.sock", timeout_ms=60_000) as client:
            for _ in range(count):
                client.append(Kind.MARK, body={"label": "test"})

    def size(self) -> int:
        """Entries in the recorder's log."""
        with Recorder(self.state / "recorder.sock", timeout_ms=60_000) as client:
            return next(client.subscribe()).first

    def round(self) -> dict[str, Any]:
        """Have a round made, and return the status after it."""
        return rounds([self])[0]


def rounds(platforms: Sequence[Platform]) -> list[dict[str, Any]]:
    """Have all these make a round, a few at the same time; the status of each after it.

    One that was under way does not count: it had read its log before.
    """
    after = []
    for at in range(0, len(platforms), AT_A_TIME):
        wave = platforms[at : at + AT_A_TIME]
        before = [one.status().get("rounds_by_hand", 0) for one in wave]
        for one in wave:
            assert one.process is not None
            one.process.send_signal(signal.SIGUSR1)
        for one, count in zip(wave, before, strict=True):
            wait_until(lambda one=one, count=count: one.status().get("rounds_by_hand", 0) > count, ROUND_S)
            after.append(one.status())
            assert after[-1]["trouble"] is None, after[-1]["trouble"]
    return after


def await_pushes(platforms: Sequence[Platform]) -> None:
    """Wait until each recorder has its mesh as a subscriber, which says on that connection whom it may ask."""
    for one in platforms:
        wait_until(lambda one=one: one.status()["pushes_trouble"] is None)


def checked(platform: Platform) -> Report:
    """Verification of a running recorder's lineage under the fleet's trust file."""
    trust = parse_trust((platform.state.parent / "fleet.trust").read_bytes())
    source = open_source(platform.state)
    try:
        return check_source(source, trust=trust, workers=1)
    finally:
        source.close()


def peer_of(status: dict[str, Any], platform: Platform) -> dict[str, Any]:
    """What a status says of another platform as a witness."""
    return next(one for one in status["peers"] if one["name"] == platform.name)


def write_list(platforms: Sequence[Platform], needed: int, *, has_urls: bool = True) -> None:
    """Give all of them the list of all of them; `needed` witnesses are a quorum."""
    policy = [one.log_line for one in platforms]
    policy += [f"witness {one.name} {one.keys.witness}{' ' * has_urls}{one.url * has_urls}" for one in platforms]
    policy += [f"group all {needed} {' '.join(one.name for one in platforms)}", "quorum all", ""]
    keys = [f"mesh {one.keys.mesh}" for one in platforms]
    note = make_fleet_list("acme", 1, "\n".join([*keys, *policy]), ROOT_KEY.name, ROOT)
    for one in platforms:
        (one.state.parent / "fleet.trust").write_text("\n".join(policy))
        (one.mesh / "fleet").write_bytes(note)


def start(platforms: Sequence[Platform]) -> None:
    """Start them, a few at a time, and wait until each has a first round behind it."""
    for at in range(0, len(platforms), AT_A_TIME):
        wave = platforms[at : at + AT_A_TIME]
        for one in wave:
            one.begin_mesh()
        for one in wave:
            one.await_listening()
    with ThreadPoolExecutor(AT_A_TIME) as several:
        list(several.map(Platform.start_recorder, platforms))
    for one in platforms:
        wait_until(lambda one=one: one.status().get("rounds", 0), ROUND_S)  # it found no recorder yet, or it did
    rounds(platforms)


@contextmanager
def fleet(
    directory: Path, count: int, needed: int, *, family: int = 4, has_urls: bool = True, settings: str = ""
) -> Iterator[list[Platform]]:
    """Platforms that run on a bridge, each with a first round behind it; `needed` witnesses are a quorum.

    `family` is 4 or 6, without URLs the list names no address, and `settings` replaces the sections of mesh.toml about
    discovery and digests, with {peers} for the URLs of all.
    """
    listen = "0.0.0.0" if family == 4 else "[::]"
    with networks(count, family) as names, ExitStack() as undo:
        platforms = [Platform(directory, at, name, listen=listen) for at, name in enumerate(names)]
        for one in platforms if settings else ():
            peers = ", ".join(f'"{other.url}"' for other in platforms if other is not one)
            text = (one.mesh / "mesh.toml").read_text()
            before, _, rest = text.partition("[discovery]")
            (one.mesh / "mesh.toml").write_text(
                before + settings.format(peers=peers) + "\n[archive]" + rest.partition("[archive]")[2]
            )
        for one in platforms:
            one.configure("limits", request_s=PATIENT_S)
            undo.callback(one.stop)
        write_list(platforms, needed, has_urls=has_urls)
        start(platforms)
        yield platforms


def ask(platform: Platform, program: str) -> str:
    """Run a program inside a platform's network; what it prints."""
    done = subprocess.run(
        ["ip", "netns", "exec", platform.network, sys.executable, "-c", program],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
