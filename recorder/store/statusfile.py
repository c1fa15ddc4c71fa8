"""The status file of a process beside the recorder: what it last said of itself, and whether it still runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recorder.core.errors import LineageError
from recorder.store.layout import LOCK, advice, is_locked, replace_unsynced

STATUS = "status.json"


class StatusError(LineageError):
    """There is no status to tell; the message says why and what to do."""


def write_status(state: Path, status: dict[str, Any]) -> None:
    """Replace the file; not synced, since a start makes it anew.  Raises OSError."""
    replace_unsynced(state / STATUS, json.dumps(status, ensure_ascii=False).encode())


def read_status(state: Path, command: str) -> dict[str, Any]:
    """What the process last wrote, and under `running` whether it still holds its lock.

    Args:
        state: the directory of the process, with its lock.
        command: that starts it, such as `lineage mesh run`; for the message.

    Raises:
        StatusError: there is none, or it cannot be read.

    """
    path = state / STATUS
    try:
        status: dict[str, Any] = json.loads(path.read_text("utf-8"))
        running = is_locked(state / LOCK)
    except FileNotFoundError:
        raise StatusError(f"{path} is missing: `{command} --state {state}` was never started") from None
    except OSError as error:
        raise StatusError(f"cannot read {path}: {error.strerror}; {advice(error, str(state))}") from error
    except ValueError as error:
        raise StatusError(f"cannot read {path}: {error}") from error
    return {**status, "running": running}
