"""The bridge as a process, between a real recorder and the compiled device on a pty: what goes wrong, and what is left of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.core.kinds import Kind
from tests.bridge.device import needs_gcc
from tests.bridge.scene import Scene, is_sound
from tests.running import wait_until

pytestmark = [needs_gcc, pytest.mark.alone]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """All three, up."""
    with Scene(tmp_path) as found:
        yield found


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
