"""The status file: how the process does, for `lineage bridge status` and whoever else may read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from firmware_bridge.frontfile import replace_unsynced
from firmware_bridge.places import STATUS, BridgeError
from recorder.store.layout import LOCK, advice, is_locked


def write_status(state: Path, status: dict[str, Any]) -> None:
    """Replace the file; not synced, since a start makes it anew.  Raises OSError."""
    replace_unsynced(state / STATUS, json.dumps(status, ensure_ascii=False).encode())


def read_status(state: Path) -> dict[str, Any]:
    """What the process last wrote, and under `running` whether it still holds its lock.

    Raises:
        BridgeError: there is none, or it cannot be read.

    """
    path = state / STATUS
    try:
        status: dict[str, Any] = json.loads(path.read_text("utf-8"))
        running = is_locked(state / LOCK)
    except FileNotFoundError:
        raise BridgeError(f"{path} is missing: `lineage bridge run --state {state}` was never started") from None
    except OSError as error:
        what = f"cannot read {path}: {error.strerror}"
        raise BridgeError(f"{what}; {advice(error, str(state))}") from error
    except ValueError as error:
        raise BridgeError(f"cannot read {path}: {error}") from error
    return {**status, "running": running}
