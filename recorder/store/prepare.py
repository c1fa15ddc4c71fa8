"""The next segment, made ahead: created, then zero-filled, so that a commit never waits for the file to grow."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from recorder.core.errors import LineageError
from recorder.store.layout import DATA, SEGMENTS, segment_dir, sync_dir
from recorder.store.segment import Segment

CHUNK_BYTES = 256 * 1024
PAUSE_S = 0.02  # between chunks: commits share the device
LEAD = 0.2  # of a segment: no pauses while the one being made is not so much fuller than the live one
ROOMY = 8  # segments' worth of free room: with less, what makes room must keep pace, and it pauses as we do


def _go_on(_: float) -> bool:
    return True


def create(path: Path, map_bytes: int, goes_on: Callable[[float], bool] = _go_on, reserve_bytes: int = 0) -> bytes:
    """Make an empty segment of `map_bytes` at `path`, where `reserve_bytes` stay free beside it.

    It grows under a temporary name: if we crash before the rename, the next start removes it; after it, the segment is
    whole.  Where it fails or is given up, what was begun is removed.

    Args:
        path: of the segment.
        map_bytes: its size.
        goes_on: asked after each chunk, with the share that is made; it may wait, and gives up by False.
        reserve_bytes: room that must be left when the segment is made.

    Returns:
        Its meta pages; b"" where it was given up.

    Raises:
        OSError, StoreError: no room, no permission.

    """
    temporary = path.with_name(path.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True, mode=0o750)
    try:
        _require_room(temporary, map_bytes + reserve_bytes)
        if not _fill(temporary, map_bytes, goes_on):
            shutil.rmtree(temporary)
            return b""
        made = metas(temporary)
    except (OSError, LineageError):
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_dir(temporary)
    temporary.rename(path)
    sync_dir(path.parent)
    return made


def _require_room(directory: Path, needed: int) -> None:
    """Tell beforehand: filling a disk to its last byte once a second would hurt everyone else on it."""
    free = _free_bytes(directory)
    if free < needed:
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {free} bytes free of {needed}")


def _free_bytes(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def _fill(temporary: Path, map_bytes: int, goes_on: Callable[[float], bool]) -> bool:
    """Make the segment and fill it with zeros; returns whether it was finished."""
    Segment(temporary, map_bytes, live=True, create=True).close()
    descriptor = os.open(temporary / DATA, os.O_RDWR | os.O_CLOEXEC)
    try:
        at = os.fstat(descriptor).st_size
        zeros = bytes(CHUNK_BYTES)
        while at < map_bytes:
            at += os.pwrite(descriptor, zeros[: map_bytes - at], at)
            os.fdatasync(descriptor)
            if not goes_on(at / map_bytes):
                return False
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True


def metas(path: Path) -> bytes:
    """The meta pages of a segment: all that LMDB reads of one that nothing was written to.

    Raises:
        OSError: not there, or it cannot be read.

    """
    with (path / DATA).open("rb") as file:
        return file.read(2 * os.sysconf("SC_PAGE_SIZE"))


class Preparer:
    """Makes one segment at a time in a thread of its own; writing and syncing release the interpreter."""

    def __init__(self, lineage: Path, map_bytes: int) -> None:
        self._lineage = lineage
        self._map_bytes = map_bytes
        self._thread: threading.Thread | None = None
        self._abort = threading.Event()
        self.live_share = 0.0  # how much of the live segment is used: below that plus LEAD, this one is made in haste
        self._metas = b""  # of the segment that was made or found
        self.failure: str | None = None  # why the last attempt failed; the roll then makes its segment itself

    def start(self, ordinal: int) -> None:
        """Begin to make segment `ordinal`, unless it is there."""
        self.wait()
        if not self._is_found(ordinal):
            self._thread = threading.Thread(
                target=self._run, args=(ordinal, self._pause), name="prepare-segment", daemon=True
            )
            self._thread.start()

    def make_now(self, ordinal: int) -> None:
        """Make segment `ordinal`, unless it is there, before returning; `failure` says why it is not."""
        self.wait()
        if not self._is_found(ordinal):
            self._run(ordinal, _go_on)

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

    def broken(self, path: Path) -> str | None:
        """What has become of the segment since it was made or found; None where it is as it was."""
        try:
            return None if metas(path) == self._metas else "its first pages are not what was written"
        except OSError as error:
            return str(error.strerror)

    def _is_found(self, ordinal: int) -> bool:
        path = segment_dir(self._lineage, ordinal)
        if not path.exists():
            return False
        with suppress(OSError):  # then the roll finds it broken
            self._metas = metas(path)
        return True

    def _pause(self, made_share: float) -> bool:
        is_wanted = made_share <= self.live_share + LEAD and _free_bytes(self._lineage) >= ROOMY * self._map_bytes
        return not self._abort.wait(0 if is_wanted else PAUSE_S)

    def _run(self, ordinal: int, goes_on: Callable[[float], bool]) -> None:
        path = segment_dir(self._lineage, ordinal)
        try:
            # A sealed segment is rewritten beside itself: without room for one more, nothing could be erased.
            self._metas = create(path, self._map_bytes, goes_on, self._map_bytes)
            self.failure = None
        except (OSError, LineageError) as error:
            self.failure = f"could not make segment {ordinal} ahead: {error}"


def remove_unfinished(lineage: Path) -> None:
    """Remove what a crash left of a segment that was being made."""
    for path in (lineage / SEGMENTS).glob("*.tmp"):
        shutil.rmtree(path)
