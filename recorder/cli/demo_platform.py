"""A platform of `lineage demo --mesh`: a recorder and a mesh, each a process of its own, on this machine's loopback."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from mesh.fleetlist import make_fleet_list
from mesh.node import founding
from mesh.node.places import COMMAND
from mesh.node.places import CONFIG as MESH_CONFIG
from mesh.node.places import FLEET as FLEET_FILE
from recorder.authority.directory import Authority
from recorder.bench.process import RecorderProcess, short_socket
from recorder.cli import demo_process
from recorder.client import Recorder
from recorder.core.errors import LineageError
from recorder.core.kinds import Kind
from recorder.core.note import VerifierKey
from recorder.daemon.founding import Answers, found
from recorder.store.layout import CONFIG
from recorder.store.statusfile import StatusError, read_status

FLEET = "demo"
SEGMENT_MIB = 16
WAIT_S = 30.0
POLL_S = 0.02
WORK_S = 0.5
RECORDER, MESH, RECORDER_LOG, MESH_LOG = "state", "mesh", "recorder.log", "mesh.log"
# What differs from `lineage mesh init`: there is one machine with one port of UDP, so no digests and no mDNS; what
# else takes a minute is told in half of one; and the clock is this machine's, synchronised or not.
_CONFIG = """\
[witness]
listen = ["127.0.0.1:{port}"]
clock = "operator"
[submit]
interval_s = 0.5
timeout_s = 5.0
[discovery]
enabled = false
peers = [{peers}]
[digest]
enabled = false
[archive]
interval_s = 1.0
save_s = 1.0
[limits]
per_address = 64
"""
_PERMISSION = """
[[controller]]
uids = [{uid}]
append = ["evidence", "observation"]
read = true
mesh = true
"""


class MeshDemoError(LineageError):
    """The story cannot be told here; the message says what did not come about."""


class Place(NamedTuple):
    """Where a platform lies, and who it is."""

    name: str
    operator: str
    root: Path
    port: int
    log_key: VerifierKey
    keys: founding.Keys

    @property
    def state(self) -> Path:
        """Of its recorder."""
        return self.root / RECORDER

    @property
    def mesh(self) -> Path:
        """Of its mesh process."""
        return self.root / MESH

    @property
    def url(self) -> str:
        """Where its mesh answers."""
        return f"http://127.0.0.1:{self.port}/"


class Platform:
    """The processes of one; they end with `undo`."""

    def __init__(self, place: Place, undo: ExitStack) -> None:
        """Prepare; nothing runs yet."""
        self.place = place
        self.socket = undo.enter_context(short_socket(place.state))
        self._undo = undo
        self._recorder: RecorderProcess | None = None
        self._mesh = undo.enter_context(ExitStack())

    def start_recorder(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            ProcessError: it does not start.

        """
        process = RecorderProcess(self.place.state, self.socket, self.place.root / RECORDER_LOG)
        self._recorder = self._undo.enter_context(process)
        process.start()

    def stop_recorder(self) -> None:
        """End it as a service is ended."""
        if self._recorder is not None:
            self._recorder.stop()

    def begin_mesh(self, peers: Sequence[str] = ()) -> None:
        """Start it without waiting; `peers` are addresses to try beside those of the fleet list."""
        listed = ", ".join(f'"{one}"' for one in peers)
        (self.place.mesh / MESH_CONFIG).write_text(_CONFIG.format(port=self.place.port, peers=listed))
        arguments = ("mesh", "run", "--state", self.place.mesh, "--socket", self.socket)
        self._mesh.enter_context(demo_process.running(self.place.root / MESH_LOG, *arguments))

    def stop_mesh(self) -> None:
        """End it as a service is ended."""
        self._mesh.close()

    def destroy(self) -> None:
        """Take all of it away: processes, store and keys."""
        self.stop_mesh()
        if self._recorder is not None:
            self._recorder.kill()
        shutil.rmtree(self.place.root)

    def status(self) -> dict[str, Any]:
        """What its mesh last wrote; nothing before that."""
        try:
            return read_status(self.place.mesh, COMMAND)
        except StatusError:
            return {}

    def record(self, label: str, count: int = 1) -> int:
        """Append as many marks; the seq of the last."""
        seq: int | None = None
        with Recorder(self.socket, client_name="demo mesh") as client:
            for _ in range(count):
                seq = client.append(Kind.MARK, body={"label": label}).seq
        assert seq is not None, "an append is durable when it returns"
        return seq

    def origin(self) -> str:
        """Of the incarnation in force."""
        with Recorder(self.socket, client_name="demo mesh") as client:
            return client.hello.origin

    def await_status(self, is_so: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        """Wait until the mesh says it.

        Raises:
            MeshDemoError: it does not in time.

        """
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            found = self.status()
            if found and is_so(found):
                return found
            time.sleep(POLL_S)
        raise self._missed(what)

    def work_until_cosigned(self, by: int, label: str = "at work", count: int = 1) -> dict[str, Any]:
        """Record, and go on recording now and then until so many have cosigned a head that covers the first of it.

        Raises:
            MeshDemoError: they have not in time.

        """
        until = time.monotonic() + WAIT_S
        origin, seq = self.origin(), self.record(label, count)
        while True:
            latest = self.status().get("latest")
            if latest and latest["origin"] == origin and latest["size"] > seq and latest["cosigned"] >= by:
                return dict(latest)
            if time.monotonic() > until:
                raise self._missed(f"a round in which {by} cosigned entry {seq}")
            time.sleep(WORK_S)
            self.record(label)  # a witness that was away is asked again with what is new

    def _missed(self, what: str) -> MeshDemoError:
        log = self.place.root / MESH_LOG
        return MeshDemoError(f"{self.place.name}: {what} did not come about in {WAIT_S:.0f} s; {log} has its words")


def found_platform(root: Path, name: str, operator: str, authority: Authority) -> Place:
    """Make the directories of a recorder and of a mesh."""
    root.mkdir(parents=True)
    answers = Answers(FLEET, name, "hold", [os.getuid()], ["arm"], SEGMENT_MIB)
    log_key = found(root / RECORDER, answers)
    with (root / RECORDER / CONFIG).open("a", encoding="utf-8") as file:
        file.write(_PERMISSION.format(uid=os.getuid()))
    port = free_port()
    trust = f"root {authority.matrix.root}\nquorum none\n".encode()
    keys = founding.found(root / MESH, f"{name}.{FLEET}", [f"127.0.0.1:{port}"], trust)
    return Place(name, operator, root, port, log_key, keys)


def free_port() -> int:
    """A port of TCP that nobody has just now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def spread_list(places: Sequence[Place], authority: Authority, trust: Path) -> None:
    """Sign the fleet list and give it to all; what a verifier trusts goes to `trust`.

    Two operators, and one witness of each is a quorum.
    """
    operators: dict[str, list[str]] = {}
    for one in places:
        operators.setdefault(one.operator, []).append(one.name)
    lines = [f"log {one.log_key}" for one in places]
    lines += [f"witness {one.name} {one.keys.witness} {one.url}" for one in places]
    lines += [f"group {name} any {' '.join(members)}" for name, members in operators.items()]
    lines += [f"group both all {' '.join(operators)}", "quorum both", ""]
    policy = "\n".join(lines)
    trust.write_text(policy)
    mesh_keys = [f"mesh {one.keys.mesh}" for one in places]
    root = authority.matrix.root.name
    note = make_fleet_list(FLEET, 1, "\n".join([*mesh_keys, policy]), root, authority.root_signer())
    for one in places:
        (one.mesh / FLEET_FILE).write_bytes(note)
