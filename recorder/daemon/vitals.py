"""What the second thread tells systemd and the status page; it never touches the store or a lock of the first one."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recorder.store.layout import replace_unsynced

STALL_S = 5.0  # a sync that takes longer than any card's pause; systemd is then no longer told that all is well
STATUS_FILE = "status.json"


class _Once:
    """Says the first failure of what is tried every second: no reason to stop, nor to fill the journal."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say: Callable[[str], None] | None = say

    def __call__(self, failure: str) -> None:
        say, self._say = self._say, None
        if say is not None:
            say(failure)


class Notifier:
    """sd_notify(3), where systemd asked for it."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """`say` is told once where that fails."""
        self._failed = _Once(say)
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        usec = os.environ.get("WATCHDOG_USEC", "")
        mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_s = int(usec) / 1e6 if usec.isdigit() and mine else None

    def send(self, state: str) -> None:
        """Tell systemd; a manager that does not listen is no reason to stop recording."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(0)
            try:
                sender.sendto(state.encode(), self._address)
            except OSError as error:
                self._failed(f"cannot notify systemd, which may end this as hung: {error.strerror or error}")


class Vitals:
    """Heartbeat of the first thread, and the page that everyone may read without asking it."""

    def __init__(self, directory: Path, notifier: Notifier, page: dict[str, Any], say: Callable[[str], None]) -> None:
        """`page` is the first one; the first thread replaces it as a whole and never changes it in place.

        `say` is told once where it cannot be written.
        """
        self._failed = _Once(say)
        self._path = directory / STATUS_FILE
        self._notifier = notifier
        self.page = page
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vitals", daemon=True)
        self.beat_s = time.monotonic()
        self.sync_since_s: float | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and take the page away: a stopped recorder has no status."""
        self._stop.set()
        self._thread.join()
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:  # the store is still to be closed
            self._failed(f"cannot remove the status page {self._path}: {error.strerror or error}")

    def _run(self) -> None:
        period_s = min(1.0, (self._notifier.watchdog_s or 2.0) / 3)
        stopping = False
        while not stopping:
            now = time.monotonic()
            sync_since = self.sync_since_s
            stalled = now - self.beat_s > STALL_S
            if not stalled:
                self._notifier.send("WATCHDOG=1")
            page = dict(self.page)
            page["stalled_s"] = round(now - self.beat_s, 3) if stalled else 0
            page["sync_outstanding_s"] = 0 if sync_since is None else round(now - sync_since, 3)
            self._notifier.send(f"STATUS={page['entries']} entries, {page['cycles']} open cycles")
            try:
                replace_unsynced(self._path, f"{json.dumps(page)}\n".encode(), 0o644)
            except OSError as error:  # a full or read-only runtime directory must not stop the watchdog
                self._failed(f"cannot write the status page {self._path}: {error.strerror or error}")
            stopping = self._stop.wait(period_s)
