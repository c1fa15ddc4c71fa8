"""Recorder and mesh are apart: no network socket in the one, no file of the store in the other."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.client import Recorder
from tests.claims import WHAT, WHO, WHY
from tests.node.meshes import Platform, await_pushes, fleet, needs_namespaces, rounds
from tests.node.watching import opened_below
from tests.running import lineage_of, wait_until

pytestmark = needs_namespaces


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Platform]]:
    with fleet(tmp_path_factory.mktemp("apart"), 2, needed=1) as platforms:
        await_pushes(platforms)
        yield platforms


def pids(platform: Platform) -> tuple[int, int]:
    """Of recorder and mesh."""
    assert platform.recorder is not None
    assert platform.process is not None
    return platform.recorder.process.pid, platform.process.pid


def descriptors(pid: int) -> set[str]:
    """What a process has open, as its links say."""
    return {str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir()}


def sockets(pid: int) -> set[int]:
    """Inodes of a process's sockets."""
    return {int(found[1]) for link in descriptors(pid) if (found := re.fullmatch(r"socket:\[(\d+)\]", link))}


def unix_sockets(pid: int) -> set[int]:
    """Inodes of all sockets of AF_UNIX in its network namespace."""
    return {int(line.split()[6]) for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]}


def worked(platforms: list[Platform]) -> None:
    """Have them do all that a mesh asks of its recorder."""
    one, _ = platforms
    one.mark(30)
    with Recorder(one.state / "recorder.sock", timeout_ms=60_000) as client:
        cycle = client.open_cycle(who=WHO, why=WHY, actuators=["arm"], action_classes=["motion"], valid_ms=60_000)
        receipt = cycle.commit("arm", what=WHAT, witnesses=1, within_ms=60_000)
        assert client.witnessed(receipt, wait_ms=60_000).is_met
    rounds(platforms)


def test_the_mesh_opens_nothing_of_the_store(two: list[Platform]) -> None:
    """Not for a moment, whatever it does: it asks by the socket.  Who does open something is seen."""
    one = two[0]
    recorder, mesh = pids(one)
    segment = next(path for path in sorted((lineage_of(one.state) / "segments").rglob("*")) if path.is_file())
    with opened_below(one.state) as opened:
        worked(two)
        reader = subprocess.Popen(["cat", str(segment)], stdout=subprocess.DEVNULL)
        assert reader.wait() == 0
        seen = opened.seen()
    assert (reader.pid, str(segment)) in seen
    assert {path for pid, path in seen if pid == mesh} == set()
    assert {pid for pid, _ in seen} <= {recorder, reader.pid, os.getpid()}
    inside = re.compile(re.escape(f"{one.state}/"))
    assert not [link for link in descriptors(mesh) if inside.search(link)]
    assert not inside.search(Path(f"/proc/{mesh}/maps").read_text())
    assert inside.search(Path(f"/proc/{recorder}/maps").read_text()), "the one that has it mapped"


def test_the_recorder_has_no_network_socket(two: list[Platform]) -> None:
    """Each of its sockets is one of AF_UNIX; the mesh has others, which are seen."""
    recorder, mesh = pids(two[0])
    # What a mesh's connection is accepted as belongs to the namespace of that mesh.
    unix = unix_sockets(recorder) | unix_sockets(mesh)
    assert sockets(recorder) & unix
    wait_until(
        lambda: not sockets(recorder) - unix_sockets(recorder) - unix_sockets(mesh)
    )  # one that ends is in no list
    assert sockets(mesh) - unix
