"""The recorder's end of the child that rewrites sealed segments."""

from __future__ import annotations

import signal
import subprocess
import sys

import msgspec

from recorder.daemon.sweep import Order, Outcome

_PROGRAM = "from recorder.daemon.sweep import main; main()"


class Sweeper:
    """At most one child at a time; never waited for but at the end."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether one is at work, or its outcome was not fetched."""
        return self._child is not None

    def start(self, order: Order) -> None:
        """Send a child.

        Raises:
            OSError: none can be made.

        """
        child = subprocess.Popen([sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 -- ourselves
        self._child = child
        assert child.stdin is not None, "a pipe"
        with child.stdin:
            child.stdin.write(msgspec.json.encode(order))  # less than a pipe holds: a thousand holds at most

    def fetch(self) -> Outcome | None:
        """What a child said that has ended; None while it works, or where there is none."""
        child = self._child
        if child is None or child.poll() is None:
            return None
        self._child = None
        assert child.stdout is not None, "a pipe"
        with child.stdout:
            said = child.stdout.read()
        if child.returncode < 0:
            return Outcome(error=f"reading the sealed segments ended with {signal.Signals(-child.returncode).name}")
        try:
            return msgspec.json.decode(said, type=Outcome)
        except msgspec.MsgspecError:
            return Outcome(error=f"reading the sealed segments ended with status {child.returncode}")

    def close(self) -> None:
        """End it wherever it is: the old file of a segment is whole until the new one is."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            assert child.stdout is not None, "a pipe"
            child.stdout.close()
