"""What could not be written: said once, shown in the status, tried again, and said when it is there.

A disk that is full, read-only or failing ends nothing.  What has to be durable before it counts is refused meanwhile by
whoever answers for it; small files that need not be are held here until they can be written.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from recorder.store.layout import replace_file

AGAIN_S = 5.0  # between attempts
QUIET_S = 60.0  # for which what comes and goes is not said again


class _Failed(NamedTuple):
    error: str
    again: Callable[[], object] | None
    is_said: bool


class Unkept:
    """One for the process, so that a new fleet list changes nothing about it; used from every thread.

    `what` is a file, or what it is called.
    """

    def __init__(self, say: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        """Make it.

        Args:
            say: tells a person.
            now: a monotonic clock, seconds.

        """
        self._say = say
        self._now = now
        self._lock = Lock()
        self._writing = Lock()
        self._failed: dict[str, _Failed] = {}
        self._said_s: dict[str, float] = {}  # when its failure was last said
        self._files: dict[Path, bytes] = {}  # what is to stand in files that could not be written

    def keep(self, what: str, write: Callable[[], object], *, again: bool) -> bool:
        """Call what writes; whether it is kept now.

        Args:
            what: said to a person, and shown.
            write: raises OSError.
            again: whether `retry` is to call it; else whoever writes comes back by himself.

        """
        try:
            write()
        except OSError as error:
            self.failed(what, error, write if again else None)
            return False
        self.kept(what)
        return True

    def put(self, path: Path, content: bytes) -> bool:
        """Have a small file hold this; whether it is durable now.  Until then it is held here, and tried again."""
        with self._lock:
            self._files[path] = content
        return self.keep(str(path), partial(self._write, path), again=True)

    def read(self, path: Path) -> bytes:
        """What is to stand in a file; raises OSError where it is not held here and cannot be read."""
        with self._lock:
            if path in self._files:
                return self._files[path]
        return path.read_bytes()

    def names(self, directory: Path) -> list[str]:
        """Files of a directory that are held here and are not on the disk."""
        with self._lock:
            return sorted(path.name for path in self._files if path.parent == directory)

    def failed(self, what: str, error: Exception, again: Callable[[], object] | None) -> None:
        """Note that something was not kept."""
        with self._lock:
            known, now_s = self._failed.get(what), self._now()
            is_new = known is None and now_s - self._said_s.get(what, -QUIET_S) >= QUIET_S
            if is_new:
                self._said_s[what] = now_s
            self._failed[what] = _Failed(str(error), again, is_new or (known is not None and known.is_said))
        if is_new:
            self._say(f"not kept: {what}: {error}; what needs it is refused, and it is tried again")

    def kept(self, what: str) -> None:
        """Note that something is kept."""
        with self._lock:
            was = self._failed.pop(what, None)
        if was is not None and was.is_said:
            self._say(f"kept again: {what}")

    def retry(self) -> None:
        """Try again what nobody else would."""
        with self._lock:
            failed = list(self._failed.items())
        for what, one in failed:
            if one.again is not None:
                self.keep(what, one.again, again=True)

    def told(self) -> list[str]:
        """What is not kept and why, for the status."""
        with self._lock:
            return [f"not kept: {what}: {one.error}" for what, one in sorted(self._failed.items())]

    def _write(self, path: Path) -> None:
        with self._writing:  # one after the other: two attempts would share a temporary file
            with self._lock:
                content = self._files.get(path)
            if content is None:
                return  # another attempt was faster
            replace_file(path, content, 0o600)
            with self._lock:
                if self._files.get(path) == content:
                    del self._files[path]
