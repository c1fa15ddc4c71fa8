"""A program of its own: builds crash states of a traced run and opens each in a forked child.

A fork costs a thousandth of an interpreter's start, and needs a process without other threads, which a test runner is not.
What a child dies of, a signal included, and a child that does not end are findings like any other.

    python -m tests.faults.judge < PLAN > OUTCOME      (both JSON, see `Plan` and `Outcome`)
"""

from __future__ import annotations

import json
import os
import random
import re
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple, NoReturn
from unittest import mock

import msgspec

from recorder.daemon import boot
from tests.faults.disk import Disk
from tests.faults.recovery import findings
from tests.faults.replay import Moment, Promised, Promises, moments
from tests.faults.states import Left, left
from tests.faults.traced import Call, calls
from tests.running import records_of, verified

HANG_S = 240.0
KEPT_FINDINGS = 12
OS_BOOTS = (None, b"after a power cu")  # that states are opened in; None: the machine's own


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to build and open."""

    root: str  # the state directory of the runs, as they left it
    initial: str  # a copy of it from before them
    traces: list[str]
    journaled: bool
    thorough: bool
    seed: int
    states: int | None = None  # about this many, spread over all kinds of moments; None for all
    workers: int = 2
    part: tuple[int, int] = (0, 1)  # number of this part, number of parts
    after: str = ""  # only moments after a call whose words this pattern finds


class Outcome(msgspec.Struct):
    """What came of it."""

    moments: int = 0
    possible: int = 0  # states that the choice was from
    tried: int = 0
    failed: int = 0  # states with a finding
    found: list[str] = []  # the first ones

    def add(self, other: Outcome) -> None:
        """Join what another worker found."""
        self.tried += other.tried
        self.failed += other.failed
        self.found = (self.found + other.found)[:KEPT_FINDINGS]


class State(NamedTuple):
    """One crash state."""

    moment: Moment
    left: Left


def states(
    plan: Plan, traces: list[list[Call]], promised: Callable[[], Promises] = Promised
) -> Iterator[tuple[int, str, State]]:
    """All states with their number and the kind of their moment."""
    number = 0
    after = re.compile(plan.after)
    run = moments(Path(plan.root), Path(plan.initial), traces, journaled=plan.journaled, promised=promised())
    for moment in run:
        if not after.search(moment.after):
            continue
        chance = random.Random(f"{plan.seed} {moment.number}")
        for chosen in left(moment.disk.pending, chance, journaled=plan.journaled, thorough=plan.thorough):
            yield number, _kind(moment.disk), State(moment, chosen)
            number += 1


def chosen(
    plan: Plan, traces: list[list[Call]], promised: Callable[[], Promises] = Promised
) -> tuple[set[int] | None, int, int]:
    """Numbers of the states to try (None: all), how many there are, and at how many moments.

    An equal share of each kind of moment first, so that the few states around a rename or a roll are not lost among the many of
    ordinary commits; the rest is drawn from all.
    """
    kinds: dict[str, list[int]] = {}
    at: set[int] = set()
    count = 0
    for number, kind, state in states(plan, traces, promised):
        kinds.setdefault(kind, []).append(number)
        at.add(state.moment.number)
        count = number + 1
    if plan.states is None or plan.states >= count:
        return None, count, len(at)
    chance = random.Random(plan.seed)
    picked: set[int] = set()
    share = plan.states // (2 * len(kinds))
    for numbers in kinds.values():
        picked.update(chance.sample(numbers, min(share, len(numbers))))
    rest = sorted(set(range(count)) - picked)
    picked.update(chance.sample(rest, max(0, plan.states - len(picked))))
    return picked, count, len(at)


def _kind(disk: Disk) -> str:
    if not disk.pending:
        return "nothing pending"
    newest = disk.pending[-1]
    return f"{type(newest.change).__name__} {re.sub('[0-9a-f]{8,16}', '…', newest.label)}"


def main() -> None:
    """Read a plan, print an outcome."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    traces = [list(calls(Path(trace))) for trace in plan.traces]
    written = [raw for raw, _ in records_of(Path(plan.root))]
    verified(Path(plan.root))  # what is imported and cached here, no child has to do again
    numbers, possible, at = chosen(plan, traces)
    outcome = Outcome(moments=at, possible=possible)
    readers = []
    for worker in range(plan.workers):
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.close(reader)
            done = _work(plan, traces, written, numbers, worker)
            with os.fdopen(writer, "wb") as out:
                out.write(msgspec.json.encode(done))
            os._exit(0)
        os.close(writer)
        readers.append(reader)
    for reader in readers:
        with os.fdopen(reader, "rb") as answer:
            outcome.add(msgspec.json.decode(answer.read(), type=Outcome))
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


def _work(plan: Plan, traces: list[list[Call]], written: list[bytes], numbers: set[int] | None, worker: int) -> Outcome:
    outcome = Outcome()
    # In memory where there is a file system for it: nothing here needs a real disk to be right.
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as scratch:
        at = 0
        for number, _, state in states(plan, traces):
            if (numbers is not None and number not in numbers) or number % plan.part[1] != plan.part[0]:
                continue
            at += 1
            if at % plan.workers != worker:
                continue
            path = Path(scratch) / str(number)
            # A power cut is an OS boot; a kernel that took what was written and lost a process to kill -9 is none.
            os_boot = OS_BOOTS[number % len(OS_BOOTS)]
            found = [line.replace(f"{path}/", "") for line in _opened(path, state, written, os_boot)]
            outcome.tried += 1
            if found:
                outcome.failed += 1
                if len(outcome.found) < KEPT_FINDINGS:
                    words = f"state {number} ({'same' if os_boot is None else 'new'} OS boot, after {state.moment.after}; {state.left.words})"
                    outcome.found.append(f"{words}: {' | '.join(found[:4])}")
    return outcome


def _opened(path: Path, state: State, written: list[bytes], os_boot: bytes | None) -> list[str]:
    """Build a state and start on it in a child; what is wrong."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _child(path, state, written, os_boot, writer)
    os.close(writer)
    answer = _read(reader, time.monotonic() + HANG_S)
    if answer is None:
        os.kill(child, signal.SIGKILL)
    os.close(reader)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    shutil.rmtree(path, ignore_errors=True)
    if answer is None:
        return [f"no end after {HANG_S} s"]
    if status < 0:
        return [f"died of {signal.Signals(-status).name}"]
    if status:
        return [f"died: {answer.decode(errors='replace')[-300:]}"]
    found: list[str] = json.loads(answer)
    return found


def _child(path: Path, state: State, written: list[bytes], os_boot: bytes | None, writer: int) -> NoReturn:
    status = 1
    try:
        state.moment.disk.write_out(path, state.left.kept)
        with mock.patch.object(boot, "os_boot_id", return_value=os_boot) if os_boot else nullcontext():
            found = findings(path, state.moment.promised, written)
        os.write(writer, json.dumps(found).encode())
        status = 0
    except BaseException as error:  # noqa: BLE001 -- whatever it is, it is a finding; the parent goes on
        os.write(writer, repr(error).encode())
    finally:
        os._exit(status)


def _read(reader: int, until_s: float) -> bytes | None:
    parts: list[bytes] = []
    while select.select([reader], [], [], max(0.0, until_s - time.monotonic()))[0]:
        part = os.read(reader, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
    return None


if __name__ == "__main__":
    main()
