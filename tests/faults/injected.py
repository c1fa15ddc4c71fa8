"""One failing system call at a time: which calls a run makes on its state, and that run with one of them failing."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from subprocess import TimeoutExpired
from typing import NamedTuple

from recorder.core.messages import Verb
from tests.daemon.raw import Raw
from tests.faults.clients import HungUp, commits, opened, receive
from tests.faults.recovery import findings
from tests.faults.replay import Promised, note_reply
from tests.faults.traced import TRACE_ALL, Call, Processes, Traced, below, calls, descriptor, strings

CALLS = ("pwrite64", "writev", "write", "fdatasync", "fsync", "ftruncate", "rename")
ERRORS = ("EIO", "ENOSPC")
_LIVE = re.compile(r"segments/[0-9]{8}/data\.mdb$")  # entries; a segment that is being made ends in .tmp


Story = Callable[[Path, Promised], bool]  # False where the recorder hung up
MAKING_ROOM = "lineage: making room: "  # the sweeper's child could not go on, which ends nothing


class Failing(NamedTuple):
    """The `number`th call of its name in each thread fails, once or from then on."""

    call: str
    error: str
    number: int
    lasting: bool
    place: str  # the file of such a call, in words

    def __str__(self) -> str:
        return f"{self.error} from {self.call} {self.number}{'+' if self.lasting else ''} ({self.place})"


@dataclass(slots=True)
class Tried:
    """What came of a run in which a call failed."""

    status: int
    found: list[str] = field(default_factory=list)


def story(socket: Path, promised: Promised) -> bool:
    """Everything that writes: commits alone and in groups, checkpoints, a roll; False where the recorder hung up.

    Raises:
        TimeoutError: a recorder that is there does not answer.

    """
    with suppress(ConnectionError, HungUp), Raw(socket, hello=False) as raw:
        cycle = opened(raw, promised)
        for step in (1, 1, Verb.CHECKPOINT, 20, Verb.SEAL, 1, Verb.CHECKPOINT, 3):
            if isinstance(step, Verb):
                raw.counter += 1
                raw.send([int(step), raw.counter])
                receive(raw, promised)
            else:
                commits(raw, cycle, promised, step, window=step)
        return True
    return False


def traced_calls(state: Path, scratch: Path, told: Story, prelude: str = "") -> list[Call]:
    """Run a story on a copy at `scratch / "state"`, without any failure."""
    state = Path(shutil.copytree(state, scratch / "state"))
    with Traced(state, scratch / "socket", scratch / "trace", prelude=prelude) as traced:
        assert told(scratch / "socket", Promised())
        assert traced.stop() == 0, traced.said
    shutil.rmtree(state)
    return list(calls(scratch / "trace"))


def possible(state: Path, scratch: Path, told: Story = story, prelude: str = "") -> list[Failing]:
    """The recorder's calls on its state in a story, and how they can fail.

    strace counts in each thread, so the threads that make the next segment fail at the same number, if they come so far; and so
    do child processes, whose own calls are not among these.
    """
    made = traced_calls(state, scratch, told, prelude)
    processes = Processes(made)
    counts: Counter[tuple[int, str]] = Counter()
    places: dict[tuple[str, int], str] = {}  # by call and number; the main thread makes the first call of all
    for call in made:
        if call.began and call.name in CALLS and processes.of(call.thread) == made[0].thread:
            counts[call.thread, call.name] += 1
            path = below(scratch / "state", named(call))
            if path is not None:
                places.setdefault((call.name, counts[call.thread, call.name]), in_words(path))
    return [
        Failing(name, error, number, lasting, place)
        for (name, number), place in places.items()
        for error in ERRORS
        for lasting in ((False,) if name == "write" else (False, True))  # else nothing could be said any more
    ]


def tried(state: Path, scratch: Path, failing: Failing, told: Story = story, prelude: str = "") -> Tried:
    """Run a story on a copy with a failing call, then start again without; everything that is wrong."""
    state = Path(shutil.copytree(state, scratch / "state"))
    when = f"{failing.number}{'+' if failing.lasting else ''}"
    options = (*TRACE_ALL, "-e", f"inject={failing.call}:error={failing.error}:when={when}")
    promised = Promised()
    done = Tried(0)
    with Traced(state, scratch / "socket", scratch / "trace", prelude=prelude, options=options) as traced:
        try:
            if traced.records:
                done.status = traced.stop() if told(scratch / "socket", promised) else traced.wait()
            else:
                done.status = traced.wait()
        except (TimeoutError, TimeoutExpired) as error:
            done.found.append(f"hangs: {error!r}")
    done.found += _unclear(traced, done.status)
    done.found += _went_on(list(calls(scratch / "trace")), state, done.status)
    done.found += findings(state, promised)
    shutil.rmtree(state)
    (scratch / "trace").unlink()
    return done


def _unclear(traced: Traced, status: int) -> list[str]:
    """Whether a failure is one line and an exit status."""
    errors = [line for line in traced.errors if not line.startswith(MAKING_ROOM)]
    if any(not line.startswith("lineage: ") for line in errors):
        return [f"says more than a line of its own: {errors}"]
    if status not in (0, 1, 2):
        return [f"ends with status {status}"]
    if len(errors) != (status != 0):
        return [f"status {status} with {len(errors)} lines of error: {errors}"]
    return []


def _went_on(trace: list[Call], state: Path, status: int) -> list[str]:
    """Whether it acknowledged anything, or ended well, after a write or sync of entries had failed; a child may fail."""
    failed = ""
    processes = Processes(trace)
    for call in trace:
        if processes.of(call.thread) != trace[0].thread:
            continue
        if call.is_injected and call.name != "rename" and _LIVE.search(named(call)) and below(state, named(call)):
            failed = failed or f"{call.name} of {below(state, named(call))}"
        elif failed and call.began and call.name in ("sendto", "sendmsg"):
            later = Promised()
            note_reply(later, strings(call.arguments)[0])
            if later.entries:
                return [f"acknowledges entries {sorted(later.entries)} after a failed {failed}"]
    return [f"ends with status 0 after a failed {failed}"] if failed and status == 0 else []


def in_words(path: PurePath) -> str:
    """A file, whatever the incarnation is."""
    return re.sub("[0-9a-f]{16}", "…", str(path))


def named(call: Call) -> str:
    """The file that a call is for."""
    return strings(call.arguments)[0].decode() if call.name == "rename" else descriptor(call.arguments)[1]
