"""How fast the lineage grows, and how long the room lasts: the one computation, for status and doctor alike."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import NamedTuple

EVERY_S = 60.0
WINDOW_S = 3600.0
YOUNG_S = 300.0  # a rate over less says little
HOUR_S = 3600.0


class Space(NamedTuple):
    """A file system."""

    free_bytes: int  # for everyone, not for root alone
    total_bytes: int


def space_of(path: Path) -> Space:
    """Look at the file system that a path lies on."""
    found = os.statvfs(path)
    return Space(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


class Rate(NamedTuple):
    """Growth as it was measured."""

    bytes: int
    seconds: float

    @property
    def per_hour(self) -> float:
        """Bytes an hour."""
        return self.bytes / self.seconds * HOUR_S


def hours_until_full(left_bytes: int, rate: Rate) -> float | None:
    """How long so much room lasts; None where the rate was measured over too short a time, or nothing grows."""
    if rate.seconds < YOUNG_S or rate.bytes <= 0:
        return None
    return left_bytes / rate.per_hour


class Growth:
    """The rate over the last hour."""

    def __init__(self, now_s: float, stored_bytes: int) -> None:
        self._samples: deque[tuple[float, int]] = deque([(now_s, stored_bytes)])

    def note(self, now_s: float, stored_bytes: int) -> None:
        """What was stored until now, in all."""
        if now_s - self._samples[-1][0] >= EVERY_S:
            self._samples.append((now_s, stored_bytes))
            while len(self._samples) > 2 and now_s - self._samples[1][0] >= WINDOW_S:
                self._samples.popleft()

    def rate(self) -> Rate:
        """Between the oldest and the newest sample."""
        (began_s, before), (now_s, after) = self._samples[0], self._samples[-1]
        return Rate(after - before, now_s - began_s)
