"""A simulated microcontroller with its own key behind a serial line, its faults as values: `python -m hwsim.firmware`.

It is the device's side of firmware_bridge/PROTOCOL.md, written from that document a second time, apart from the C and
from the host: where two readings of one text differ, a test says so.
"""

from hwsim.firmware.device import Device, Grant, Receipt
from hwsim.firmware.faults import Faults
from hwsim.firmware.flash import Flash
from hwsim.firmware.motor import Motor
from hwsim.firmware.port import Simulator

__all__ = ["Device", "Faults", "Flash", "Grant", "Motor", "Receipt", "Simulator"]
