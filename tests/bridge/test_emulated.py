"""The very sources that a firmware takes in, on a Cortex-M3: they speak with the host over the UART."""

from __future__ import annotations

from pathlib import Path

from hwsim.firmware.flash import Flash
from recorder.core.deviceframe import CommitRequest, Confirmation, Event, Outcome
from tests.bridge.emulated import Emulated, needs_arm, needs_monocypher, needs_qemu
from tests.bridge.port import Port

pytestmark = [needs_qemu, needs_arm, needs_monocypher]


def test_boot_request_move_confirm_refuse_and_boot_again(tmp_path: Path) -> None:
    """It asks under a grant, moves and confirms where it stands; a refusal is an event; a power cut is a gap."""
    key = Flash.open(tmp_path / "flash.bin").signer.public_key
    board = Emulated(tmp_path)
    with Port(board.port, key) as port:
        with board:
            port.run(lambda: port.is_up)
            port.link.grant(5, 3, 8, 60_000, irreversible=False)
            port.admits = True
            port.run(lambda: sum(isinstance(frame.body, Confirmation) for frame in port.frames) >= 2)
            port.admits = False
            port.run(lambda: any(isinstance(frame.body, Event) for frame in port.frames))
        with board:
            port.run(lambda: port.gaps == ["device_rebooted"] and port.is_up)
            port.link.grant(6, 3, 1, 60_000, irreversible=True)
            port.admits = True
            port.run(lambda: any(entry.boot == 2 and entry.confirmations for entry in port.entries))
        port.check()
    asked = [frame.body.asked for frame in port.frames if isinstance(frame.body, CommitRequest)]
    confirmed = [frame.body for frame in port.frames if isinstance(frame.body, Confirmation)]
    assert [body.outcome for body in confirmed] == [Outcome.REACHED] * 3
    assert [body.reached for body in confirmed] == [[(2, 0.5)], [(2, 0.0)], [(2, 0.5)]]
    assert asked[:3] == [[(2, 0.5)], [(2, 0.0)], [(2, 0.5)]]
