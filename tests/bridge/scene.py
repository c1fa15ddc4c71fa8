"""A recorder, a device on a pty and the bridge between them."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from recorder.client import Recorder
from recorder.core.verdict import Report
from tests.bridge.cable import Firmware
from tests.bridge.processes import APPEND, Account, Bridge, make_bridge
from tests.claims import WHAT, WHO, WHY
from tests.running import Running, make_state, verified, wait_until

Commit = tuple[int, int, bytes]


class Scene:
    """Recorder, device and bridge."""

    def __init__(self, path: Path, more: str = "", ring: int = 64) -> None:
        self.recorder = Running(make_state(path / "state", append=APPEND))
        self.firmware = Firmware(path / "port", ring)
        self.bridge_state = make_bridge(path / "bridge", more)
        self.bridge = Bridge(self.bridge_state, path / "port", self.recorder.socket)

    def commits(self, count: int) -> list[Commit]:
        """Commits that a controller made."""
        with Recorder(self.recorder.socket, who=WHO, timeout_ms=60_000) as client:
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
        wait_until(lambda: self.bridge.is_up and self.held() == 0)
        assert self.bridge.stop() == 0, self.bridge.said
        assert self.recorder.stop() == 0
        return Account(self.recorder.state)

    def __enter__(self) -> Self:
        wait_until(lambda: self.bridge.is_up)
        return self

    def __exit__(self, *_: object) -> None:
        self.bridge.__exit__()
        self.firmware.__exit__()
        self.recorder.__exit__()


def is_sound(state: Path) -> Report:
    """Verify; nothing failed."""
    report = verified(state)
    assert report.integrity == "pass", report.problems
    return report
