"""The status file: how the process does, for `lineage mesh status | peers` and whoever else may read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mesh.node.places import STATUS, MeshError
from recorder.store.layout import LOCK, advice, is_locked


def write_status(state: Path, status: dict[str, Any]) -> None:
    """Replace the file; not synced, since a start makes it anew.  Raises OSError."""
    path = state / STATUS
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(json.dumps(status, ensure_ascii=False), "utf-8")
    temporary.replace(path)


def read_status(state: Path) -> dict[str, Any]:
    """What the process last wrote, and under `running` whether it still holds its lock.

    Raises:
        MeshError: there is none, or it cannot be read.

    """
    path = state / STATUS
    try:
        status: dict[str, Any] = json.loads(path.read_text("utf-8"))
        running = is_locked(state / LOCK)
    except FileNotFoundError:
        raise MeshError(f"{path} is missing: `lineage mesh run --state {state}` was never started") from None
    except OSError as error:
        what = f"cannot read {path}: {error.strerror}"
        raise MeshError(f"{what}; {advice(error, str(state))}") from error
    except ValueError as error:
        raise MeshError(f"cannot read {path}: {error}") from error
    return {**status, "running": running}
