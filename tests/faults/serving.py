"""A real recorder, started as a user starts it, with its socket apart from its state."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

_MAIN = "import sys; from recorder.cli import main; main(sys.argv[1:])"
HANG_S = 240.0


class Serving:
    """One `lineage run`."""

    def __init__(
        self,
        state: Path,
        socket: Path,
        *,
        under: Sequence[str] = (),
        prelude: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start and wait until it records or has failed.

        Args:
            state: the state directory.
            socket: where it listens; its directory also gets the status page.
            under: a command that starts it.
            prelude: Python that runs in its process first.
            environment: more variables.

        """
        # Coverage's tracer writes files, takes memory and makes calls of its own.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        self.state, self.socket = state, socket
        self.process = subprocess.Popen(
            [*under, sys.executable, "-c", f"{prelude}\n{_MAIN}", "run", "--state", str(state), "--socket", str(socket)],
            stderr=subprocess.PIPE, text=True,
            env={**inherited, "PYTHONPATH": str(Path(__file__).parents[2]), **(environment or {})},
        )  # fmt: skip
        assert self.process.stderr is not None
        self.said = ""
        while "recording" not in self.said and (line := self.process.stderr.readline()):
            self.said += line

    @property
    def records(self) -> bool:
        """Whether it came so far as to serve."""
        return "recording" in self.said

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self, timeout_s: float = HANG_S) -> int:
        """Exit status, once it and whatever it runs under have ended."""
        status = self.process.wait(timeout_s)
        assert self.process.stderr is not None
        if not self.process.stderr.closed:
            self.said += self.process.stderr.read()  # a tracer holds it open to its own end
            self.process.stderr.close()
        return status

    @property
    def errors(self) -> list[str]:
        """What it said beside that it began and ended."""
        return [
            line for line in self.said.splitlines() if line and "recording" not in line and "stopped at" not in line
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
