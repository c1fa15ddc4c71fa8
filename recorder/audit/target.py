"""The file that a bundle is written to: whole or not at all, on a stick that may fill up or be pulled out."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Self

from recorder.audit.archive import Archive
from recorder.core import bundle
from recorder.core.errors import LineageError
from recorder.store.layout import sync_dir

PART = ".part"
_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a ZIP can say: the manifest has the time


class ExtractionError(LineageError):
    """A bundle could not be written; nothing is left of it."""


class _Sink:
    """A file that stops at its first failure, so that closing a ZIP above it does not fail again.

    It counts its place by itself: what a ZIP asks of it goes on making sense after the failure.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at = 0
        self.failure: OSError | None = None

    def write(self, data: bytes) -> int:
        self._attempt(lambda: self._file.write(data))
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def seek(self, at: int, _whence: int = 0) -> int:
        self._attempt(lambda: self._file.seek(at))  # writes what is buffered, so it fails on a full stick too
        self._at = at
        return at

    def seekable(self) -> bool:
        return True

    def flush(self) -> None:
        self._attempt(self._file.flush)

    def sync(self) -> None:
        """Have the medium hold what was written."""
        self.flush()
        self._attempt(lambda: os.fsync(self._file.fileno()))

    def close(self) -> None:
        self._file.close()

    def _attempt(self, operation: Callable[[], object]) -> None:
        if self.failure is not None:
            return
        try:
            operation()
        except OSError as error:
            self.failure = error
            raise


class Target:
    """Members go in one by one; `finish` makes the file appear, leaving the context without it removes all traces."""

    def __init__(self, path: Path) -> None:
        """Begin to write `path`, under the name `path` with `.part` behind it.

        Raises:
            ExtractionError: the name is taken, or it cannot be written there.

        """
        self.path = path
        self.members: dict[str, bytes] = {}
        self._part = path.with_name(path.name + PART)
        if os.path.lexists(path):
            raise ExtractionError(f"{path} is there already; choose another name")
        try:
            self._part.unlink(missing_ok=True)  # of an extraction that was cut short
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file: BinaryIO = os.fdopen(os.open(self._part, flags, 0o644), "w+b")
        except OSError as error:
            raise ExtractionError(f"cannot write {self._part}: {error.strerror}") from error
        self._sink = _Sink(self._file)
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_STORED)
        self._done = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._done:
            return
        if self._sink.failure is None:
            self._sink.failure = OSError("given up")
        self._zip.close()
        with suppress(OSError):  # what it still buffers finds no room
            self._file.close()
        self._part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error is self._sink.failure:
            reason = error.strerror or str(error)
            raise ExtractionError(f"cannot write {self._part}: {reason}; nothing is left of it") from error

    def add(self, name: str, data: bytes, *, is_listed: bool = True) -> None:
        """Write a member.

        Args:
            name: as `bundle.member` knows it.
            data: its bytes.
            is_listed: whether its digest belongs into the manifest.

        Raises:
            OSError: no room, no stick.

        """
        info = zipfile.ZipInfo(name, _NO_TIME)
        info.external_attr = (stat.S_IFREG | 0o644) << 16
        self._zip.writestr(info, data)
        if is_listed:
            self.members[name] = sha256(data).digest()

    def settle(self) -> None:
        """Have what was written so far reach the medium; raises as `add`."""
        self._sink.sync()

    def finish(self) -> int:
        """Close the bundle, read it back from the medium, give it its name; returns its size in bytes.

        If we crash before the rename, a `.part` is left, which is no bundle; after it the bundle is whole, and the
        directory's fsync decides whether it is found.
        """
        self._zip.close()
        self.settle()
        with suppress(OSError):  # advice only; without it the pages may come from memory
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self._read_back()
        size = os.fstat(self._file.fileno()).st_size
        self._file.close()
        if os.path.lexists(self.path):
            raise ExtractionError(f"{self.path} has appeared meanwhile; choose another name")
        self._part.rename(self.path)
        self._done = True
        sync_dir(self.path.parent)
        return size

    def _read_back(self) -> None:
        archive = Archive(self._part)
        archive.digests = self.members
        try:
            for name in archive.members:
                archive.read(name)
            expected = self.members.keys() | {bundle.MANIFEST}
            if archive.faults or not expected <= archive.members.keys():
                raise ExtractionError(f"{self._part} does not read back as it was written: the medium is faulty")
        finally:
            archive.close()
