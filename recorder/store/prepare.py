"""The next segment, made ahead: created, then zero-filled, so that a commit never waits for the file to grow."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

from recorder.core.errors import LineageError
from recorder.store.layout import DATA, SEGMENTS, segment_dir, sync_dir
from recorder.store.segment import Segment

CHUNK_BYTES = 256 * 1024
PAUSE_S = 0.02  # between chunks: commits share the device


def create(path: Path, map_bytes: int, pause_s: float = 0.0, abort: threading.Event | None = None) -> None:
    """Make an empty segment of `map_bytes` at `path`.

    It grows under a temporary name: if we crash before the rename, the next start removes it; after it, the segment is
    whole.  When `abort` is set, what was begun is removed.

    Raises:
        OSError, StoreError: no room, no permission.

    """
    temporary = path.with_name(path.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True, mode=0o750)
    Segment(temporary, map_bytes, live=True, create=True).close()
    descriptor = os.open(temporary / DATA, os.O_RDWR | os.O_CLOEXEC)
    try:
        at = os.fstat(descriptor).st_size
        zeros = bytes(CHUNK_BYTES)
        while at < map_bytes:
            at += os.pwrite(descriptor, zeros[: map_bytes - at], at)
            os.fdatasync(descriptor)
            if abort is not None and abort.wait(pause_s):
                shutil.rmtree(temporary)
                return
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_dir(temporary)
    temporary.rename(path)
    sync_dir(path.parent)


class Preparer:
    """Makes one segment at a time in a thread of its own; writing and syncing release the interpreter."""

    def __init__(self, lineage: Path, map_bytes: int) -> None:
        self._lineage = lineage
        self._map_bytes = map_bytes
        self._thread: threading.Thread | None = None
        self._abort = threading.Event()
        self.failure: str | None = None  # why the last attempt failed; the roll then makes its segment itself

    def start(self, ordinal: int) -> None:
        """Begin to make segment `ordinal`, unless it is there."""
        self.wait()
        if not segment_dir(self._lineage, ordinal).exists():
            self._thread = threading.Thread(target=self._run, args=(ordinal,), name="prepare-segment", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Until what was begun is done or has failed."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def abort(self) -> None:
        """Give up what was begun; the next start begins again."""
        self._abort.set()
        self.wait()

    def is_busy(self) -> bool:
        """Whether a segment is being made."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self, ordinal: int) -> None:
        try:
            create(segment_dir(self._lineage, ordinal), self._map_bytes, PAUSE_S, self._abort)
            self.failure = None
        except (OSError, LineageError) as error:
            self.failure = f"could not make segment {ordinal} ahead: {error}"


def remove_unfinished(lineage: Path) -> None:
    """Remove what a crash left of a segment that was being made."""
    for path in (lineage / SEGMENTS).glob("*.tmp"):
        shutil.rmtree(path)
