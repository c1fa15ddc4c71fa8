"""Commands of ours beside a demo: one that ends by itself, and one that runs until the story is told."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recorder.daemon import interpreter

ENDS_S = 30.0
# Killed with us, so that nothing is left behind however the demo ends.
_PROGRAM = """
import sys
from recorder.daemon.interpreter import end_with
if end_with(int(sys.argv.pop(1))):
    from recorder.cli import main
    main()
"""


def command(*arguments: Path | str) -> list[str]:
    """The command line of `lineage ARGUMENTS`, which ends when this process does."""
    return interpreter.command(_PROGRAM, str(os.getpid()), *arguments)


@contextmanager
def running(log: Path, *arguments: Path | str) -> Iterator[subprocess.Popen[bytes]]:
    """`lineage ARGUMENTS` until the block ends, then SIGTERM; what it says goes to `log`."""
    with (
        log.open("ab") as said,
        subprocess.Popen(  # noqa: S603 -- ourselves
            command(*arguments), env=interpreter.environment(), stdin=subprocess.DEVNULL, stdout=said, stderr=said
        ) as process,
    ):
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(ENDS_S)


def said(*arguments: Path | str) -> tuple[int, list[str]]:
    """Exit status of `lineage ARGUMENTS`, and its lines on both outputs."""
    done = subprocess.run(  # noqa: S603 -- ourselves
        command(*arguments), env=interpreter.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False, timeout=ENDS_S,
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines()
