"""What a link tells the process around it; each is for the lineage, but for `Up` and `Clock`."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from firmware_bridge.line.confirmations import Signed
from recorder.core.deviceframe import Frame
from recorder.core.devicegap import Missing


class Condition(Enum):
    """What is wrong with a link or its device; each is told when it begins."""

    NOISE = "noise"  # bytes that are no frame: a bad cable, the other baud rate, a device that speaks something else
    SILENT = "silent"
    UNREADABLE = "unreadable"  # whole frames, whose message is none of this version
    ANOTHER_KEY = "another_key"  # not the key that this port's actuator is enrolled with
    KEY_NOT_SHOWN = "key_not_shown"  # it names the key and its signature does not hold
    BOOT_REUSED = "boot_reused"  # a boot or a frame that the lineage is beyond: its counter was set back
    CHAIN_BROKEN = "chain_broken"
    SIGNATURE_BROKEN = "signature_broken"
    FLOODED = "flooded"  # more frames without a signature than are held
    BEHIND = "behind"  # it does not take what it is told, or too slowly
    NOT_GRANTED = "not_granted"  # it asks under a grant, or for an actuator, that it was never told
    UNPLUGGED = "unplugged"  # the port is not there, or it went away: told by who holds it, as the next one
    PORT_REFUSED = "port_refused"  # the port is there and cannot be had
    UNKNOWN_COMMIT = "unknown_commit"  # it confirms what the lineage does not have: told by who records


class Up(NamedTuple):
    """A session has begun."""

    boot: int
    tick_us: int


class Arrived(NamedTuple):
    """A frame that the device has not signed yet: a commit request is answered now, all else waits for `Signed`."""

    frame: Frame


class Trouble(NamedTuple):
    """A condition has begun."""

    condition: Condition
    detail: str


class Clock(NamedTuple):
    """The device's clock against ours: at some instant between sent and answered it showed the tick."""

    sent_us: int
    answered_us: int
    tick_us: int


Happening = Up | Arrived | Signed | Missing | Trouble | Clock
