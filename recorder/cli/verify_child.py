"""Checking one incarnation in a process of its own: a damaged store may end the process that reads it.

LMDB reads through a memory map: a page that is missing or wrong is a signal, not an error.  The request goes in on
standard input and the outcome comes out on standard output, both as JSON; progress and notes go to standard error.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import msgspec

from recorder.audit.forked import BroughtFork
from recorder.audit.incarnations import Outcome, Standing, check_in_force, check_other, unreadable
from recorder.cli import output
from recorder.cli.options import opened
from recorder.core.controls import Previous
from recorder.core.errors import LineageError
from recorder.core.trust import parse_trust
from recorder.core.verdict import TailBound
from recorder.daemon import interpreter
from recorder.store.errors import StoreDamagedError

_CRASHES = (signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT)
_PROGRAM = "from recorder.cli.verify_child import main; main()"


class CheckEndedError(LineageError):
    """The process that checked was killed."""


class Request(NamedTuple):
    """What is to be checked."""

    state: str
    socket: str | None
    trust: bytes | None  # a trust file
    known: list[bytes]  # signed notes
    incarnation: str | None = None  # None: the one in force
    standing: Standing = "named"
    previous: list[Previous] = []  # noqa: RUF012 -- a default that nobody changes
    forks: list[BroughtFork] = []  # noqa: RUF012 -- the same
    tail_max: TailBound | None = None  # of the one in force: others are over, and the next one is held to their heads


def checked(request: Request) -> Outcome:
    """Check in a process of its own.

    Raises:
        CheckEndedError: it was ended from outside.

    """
    program, env = interpreter.command(_PROGRAM), interpreter.environment()
    asked = msgspec.json.encode(request)
    done = subprocess.run(program, input=asked, stdout=subprocess.PIPE, check=False, env=env)  # noqa: S603 -- ourselves
    if done.returncode == 0:
        return msgspec.json.decode(done.stdout, type=Outcome)
    if done.returncode > 0:
        raise CheckEndedError(f"the process that checked failed with status {done.returncode}")
    ended = signal.Signals(-done.returncode)
    if ended not in _CRASHES:
        raise CheckEndedError(f"the check was ended from outside by {ended.name}")
    detail = f"reading the store ends the process with {ended.name}: pages are missing or are not what was written"
    standing = None if request.incarnation is None else request.standing
    return Outcome(None, unreadable(detail, request.previous), None, standing)


def main() -> None:
    """The child."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    try:
        outcome = _check(request)
    except KeyboardInterrupt:
        sys.exit(130)  # whoever waits for us was interrupted too, and says so
    except (LineageError, OSError) as error:
        outcome = Outcome(None, standing=None if request.incarnation is None else request.standing, error=why(error))
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


def why(error: Exception) -> str:
    """What went wrong, in a line."""
    if isinstance(error, OSError) and not isinstance(error, LineageError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    return str(error)


def _check(request: Request) -> Outcome:
    trust = parse_trust(request.trust) if request.trust is not None else None
    state = Path(request.state)
    if request.incarnation is not None:
        with output.Progress(f"verifying {request.incarnation}") as progress:
            return check_other(
                state, request.incarnation, request.standing, request.previous,
                trust=trust, known=request.known, progress=progress, forks=request.forks,
            )  # fmt: skip
    try:
        socket = None if request.socket is None else Path(request.socket)
        with opened(state, None, socket) as source, output.Progress("verifying") as progress:
            return check_in_force(source, trust, request.known, progress, request.forks, request.tail_max)
    except StoreDamagedError as error:
        return Outcome(None, unreadable(str(error)))
