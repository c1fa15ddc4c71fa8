"""One way to open whatever a person points at: a state directory or a bundle."""

from __future__ import annotations

from pathlib import Path

from recorder.audit.carried import BundleSource
from recorder.audit.live import LiveRecorder
from recorder.audit.state import StateSource, open_state
from recorder.core.errors import Misuse
from recorder.store.errors import StoreError

NO_FILES = "no-files"  # a directory that is not there: all is asked over the socket


def open_source(path: Path | None, state: Path | None = None, socket: Path | None = None) -> StateSource | BundleSource:
    """Open a bundle, a state directory, or nothing but the socket of a running recorder.

    Args:
        path: a `.lineage` file, or a state directory.
        state: a state directory; at most one of the two is given.
        socket: of the recorder that may run on the state; it alone serves a user who may not see the directory.

    Raises:
        Misuse: nothing, or too much, was given.
        StoreError, FormatError, Unavailable, OSError: it cannot be opened.

    """
    if path is not None and state is not None:
        raise Misuse("name either a state directory (--state DIR) or a bundle (FILE.lineage), not both")
    if path is not None and not path.is_dir():
        return BundleSource(path)
    directory = state or path
    if directory is not None:
        try:
            return open_state(directory, socket)
        except PermissionError as error:
            if socket is None:
                raise StoreError(
                    f"no permission to look into {directory} ({error.filename}); where a recorder runs on it, name its "
                    f"socket alone: --socket PATH"
                ) from error
    if socket is None:
        raise Misuse(
            "say where the lineage is: --state DIR, --socket PATH of a running recorder, or a bundle FILE.lineage"
        )
    return StateSource(socket.parent / NO_FILES, live=LiveRecorder(socket))
