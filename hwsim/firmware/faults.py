"""Faults of a line and of its device, as values; a file of them is TOML with these names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Chance = Annotated[float, Meta(ge=0, le=1)]  # of each frame, in either direction
Count = Annotated[int, Meta(ge=1)]


class UnreadableFaults(Exception):
    """The file holds no faults; the message says where."""


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong; as it stands, nothing.

    Attributes:
        seed: of all chance: the same seed does the same to the same frames.
        noise: chance that random bytes come before a frame.
        flip: chance that a bit of a frame is another.
        drop: chance that a frame does not arrive.
        duplicate: chance that it arrives twice.
        swap: chance that the next frame overtakes it.
        wrong_baud: all that goes over the line is garbled, as between two ends with unlike rates.
        reboot_after: the device resets each time after it has sent so many frames, in the midst of the last.
        boot_counter_is_lost: its boot number does not outlive the reset.
        pull_after: the cable is pulled each time after so many frames, for `pulled_ms`.
        pulled_ms: how long.
        drift_ppm: the device's clock is so many millionths too fast.
        stuck: the actuator does not move, and the device says so: not moved, and the value that it has.
        lie: `value` confirms what was asked for, wherever the actuator is; `key` shows another key; `forged` names the
            device's key without having it; `signature` shows its own and signs batches with another.

    """

    seed: int = 1
    noise: Chance = 0.0
    flip: Chance = 0.0
    drop: Chance = 0.0
    duplicate: Chance = 0.0
    swap: Chance = 0.0
    wrong_baud: bool = False
    reboot_after: Count | None = None
    boot_counter_is_lost: bool = False
    pull_after: Count | None = None
    pulled_ms: Count = 1000
    drift_ppm: float = 0.0
    stuck: bool = False
    lie: Literal["value", "key", "forged", "signature"] | None = None


def load(path: Path) -> Faults:
    """Read faults from a TOML file.

    Raises:
        UnreadableFaults: it cannot be read, is no TOML, or names what is no fault.

    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Faults)
    except (OSError, msgspec.DecodeError) as error:
        raise UnreadableFaults(f"{path}: {error}") from None
