"""Names below a state directory, and the small files that are replaced atomically.

STATE/recorder.toml            configuration
STATE/identity.key             0600
STATE/trust                    whose policies, matrices and revocations the recorder takes (core.trust)
STATE/lock                     held (flock) by the one process that may write
STATE/peer-heads               heads that peers hold and the lineage in force does not lead to (store.peerheads)
STATE/current                  the incarnation in force: 16 hex digits and a line feed
STATE/lineages/INCARNATION/    one lineage: its head file and its segments
    head                       last checkpoint that left the recorder
    covered                    how far evidence covers it, for status (writer.uncovered)
    segments/00000001/         one LMDB environment: data.mdb, lock.mdb; once sealed, summary.json (store.summary)
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from pathlib import Path

from recorder.store.errors import StoreError

CONFIG = "recorder.toml"
IDENTITY = "identity.key"
TRUST = "trust"  # the roots that credentials and policies may chain to, where there are any
LOCK = "lock"
CURRENT = "current"
PEER_HEADS = "peer-heads"
FORKED = "forked"  # logs of this platform of which two histories are proved
LINEAGES = "lineages"
HEAD = "head"
COVERED = "covered"
SEGMENTS = "segments"
DATA = "data.mdb"
SUMMARY = "summary.json"
SEGMENT_MIN_BYTES = 4 * 1024 * 1024

_INCARNATION = re.compile(r"[0-9a-f]{16}")
_ORDINAL = re.compile(r"[0-9]{8}")


def lineage_dir(state: Path, incarnation: str) -> Path:
    """Where one incarnation lies."""
    return state / LINEAGES / incarnation


def segment_dir(lineage: Path, ordinal: int) -> Path:
    """Where one segment lies; ordinals start at 1."""
    return lineage / SEGMENTS / f"{ordinal:08d}"


def ordinals(lineage: Path) -> list[int]:
    """Segments that are there, in order, an empty prepared one included."""
    try:
        names = [path.name for path in (lineage / SEGMENTS).iterdir()]
    except FileNotFoundError:
        return []
    return sorted(int(name) for name in names if _ORDINAL.fullmatch(name))


def read_current(state: Path) -> str | None:
    """The incarnation in force, or None before the first start.

    Raises:
        StoreError: not 16 hex digits.

    """
    try:
        text = (state / CURRENT).read_text("ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    if not _INCARNATION.fullmatch(text):
        raise StoreError(
            f"{state / CURRENT} holds {text[:40]!r}, not 16 hex digits; restore it or run `lineage recover`"
        )
    return text


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a small file so that a power cut leaves the old or the new one, never a part.

    If we crash before the rename, the old file stands and a stray `.tmp` is overwritten next time; after it, the
    directory's fsync decides which of the two is found, and both are whole.
    """
    temporary = path.with_name(path.name + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    _write(descriptor, content)
    temporary.rename(path)
    sync_dir(path.parent)


def replace_unsynced(path: Path, content: bytes, mode: int | None = None) -> None:
    """Have a reader meet the old file or the new one; what a power cut leaves does not matter.  Raises OSError."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(content)
    if mode is not None:  # whatever the umask is
        temporary.chmod(mode)
    temporary.rename(path)


def create_file(path: Path, content: bytes, mode: int) -> None:
    """Write a small file that must not be there yet, also where hard links do not exist (a USB stick with FAT).

    Raises:
        FileExistsError: it is there; it stays as it is.

    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        _write(descriptor, content)
    except OSError:
        path.unlink()  # a part of it would look like the whole, and stand in the way
        raise
    sync_dir(path.parent)


def _write(descriptor: int, content: bytes) -> None:
    """Write all of it, make it durable, and close."""
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make what was written to a file durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_dir(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def advice(error: OSError, what: str) -> str:
    """What to do about a file below `what` that cannot be opened, made or written."""
    if error.errno == errno.EROFS:
        return "mount it for writing; `dmesg` says whether the card failed, then take a copy first"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some room"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"run as the owner of {what}"
    return "`dmesg` may say why"


class StateLock:
    """The right to write a state directory; released by closing, or by the process ending however it ends."""

    def __init__(
        self, state: Path, holder: str = "a running recorder; stop it first, or ask it over its socket"
    ) -> None:
        """Take the lock.

        Args:
            state: the directory.
            holder: who else may have it and what to do then, for the message.

        Raises:
            StoreError: another process holds it, or the directory cannot be written.

        """
        path = state / LOCK
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"cannot open {path}: {error.strerror}; {advice(error, 'the state directory')}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise StoreError(f"{state} is in use by {holder}") from None

    def close(self) -> None:
        """Let another process write."""
        os.close(self._descriptor)


def is_locked(path: Path) -> bool:
    """Whether a process holds this lock file; raises OSError where it cannot be opened."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
