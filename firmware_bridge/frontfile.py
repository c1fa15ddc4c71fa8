"""Two small files that let a new process go on where the one before it ended.

Neither is synced, and neither is needed: without `front.json` the lineage is read from its beginning, and
without `sessions.json` what the dead process still had in the socket could be recorded behind our back.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from firmware_bridge.known import Front
from firmware_bridge.places import FRONT, SESSIONS
from recorder.store.layout import replace_unsynced


def write_front(state: Path, front: Front) -> None:
    """Replace it.  Raises OSError."""
    replace_unsynced(state / FRONT, msgspec.json.encode(front))


def read_front(state: Path, origin: str) -> Front | None:
    """The front of this log; None where there is none, or it cannot be read."""
    try:
        front = msgspec.json.decode((state / FRONT).read_bytes(), type=Front)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return front if front.origin == origin else None


def write_sessions(state: Path, sessions: dict[str, bytes]) -> None:
    """Replace it.  Raises OSError."""
    replace_unsynced(state / SESSIONS, json.dumps({name: held.hex() for name, held in sessions.items()}).encode())


def read_sessions(state: Path) -> dict[str, bytes]:
    """Sessions by what they were for; none where the file is not there or cannot be read."""
    try:
        held = msgspec.json.decode((state / SESSIONS).read_bytes(), type=dict[str, str])
        return {name: bytes.fromhex(session) for name, session in held.items()}
    except (FileNotFoundError, msgspec.DecodeError, ValueError):
        return {}
