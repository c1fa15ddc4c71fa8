"""One ZIP while it is being written: under a name that no bundle has, on a stick that may fill up or be pulled out."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from recorder.audit.archive import Archive
from recorder.core.errors import LineageError

PART = ".part"
_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a ZIP can say: the manifest has the time
# Bounds of what a ZIP adds (APPNOTE.TXT section 4.3): a member's two headers with ZIP64 fields, and the end records.
_HEADERS_BYTES = 30 + 46 + 2 * 28
_END_BYTES = 22 + 56 + 20


class ExtractionError(LineageError):
    """A bundle could not be written; nothing is left of it."""


def member_bytes(name: str, length: int) -> int:
    """At most so many bytes of a ZIP go to a stored member."""
    return _HEADERS_BYTES + 2 * len(name) + length


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


class Part:
    """A ZIP to which members are added."""

    def __init__(self, path: Path) -> None:
        """Begin it, over one of an extraction that was cut short.

        Raises:
            ExtractionError: it cannot be written there.

        """
        self.path = path
        self.bytes = _END_BYTES  # at most so many, if it were finished now
        self.names: list[str] = []
        try:
            path.unlink(missing_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file: BinaryIO = os.fdopen(os.open(path, flags, 0o644), "w+b")
        except OSError as error:
            raise ExtractionError(f"cannot write {path}: {error.strerror}") from error
        self._sink = _Sink(self._file)
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_STORED)

    @property
    def failure(self) -> OSError | None:
        """The first failure of the medium."""
        return self._sink.failure

    def add(self, name: str, data: bytes) -> None:
        """Write a member.

        Raises:
            OSError: no room, no stick.

        """
        info = zipfile.ZipInfo(name, _NO_TIME)
        info.external_attr = (stat.S_IFREG | 0o644) << 16
        self._zip.writestr(info, data)
        self.names.append(name)
        self.bytes += member_bytes(name, len(data))

    def settle(self) -> None:
        """Have what was written so far reach the medium; raises as `add`."""
        self._sink.sync()

    def finish(self, digests: Mapping[str, bytes]) -> int:
        """Close the ZIP and read it back from the medium.

        Args:
            digests: SHA-256 by member, of those that the manifest lists.

        Returns:
            Its size in bytes.

        Raises:
            ExtractionError: the medium holds something else than what was written.
            OSError: no room, no stick.

        """
        self._zip.close()
        self.settle()
        with suppress(OSError):  # advice only; without it the pages may come from memory
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self._read_back(digests)
        size = os.fstat(self._file.fileno()).st_size
        self._file.close()
        return size

    def abandon(self) -> None:
        """Remove it, whatever state it is in."""
        if self._sink.failure is None:
            self._sink.failure = OSError("given up")
        self._zip.close()
        with suppress(OSError):  # what it still buffers finds no room
            self._file.close()
        self.path.unlink(missing_ok=True)

    def _read_back(self, digests: Mapping[str, bytes]) -> None:
        archive = Archive(self.path)
        archive.digests = digests
        try:
            for name in archive.members:
                archive.read(name)
            if archive.faults or list(archive.members) != self.names:
                raise ExtractionError(f"{self.path} does not read back as it was written: the medium is faulty")
        finally:
            archive.close()
