"""A thousand confirmations a second, and in their midst all that can fail: afterwards each frame is accounted for."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from recorder.core.deviceframe import Confirmation
from tests.bridge.device import needs_gcc
from tests.bridge.scene import Scene, is_sound
from tests.running import wait_until

pytestmark = [needs_gcc, pytest.mark.alone]

HZ = 1000


def confirm(scene: Scene, commits: list[tuple[int, int, bytes]], seconds: float) -> None:
    """Confirm one after the other at this rate, whatever becomes of it."""
    begun, made = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < seconds:
        while made < passed * HZ:
            scene.firmware.reached(commits[made % len(commits)], made / 8)
            made += 1
        time.sleep(0.001)


def test_all_that_can_fail(tmp_path: Path) -> None:
    """The bridge killed, the cable pulled, the recorder killed, while the device goes on: nothing twice, nothing untold."""
    with Scene(tmp_path, "receipts = false", ring=256) as scene:
        commits = scene.commits(200)
        confirm(scene, commits, 0.5)
        scene.bridge.kill()
        confirm(scene, commits, 0.2)
        scene.bridge.restart()
        wait_until(lambda: scene.bridge.is_up)
        confirm(scene, commits, 0.5)
        scene.firmware.pull()
        confirm(scene, commits, 0.5)
        scene.firmware.plug()
        confirm(scene, commits, 0.5)
        scene.recorder.kill()
        confirm(scene, commits, 0.2)
        scene.recorder.restart()
        confirm(scene, commits, 0.5)
        account = scene.finish()
        confirmed = sum(isinstance(frame.body, Confirmation) for frame in account.frames)
        assert (confirmed, account.dropped) == (scene.firmware.made, scene.firmware.refused)
        assert account.gaps == []
        assert {condition for condition, _ in account.faults} == {"unplugged"}
        assert is_sound(scene.recorder.state).completeness in {"pass", "lossy"}
