"""The bridge as a process, between a real recorder and the compiled device on a pty: what goes wrong, and what is left of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.client import Recorder
from recorder.core.kinds import Kind
from recorder.core.verdict import Report
from tests.bridge.cable import Firmware
from tests.bridge.device import needs_gcc
from tests.bridge.processes import APPEND, Account, Bridge, make_bridge
from tests.running import Running, make_state, verified, wait_until

pytestmark = [needs_gcc, pytest.mark.alone]

WHAT = {
    "mode": "position", "target": 1.5, "magnitude": 0.5, "unit": "rad", "duration_ms": 200,
    "reversibility": "reversible", "confirm_by_ms": 1000,
}  # fmt: skip
WHO = {"operator": "ann", "delegation": None}
WHY = {"evaluator": "planner 2.1", "clauses": ["clear_path"], "inputs": [], "alternatives": []}

Commit = tuple[int, int, bytes]


class Scene:
    """Recorder, device and bridge."""

    def __init__(self, path: Path) -> None:
        self.recorder = Running(make_state(path / "state", append=APPEND))
        self.firmware = Firmware(path / "port")
        self.bridge_state = make_bridge(path / "bridge")
        self.bridge = Bridge(self.bridge_state, path / "port", self.recorder.socket)

    def commits(self, count: int) -> list[Commit]:
        """Commits that a controller made."""
        with Recorder(self.recorder.socket, who=WHO) as client:
            cycle = client.open_cycle(why=WHY, actuators=["arm"], action_classes=["motion"], max_commits=count)
            receipts = [future.result() for future in [cycle.submit("arm", what=WHAT) for _ in range(count)]]
        made = []
        for receipt in receipts:
            assert receipt.seq is not None
            assert receipt.index is not None
            assert receipt.entry_hash is not None
            made.append((receipt.seq, receipt.index, receipt.entry_hash))
        return made

    def held(self) -> int:
        """Frames that the device holds."""
        return self.firmware.do("held")

    def finish(self) -> Account:
        """Wait for the lineage to have all, stop everything, and look at what it has."""
        wait_until(lambda: self.held() == 0)
        assert self.bridge.stop() == 0, self.bridge.said
        assert self.recorder.stop() == 0
        return Account(self.recorder.state)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """All three, up."""
    found = Scene(tmp_path)
    with found.recorder, found.firmware, found.bridge:
        wait_until(lambda: "has shown its key" in found.bridge.said)
        yield found


def is_sound(state: Path) -> Report:
    """Verify; nothing failed."""
    report = verified(state)
    assert report.integrity == "pass", report.problems
    return report


def test_confirmations(scene: Scene) -> None:
    """What the device confirms becomes entries that name the commits; the device forgets it when it is durable."""
    commits = scene.commits(3)
    for number, commit in enumerate(commits):
        assert scene.firmware.reached(commit, number / 8)
    scene.firmware.do("event 1 2:0.5")
    account = scene.finish()
    assert len(account.frames) == 4
    refs = [ref for header in account.headers if header.kind == Kind.CONFIRMATION for ref in (header.refs or {})[2]]
    assert [(ref.seq, ref.index, ref.hash) for ref in refs] == commits
    assert (account.gaps, account.faults) == ([], [])
    is_sound(scene.recorder.state)


def test_the_bridge_is_killed(scene: Scene) -> None:
    """Wherever it dies, its successor reads in the lineage how far it was: nothing twice, nothing missing."""
    commits = scene.commits(60)
    for turn in range(3):
        for commit in commits[turn * 20 : turn * 20 + 20]:
            scene.firmware.reached(commit, turn)
        scene.bridge.kill()
        scene.bridge.restart()
    account = scene.finish()
    assert len(account.frames) == scene.firmware.made == 60
    assert account.gaps == []
    is_sound(scene.recorder.state)


def test_the_cable_is_pulled(scene: Scene) -> None:
    """It is told once; the device keeps what was not taken, and counts what found no room."""
    commits = scene.commits(100)
    scene.firmware.reached(commits[0], 1)
    wait_until(lambda: scene.held() == 0)
    scene.firmware.pull()
    wait_until(lambda: "unplugged" in scene.bridge.said)
    for commit in commits[1:]:
        scene.firmware.reached(commit, 2)
    assert scene.firmware.refused > 0, "the ring is smaller than that"
    scene.firmware.plug()
    account = scene.finish()
    assert [condition for condition, _ in account.faults] == ["unplugged"]
    assert account.dropped == scene.firmware.refused
    assert len(account.frames) == scene.firmware.made + 1
    assert account.gaps == []
    is_sound(scene.recorder.state)


def test_the_device_reboots(scene: Scene) -> None:
    """What was in its memory is declared, and its next boot is believed."""
    commits = scene.commits(2)
    scene.firmware.reached(commits[0], 1)
    wait_until(lambda: scene.held() == 0)
    scene.firmware.reboot()
    wait_until(lambda: "boot 2" in scene.bridge.said)
    scene.firmware.reached(commits[1], 2)
    account = scene.finish()
    assert [(gap.reason, gap.since, gap.until) for gap in account.gaps] == [("device_rebooted", (1, 1), (2, 0))]
    assert [(frame.boot, frame.seq) for frame in account.frames] == [(1, 0), (2, 0)]
    is_sound(scene.recorder.state)


def test_the_recorder_is_killed(scene: Scene) -> None:
    """The device holds what it is not told to forget; the restarted recorder gets it once."""
    commits = scene.commits(40)
    for commit in commits[:20]:
        scene.firmware.reached(commit, 1)
    scene.recorder.kill()
    for commit in commits[20:]:
        scene.firmware.reached(commit, 2)
    scene.recorder.restart()
    account = scene.finish()
    assert len(account.frames) == 40
    is_sound(scene.recorder.state)


def test_noise(scene: Scene) -> None:
    """Bytes that are no frame are a condition of the line, told once."""
    scene.firmware.write_raw(os.urandom(300) + b"\0" + os.urandom(300) + b"\0")
    wait_until(lambda: "noise" in scene.bridge.said)
    scene.firmware.reached(scene.commits(1)[0], 1)
    account = scene.finish()
    assert [condition for condition, _ in account.faults] == ["noise"]
    assert len(account.frames) == 1
