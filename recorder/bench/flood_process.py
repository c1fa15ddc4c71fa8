"""The flood of `bench` as its parent sees it: begun, ended, and what it did."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from recorder.bench.process import ProcessError
from recorder.bench.starting import undisturbed

COMMAND = (sys.executable, "-c", "from recorder.bench.flood import main; main()")
END_S = 10.0


class FloodProcess:
    """A flood for the time of a `with`; it ends by itself after `seconds`, and when this process is no more."""

    def __init__(self, path: Path, seconds: float, log: Path) -> None:
        """Prepare; entering begins it.

        Args:
            path: the recorder's socket.
            seconds: the longest that it may last.
            log: file for what goes wrong in it.

        """
        self._command = [*COMMAND, str(path), str(seconds)]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process is not None, "it was begun"
        return self._process.pid

    def end(self) -> dict[str, int | float]:
        """End it; returns what it did, as `flood.flood` counts it.

        Raises:
            ProcessError: it had ended otherwise, or does not end.

        """
        assert self._process is not None, "it was begun"
        try:
            said, _ = self._process.communicate(timeout=END_S)  # closes its standard input
        except subprocess.TimeoutExpired:
            raise ProcessError(f"the flood did not end within {END_S:.0f} s") from None
        if self._process.returncode != 0 or not said:
            raise self._failed()
        did: dict[str, int | float] = json.loads(said)
        return did

    def _failed(self) -> ProcessError:
        assert self._process is not None, "it was begun"
        said = self._log.read_text("utf-8", errors="replace").strip().split("\n")
        return ProcessError(f"the flood failed: {said[-1] or 'nothing of it was recorded in its time'}")

    def __enter__(self) -> Self:
        try:
            with self._log.open("ab") as log, undisturbed():
                self._process = subprocess.Popen(  # noqa: S603 -- our own command
                    self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
                )
            assert self._process.stdout is not None, "a pipe"
            began = self._process.stdout.readline()
        except BaseException:  # interrupted; without an entry there is no exit
            self._kill()
            raise
        if began != b"flooding\n":  # it failed, or its time was over before anything was recorded
            self._kill()
            raise self._failed()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._kill()

    def _kill(self) -> None:
        if self._process is None:
            return
        self._process.kill()  # does nothing to one that was waited for
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
