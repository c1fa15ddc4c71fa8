"""Frames of a device that a lineage will never have, as a gap entry says it (FORMAT.md section 6).

What is missing stands in the reason, since control is never withheld: whoever counts a device's frames can go on.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from recorder.core.deviceframe import Boot
from recorder.core.kinds import Uint

REBOOTED, UNSEEN, NOT_HELD = "device_rebooted", "boots_unseen", "not_held"
_SAID = re.compile(rf"({REBOOTED}|{UNSEEN}|{NOT_HELD}): ([0-9a-f]{{16}}) (\d+)\.(\d+) to (\d+)\.(\d+)")


class Place(NamedTuple):
    """A frame's place: places of one device rise with what it does."""

    boot: Boot
    seq: Uint


class Missing(NamedTuple):
    """All from `since` on and before `until`."""

    reason: str  # device_rebooted, boots_unseen or not_held
    kid: bytes  # of the device's key
    since: Place
    until: Place

    @property
    def frames(self) -> int | None:
        """How many, where anybody can say."""
        return self.until.seq - self.since.seq if self.reason == NOT_HELD else None


def say(missing: Missing) -> str:
    """The reason of the gap entry."""
    since, until = (f"{place.boot}.{place.seq}" for place in (missing.since, missing.until))
    return f"{missing.reason}: {missing.kid.hex()} {since} to {until}"


def read(reason: str) -> Missing | None:
    """What a gap's reason says of a device's frames; None where it says nothing, or what cannot be."""
    found = _SAID.fullmatch(reason)
    if found is None:
        return None
    since, until = (Place(int(found[at]), int(found[at + 1])) for at in (3, 5))
    missing = Missing(found[1], bytes.fromhex(found[2]), since, until)
    fits = {
        REBOOTED: until == (since.boot + 1, 0),
        UNSEEN: since.seq == until.seq == 0 < since.boot < until.boot,
        NOT_HELD: since.boot == until.boot and since.seq < until.seq,
    }
    return missing if fits[missing.reason] and say(missing) == reason else None
