"""A recorder in a process of its own, for `demo` and `bench`: the very command that a service would start."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from recorder.audit.state import SOCKET
from recorder.bench.starting import undisturbed
from recorder.client import Recorder, Unavailable
from recorder.core.errors import LineageError
from recorder.daemon import interpreter

START_S = 60.0
SUN_PATH_MAX = 107
STOP_S = 30.0
_CPU_CLOCK = 2  # CPUCLOCK_SCHED of include/linux/posix-timers_types.h: to the nanosecond
POLL_S = 0.002
_PROGRAM = """
import sys
from recorder.daemon.interpreter import end_with
if end_with(int(sys.argv.pop(1))):
    from recorder.cli import main
    main()
"""


class ProcessError(LineageError):
    """The recorder's process did not start or end as it should; the message has its last words."""


@contextmanager
def short_socket(directory: Path) -> Iterator[Path]:
    """A path for a socket: in `directory`, or where that is too deep (unix(7)), in a temporary one under /tmp."""
    path = directory / SOCKET
    if len(os.fsencode(path)) <= SUN_PATH_MAX:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="lineage-", dir="/tmp") as shallow:
        yield Path(shallow) / SOCKET


class RecorderProcess:
    """`lineage run` on a state directory; it ends with the thread that started it, however that ends."""

    def __init__(self, state: Path, path: Path, log: Path) -> None:
        """Prepare; `start` starts it.

        Args:
            state: the state directory.
            path: of its socket.
            log: file for what it says.

        """
        self.state = state
        self.path = path
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process is not None, "it was started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> float:
        """Start it; returns the seconds until it answered its first hello.

        Raises:
            ProcessError: it ended, or does not answer.

        """
        began = time.monotonic()
        run = ("run", "--state", self.state, "--socket", self.path)
        command, env = interpreter.command(_PROGRAM, str(os.getpid()), *run), interpreter.environment()
        with self.log.open("ab") as log, undisturbed():
            self._process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603
        while time.monotonic() - began < START_S:
            if self._process.poll() is not None:
                raise ProcessError(f"the recorder ended with status {self._process.returncode}: {self._last_words()}")
            if self._listens() and self._answers():
                return time.monotonic() - began
            time.sleep(POLL_S)
        raise ProcessError(f"the recorder did not answer within {START_S:.0f} s: {self._last_words()}")

    def stop(self) -> int:
        """End it cleanly and return its exit status.

        Raises:
            ProcessError: it does not end.

        """
        assert self._process is not None, "it was started"
        self._process.send_signal(signal.SIGCONT)  # in case it was paused
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise ProcessError(f"the recorder did not stop within {STOP_S:.0f} s: {self._last_words()}") from None

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """SIGSTOP."""
        assert self._process is not None, "it was started"
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._process is not None, "it was started"
        self._process.send_signal(signal.SIGCONT)

    def limit_files(self, file_max_bytes: int | None) -> None:
        """Let it write no file beyond this size (RLIMIT_FSIZE); None: as it was started, which is as we were."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (soft if file_max_bytes is None else file_max_bytes, hard))

    def memory_kib(self) -> dict[str, int]:
        """RssAnon and RssFile of /proc/PID/status."""
        fields = self._fields("status")
        return {name: int(fields[name].split()[0]) for name in ("RssAnon", "RssFile")}

    def cpu_s(self) -> float:
        """User and system time of all its threads so far, by the clock that clock_getcpuclockid(3) names."""
        return time.clock_gettime(~self.pid << 3 | _CPU_CLOCK)

    def file_bytes(self) -> int:
        """What it wrote to files so far by write(2) and its like: wchar of /proc/PID/io, which leaves sockets out."""
        return int(self._fields("io")["wchar"])

    def _fields(self, name: str) -> dict[str, str]:
        lines = Path(f"/proc/{self.pid}/{name}").read_text("ascii", errors="replace").split("\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def _listens(self) -> bool:
        """A cheap look, which leaves the processor to the one that starts."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            try:
                probe.connect(str(self.path))
            except OSError:  # not there yet; or too long a path, of which the recorder itself will speak
                return False
        return True

    def _answers(self) -> bool:
        with Recorder(self.path, client_name="lineage", timeout_ms=int(START_S * 1000)) as recorder:
            try:
                return recorder.hello.boot > 0
            except Unavailable:
                return False

    def _last_words(self) -> str:
        said = self.log.read_text("utf-8", errors="replace").strip().split("\n")
        return said[-1] or "it said nothing"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.kill()
