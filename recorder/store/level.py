"""How much room there is for what comes, once no further segment can be made.

Then there is only the last part of the live segment, as large as one record may be.  It is laid down in three: what is
told to be recorded even now, what happened without asking, and the recorder's own entries, such as its stop and the
deletions that make room.
"""

from __future__ import annotations

from enum import IntEnum


class Level(IntEnum):
    """What is left of that part."""

    AMPLE = 0  # more than it: a segment follows, or will
    FULL = 1  # over half of it
    LOW = 2  # over a quarter
    LAST = 3  # less: the recorder's own


def level_at(free_bytes: int, part_bytes: int) -> Level:
    """The level where so many bytes are left of a part of so many."""
    if free_bytes >= part_bytes:
        return Level.AMPLE
    if free_bytes >= part_bytes // 2:
        return Level.FULL
    return Level.LOW if free_bytes >= part_bytes // 4 else Level.LAST
