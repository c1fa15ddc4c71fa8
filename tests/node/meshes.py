"""Real platforms for tests: a recorder and a mesh process each, every mesh in a network namespace of its own.

A bridge in one more namespace joins them; nothing outside these namespaces is reached.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from mesh.fleetlist import make_fleet_list
from mesh.node.founding import found
from recorder.client import Recorder
from recorder.core.kinds import Kind
from recorder.core.note import ED25519, VerifierKey
from recorder.daemon import identity
from tests.mesh.fleet import ROOT, ROOT_KEY
from tests.running import Running, make_state, wait_until

PORT = 7171
_NUMBERS = itertools.count()
_RUN = "import sys; from pathlib import Path; from mesh.node.run import run; sys.exit(run(Path(sys.argv[1]), Path(sys.argv[2])))"
_COMMAND = "from recorder.cli import main; main()"

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="network namespaces need root and ip(8)"
)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no network namespaces here: ip {' '.join(arguments)}: {done.stderr.strip()}")


@contextmanager
def networks(count: int) -> Iterator[list[str]]:
    """So many namespaces, with addresses 10.77.0.1 and up, on one bridge."""
    prefix = f"lineage-{os.getpid()}-{next(_NUMBERS)}"
    hub = f"{prefix}-hub"
    with ExitStack() as undo:

        def make(name: str) -> None:
            _ip("netns", "add", name)
            undo.callback(subprocess.run, ["ip", "netns", "del", name], check=False)

        make(hub)
        _ip("-n", hub, "link", "add", "bridge0", "type", "bridge")
        _ip("-n", hub, "link", "set", "bridge0", "up")
        names = [f"{prefix}-{at}" for at in range(count)]
        for at, name in enumerate(names):
            make(name)
            _ip("-n", hub, "link", "add", f"port{at}", "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("-n", hub, "link", "set", f"port{at}", "master", "bridge0", "up")
            _ip("-n", name, "address", "add", f"10.77.0.{at + 1}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        yield names


class Platform:
    """A recorder and its mesh; rounds are made when a test asks for one, never by themselves."""

    def __init__(self, directory: Path, at: int, network: str) -> None:
        self.name = f"arm-{at}"
        self.address = f"10.77.0.{at + 1}"
        self.network = network
        self.state = make_state(directory / self.name, append='["mark", "evidence"]', more="mesh = true")
        config = self.state / "recorder.toml"
        config.write_text(config.read_text().replace('"arm-7"', f'"{self.name}"'))
        self.mesh = directory / f"{self.name}-mesh"
        trust = f"root {ROOT_KEY}\nquorum none\n".encode()
        self.key = found(self.mesh, f"{self.name}.acme", [f"0.0.0.0:{PORT}"], trust)
        settings = self.mesh / "mesh.toml"
        settings.write_text(
            settings.read_text()
            .replace('clock = "kernel"', 'clock = "operator"')
            .replace("interval_s = 60.0", "interval_s = 3600.0")
            .replace("timeout_s = 10.0", "timeout_s = 5.0")
        )
        self.recorder: Running | None = None
        self.process: subprocess.Popen[str] | None = None
        self.rounds = 0

    @property
    def log_line(self) -> str:
        """Its line in a policy."""
        key = VerifierKey.derive(f"acme/{self.name}", ED25519, identity.load(self.state).public_key)
        return f"log {key}"

    def start_recorder(self) -> None:
        self.recorder = Running(self.state)

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
        )

    def await_mesh(self) -> None:
        """Wait until it listens and its first round is over: from then on rounds are those that a test asks for."""
        assert self.process is not None
        assert self.process.stderr is not None
        said = ""
        while "listening" not in said:
            line = self.process.stderr.readline()
            assert line, f"the mesh of {self.name} ended with {self.process.wait()}: {said}"
            said += line
        wait_until(lambda: self.status().get("rounds", 0))

    def stop_mesh(self) -> int:
        assert self.process is not None
        assert self.process.stderr is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
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
        with Recorder(self.state / "recorder.sock") as client:
            for _ in range(count):
                client.append(Kind.MARK, body={"label": "test"})

    def size(self) -> int:
        """Entries in the recorder's log."""
        with Recorder(self.state / "recorder.sock") as client:
            return next(client.subscribe()).first

    def round(self) -> dict[str, Any]:
        """Have a round made, and return the status after it."""
        assert self.process is not None
        before = self.status().get("rounds", 0)
        self.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: self.status().get("rounds", 0) > before)
        status = self.status()
        assert status["trouble"] is None, status["trouble"]
        return status


def peer_of(status: dict[str, Any], platform: Platform) -> dict[str, Any]:
    """What a status says of another platform as a witness."""
    return next(one for one in status["peers"] if one["name"] == platform.name)


@contextmanager
def fleet(directory: Path, count: int, needed: int) -> Iterator[list[Platform]]:
    """Platforms that run, each with a first round behind it; `needed` witnesses are a quorum."""
    with networks(count) as names, ExitStack() as undo:
        platforms = [Platform(directory, at, name) for at, name in enumerate(names)]
        policy = [one.log_line for one in platforms]
        policy += [f"witness {one.name} {one.key} http://{one.address}:{PORT}/" for one in platforms]
        policy += [f"group all {needed} {' '.join(one.name for one in platforms)}", "quorum all", ""]
        (directory / "fleet.trust").write_text("\n".join(policy))
        note = make_fleet_list("acme", 1, "\n".join(policy), ROOT_KEY.name, ROOT)
        for one in platforms:
            undo.callback(one.stop)
            (one.mesh / "fleet").write_bytes(note)
            one.begin_mesh()
        for one in platforms:
            one.start_recorder()
        for one in platforms:
            one.await_mesh()
        yield platforms


def ask(platform: Platform, program: str) -> str:
    """Run a program inside a platform's network; what it prints."""
    done = subprocess.run(
        ["ip", "netns", "exec", platform.network, sys.executable, "-c", program],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
