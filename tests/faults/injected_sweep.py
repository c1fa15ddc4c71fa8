"""One failing system call at a time while claims are given up: in the recorder, and in the child that rewrites segments."""

from __future__ import annotations

import shutil
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path, PurePath
from subprocess import TimeoutExpired
from typing import Any, NamedTuple

from recorder.core.messages import Verb
from recorder.daemon import sweeper
from tests.daemon.raw import Raw
from tests.faults.clients import HungUp, commits, opened, receive
from tests.faults.injected import CALLS, ERRORS, MAKING_ROOM, Tried, in_words, named, traced_calls
from tests.faults.recovery import findings
from tests.faults.replay import Promised
from tests.faults.serving import HANG_S, Serving
from tests.faults.traced import Processes, below
from tests.faults.work import ASKED_EVERY_S, GIVES_UP, IN_HASTE, fill_and_seal
from tests.running import make_state

_UNHURRIED = "from recorder.daemon import upkeep; upkeep.TICK_S = 3600"
# The sweeper's program: the one child of that number runs under strace.
_UNDER_STRACE = """
import os, sys
with open({counted!r}, "ab") as counted:
    counted.write(b".")
if os.stat({counted!r}).st_size == {child}:
    os.execvp("strace", {under!r} + [sys.executable, "-c", {program!r}])
{program}
"""


class SweepFailing(NamedTuple):
    """The `number`th call of its name on a file fails in one child, once or from then on."""

    child: int  # counted from 1: the first one looks and says what goes, the second one erases
    call: str
    error: str
    number: int
    lasting: bool
    path: PurePath  # below the state directory

    def __str__(self) -> str:
        number = f"{self.number}{'+' if self.lasting else ''}"
        return f"{self.error} from {self.call} {number} of {in_words(self.path)} in child {self.child}"


def full(base: Path) -> Path:
    """A state with two sealed segments that nobody looked at yet, over what their class may hold."""
    state = make_state(base / "state", checkpoint_s=3600, **GIVES_UP)
    with Serving(state, base / "socket", prelude=_UNHURRIED) as serving, Raw(base / "socket") as raw:
        _, cycle = raw.open_cycle(valid_ms=60_000)
        fill_and_seal(raw, cycle)
        fill_and_seal(raw, cycle)
        serving.stop(signal.SIGKILL)  # SIGTERM is noticed at the next thing to do, in an hour
    return state


def erasing(socket: Path, promised: Promised) -> bool:
    """Claims go, or the recorder says that they cannot; then a commit.  False where the recorder hung up.

    Raises:
        TimeoutError: neither comes about.

    """
    with suppress(ConnectionError, HungUp), Raw(socket, hello=False) as raw:
        cycle = opened(raw, promised)
        until_s = time.monotonic() + HANG_S
        while not _is_over(raw, promised):
            if time.monotonic() > until_s:
                raise TimeoutError("claims neither go nor stay")
            time.sleep(ASKED_EVERY_S)
        commits(raw, cycle, promised, 1)
        return True
    return False


def _is_over(raw: Raw, promised: Promised) -> bool:
    raw.counter += 1
    raw.send([int(Verb.STATUS), raw.counter])
    _, page = receive(raw, promised)
    room: dict[str, Any] = page["room"]
    return room["failure"] is not None or (room["freed_bytes"] > 0 and not room["erasing"])


def possible_in_sweep(state: Path, scratch: Path) -> list[SweepFailing]:
    """The calls that children make on the state, and how they can fail."""
    made = traced_calls(state, scratch, erasing, IN_HASTE)
    processes = Processes(made)
    counts: Counter[tuple[int, str, PurePath]] = Counter()
    children: list[int] = []
    found: list[tuple[int, str, int, PurePath]] = []
    for call in made:
        process = processes.of(call.thread)
        if call.began and call.name in CALLS and process != made[0].thread:
            path = below(scratch / "state", named(call))
            if path is not None:
                if process not in children:
                    children.append(process)
                counts[process, call.name, path] += 1
                found.append((children.index(process) + 1, call.name, counts[process, call.name, path], path))
    return [
        SweepFailing(child, name, error, number, lasting, path)
        for child, name, number, path in found
        for error in ERRORS
        for lasting in (False, True)
    ]


def tried_in_sweep(state: Path, scratch: Path, failing: SweepFailing, broken: str = "") -> Tried:
    """Run the story on a copy with a failing call in a child, then start again without; everything that is wrong.

    Args:
        state: see `full`.
        scratch: an empty directory.
        failing: the call.
        broken: Python that runs in each child first, to break it on purpose.

    """
    state = Path(shutil.copytree(state, scratch / "state"))
    trace, counted = scratch / "trace of a child", scratch / "children"
    when = f"{failing.number}{'+' if failing.lasting else ''}"
    under = [
        *("strace", "-D", "-qq", "-o", str(trace), "-P", str(state / failing.path), "-e", f"trace={failing.call}"),
        *("-e", f"inject={failing.call}:error={failing.error}:when={when}"),
    ]
    program = _UNDER_STRACE.format(
        counted=str(counted), child=failing.child, under=under, program=broken + sweeper._PROGRAM
    )
    prelude = f"{IN_HASTE}\nfrom recorder.daemon import sweeper; sweeper._PROGRAM = {program!r}"
    promised = Promised()
    done = Tried(0)
    with Serving(state, scratch / "socket", prelude=prelude) as serving:
        try:
            if not (serving.records and erasing(scratch / "socket", promised)):
                done.found.append("ends because of its child")
                done.status = serving.wait()
            else:
                done.status = serving.stop()
        except (TimeoutError, TimeoutExpired) as error:
            done.found.append(f"hangs: {error!r}")
    if done.status or len(serving.errors) != 1 or not serving.errors[0].startswith(MAKING_ROOM):
        done.found.append(f"status {done.status}, and says {serving.errors}")
    if not trace.exists() or "(INJECTED)" not in trace.read_text():
        done.found.append("nothing failed")
    done.found += findings(state, promised)
    shutil.rmtree(state)
    trace.unlink(missing_ok=True)
    counted.unlink()
    return done
