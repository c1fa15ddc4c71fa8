"""What a storage device does badly, as data: shared by the file system that does it and the tests that ask for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """How a device behaves; the default is one without faults.

    Attributes:
        sync_ms: what every sync takes.
        pause_every: every this many syncs one takes `pause_ms` more, as an SD card does that tidies up; 0 for never.
        pause_ms: how long.
        capacity_bytes: what all files together may hold; None for no limit.
        read_only: nothing can be changed any more, as after `errors=remount-ro`.
        fail_syncs: syncs report EIO, and what was written before them is there all the same.

    """

    sync_ms: float = 0.0
    pause_every: int = 0
    pause_ms: float = 0.0
    capacity_bytes: int | None = None
    read_only: bool = False
    fail_syncs: bool = False

    def pauses(self, number: int) -> bool:
        """Whether the `number`th sync is one that takes longer; they count from 1."""
        return self.pause_every > 0 and number % self.pause_every == 0

    def sync_s(self, number: int) -> float:
        """Seconds that the `number`th sync takes."""
        return (self.sync_ms + (self.pause_ms if self.pauses(number) else 0.0)) / 1000


SD_CARD = Device(sync_ms=4.2, pause_every=200, pause_ms=500)
