"""One way to open whatever a person points at: a state directory or a bundle."""

from __future__ import annotations

from pathlib import Path

from recorder.audit.carried import BundleSource
from recorder.audit.state import StateSource, open_state
from recorder.core.errors import Misuse


def open_source(path: Path | None, state: Path | None = None, socket: Path | None = None) -> StateSource | BundleSource:
    """Open a bundle or a state directory.

    Args:
        path: a `.lineage` file, or a state directory.
        state: a state directory; one of the two is given.
        socket: of the recorder that may run on it.

    Raises:
        Misuse: neither or both were given.
        StoreError, FormatError, OSError: it cannot be opened.

    """
    if (path is None) == (state is None):
        raise Misuse("name either a state directory (--state DIR) or a bundle (FILE.lineage)")
    if path is not None and not path.is_dir():
        return BundleSource(path)
    return open_state(state or path or Path(), socket)
