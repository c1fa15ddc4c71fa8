"""A device that resets again and again while others commit for it: each of its boots hears of what is made after it came up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bridge.device import needs_gcc
from tests.bridge.scene import Scene, is_sound
from tests.running import wait_until

TRIES = 50  # of one commit each; it hears of what is made once its session is up

pytestmark = [needs_gcc, pytest.mark.alone]


def test_every_boot_hears_of_commits(tmp_path: Path) -> None:
    """Also where the answer of a reading was under way when the session ended: nobody waits for that one."""
    with Scene(tmp_path) as scene:
        for boot in range(2, 10):
            scene.commits(40)
            scene.firmware.reboot()
            wait_until(lambda: f"boot {boot}" in scene.bridge.said)  # noqa: B023 -- it runs within this turn

            for _ in range(TRIES):
                scene.commits(1)
                if scene.firmware.device.receipts:
                    break
            else:
                raise AssertionError(f"boot {boot} hears of nothing")
        scene.finish()
    is_sound(scene.recorder.state)
