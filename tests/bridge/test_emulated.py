"""The very sources that a firmware takes in, on a Cortex-M3, over its UART and the real bridge, to a recorder that verifies."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.core.deviceframe import CommitRequest, Confirmation, Outcome
from recorder.core.kinds import Kind
from tests.bridge.emulated import Emulated, needs_arm, needs_monocypher, needs_qemu
from tests.bridge.processes import APPEND, Account, Bridge, make_bridge
from tests.bridge.scene import is_sound
from tests.bridge.test_asking import CYCLE
from tests.running import Running, make_state, wait_until

pytestmark = [needs_qemu, needs_arm, needs_monocypher, pytest.mark.alone]


def test_boot_request_commit_move_confirm_and_boot_again(tmp_path: Path) -> None:
    """It asks under a grant, moves once the recorder has admitted it, and confirms where it stands; a power cut is a gap."""
    board = Emulated(tmp_path)
    recorder = Running(make_state(tmp_path / "state", append=APPEND))
    with recorder, Bridge(make_bridge(tmp_path / "bridge", CYCLE), board.port, recorder.socket, 115_200) as bridge:
        for boot in (1, 2):
            with board:
                wait_until(lambda: f"boot {boot}" in bridge.said)  # noqa: B023 -- it runs within this turn
                before = confirmations(recorder)
                wait_until(lambda: confirmations(recorder) >= before + 2)  # noqa: B023
        assert bridge.stop() == 0
        assert recorder.stop() == 0
    account = Account(recorder.state)
    assert [gap.reason for gap in account.gaps] == ["device_rebooted"]
    asked = [frame.body.asked for frame in account.frames if isinstance(frame.body, CommitRequest)]
    confirmed = [frame.body for frame in account.frames if isinstance(frame.body, Confirmation)]
    assert asked[:2] == [[(2, 0.5)], [(2, 0.0)]]
    assert [body.reached for body in confirmed][:2] == [[(2, 0.5)], [(2, 0.0)]]
    assert {body.outcome for body in confirmed} == {Outcome.REACHED}
    is_sound(recorder.state)


def confirmations(recorder: Running) -> int:
    """How many entries of a running recorder confirm."""
    return sum(header.kind == Kind.CONFIRMATION for header in Account(recorder.state).headers)
