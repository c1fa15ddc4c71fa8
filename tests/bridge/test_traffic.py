"""A thousand confirmations a second, and in their midst all that can fail: afterwards each frame is accounted for."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

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


def noise(scene: Scene) -> None:
    """Bytes of nobody's, as far as the line takes them."""
    with suppress(BlockingIOError):
        scene.firmware.write_raw(os.urandom(400))


def faults(scene: Scene) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
    """What can fail: how it begins, and how it ends."""
    recorder = scene.recorder
    return {
        "bridge killed": (scene.bridge.kill, scene.bridge.restart),
        "cable pulled": (scene.firmware.pull, scene.firmware.plug),
        "recorder killed": (recorder.kill, recorder.restart),
        "recorder stands still": (
            lambda: recorder.process.send_signal(signal.SIGSTOP), lambda: recorder.process.send_signal(signal.SIGCONT)
        ),
        "bridge stands still": (
            lambda: scene.bridge.process.send_signal(signal.SIGSTOP),
            lambda: scene.bridge.process.send_signal(signal.SIGCONT),
        ),
        "device resets": (scene.firmware.reboot, lambda: None),
        "noise": (lambda: noise(scene), lambda: noise(scene)),
    }  # fmt: skip


TOGETHER = {  # what one process cannot do at once
    frozenset({"bridge killed", "bridge stands still"}), frozenset({"recorder killed", "recorder stands still"}),
    frozenset({"cable pulled", "noise"}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(16))
def test_faults_together(tmp_path: Path, seed: int) -> None:
    """Two at a time, by chance, overlapping, again and again: each boot's numbers are all there, or all that was lost is told."""
    chance = Random(seed)
    with Scene(tmp_path, "receipts = false", ring=256) as scene:
        commits = scene.commits(200)
        held = faults(scene)
        for _ in range(6):
            one, other = chance.sample(sorted(held), 2)
            if frozenset({one, other}) in TOGETHER:
                continue
            held[one][0]()
            confirm(scene, commits, chance.random() / 5)
            held[other][0]()
            confirm(scene, commits, chance.random() / 2)
            for ended in chance.sample([one, other], 2):
                held[ended][1]()
                confirm(scene, commits, chance.random() / 3)
        account = scene.finish()
        firmware = scene.firmware
        told = {boot: account.told(boot) for boot in firmware.asked}
        assert told[firmware.boots] == firmware.asked[firmware.boots], "of the boot that lives on, each one"
        assert all(told[boot] <= asked for boot, asked in firmware.asked.items())
        assert {gap.reason for gap in account.gaps} <= {"device_rebooted", "boots_unseen"}
        assert sum(gap.until.boot - gap.since.boot for gap in account.gaps) == firmware.boots - 1
        print(seed, dict(firmware.asked), told, [gap.reason for gap in account.gaps], sorted(set(account.faults)))
        assert {condition for condition, _ in account.faults} <= {"unplugged", "noise", "silent", "unreadable"}
        is_sound(scene.recorder.state)
