"""What a signed policy adds to an opening and to a commit: two recorders asked the same in turn, one of them gated."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from recorder.bench import governed, place
from recorder.bench.acts import ACTUATOR, PATIENCE_MS, WHAT, WHERE
from recorder.bench.figure import Figure, times
from recorder.bench.governed import Ground
from recorder.bench.process import RecorderProcess, short_socket
from recorder.client import Recorder

MEASURE = "gate"
SEGMENT_MIB = 64
SIGNED = 5  # inputs of the opening that shows what one of them costs
COMMITS = 3  # under each cycle
TURNS_MIN = 5
TABLE, POLICY, OBSERVED = "table", "policy", "observed"  # who decides; the last with signed inputs
OPEN, COMMIT = "opening", "commit"
UNGATED = "under the configured table"


class _Took(NamedTuple):
    """Seconds of one kind of request in one round, and seconds of CPU of the recorder, each by its own clock."""

    each_s: list[float]
    cpu_s: list[float]


class _Side(NamedTuple):
    """One recorder and its client; where it is under a policy, by what."""

    recorder: RecorderProcess
    client: Recorder
    ground: Ground | None


_Round = dict[tuple[str, str], _Took]  # by who decides, and what was asked for


def measure(root: Path, log: Path, rounds: int, seconds: float, tell: Callable[[str], None]) -> list[Figure]:
    """Open and commit in turn under the configured table and under a policy.

    Args:
        root: where to make both recorders.
        log: for the recorders' words.
        rounds: how many.
        seconds: for all of them.
        tell: what is going on.

    """
    root.mkdir()
    done: list[_Round] = []
    with ExitStack() as stack:
        table = _side(stack, root / TABLE, log, is_governed=False)
        policy = _side(stack, root / POLICY, log, is_governed=True)
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}: openings and commits, gated and not")
            done.append(_round(table, policy, seconds / rounds))
        memory = [
            Figure(MEASURE, f"RssAnon {under}", "MiB", side.recorder.memory_kib()["RssAnon"] / 1024)
            for under, side in ((UNGATED, table), ("under a policy", policy))
        ]
    return _figures(done) + memory


def _side(stack: ExitStack, state: Path, log: Path, *, is_governed: bool) -> _Side:
    root, trust = governed.trust()
    place.make(state, [ACTUATOR], SEGMENT_MIB, trust=trust)
    socket = stack.enter_context(short_socket(state))
    recorder = stack.enter_context(RecorderProcess(state, socket, log))
    recorder.start()
    ground = governed.put_in_force(recorder, root) if is_governed else None
    client = stack.enter_context(Recorder(recorder.path, client_name="bench", timeout_ms=PATIENCE_MS))
    place.settle(recorder, client)
    return _Side(recorder, client, ground)


def _round(table: _Side, policy: _Side, seconds: float) -> _Round:
    done: _Round = {(who, what): _Took([], []) for who in (TABLE, POLICY, OBSERVED) for what in (OPEN, COMMIT)}
    turns, end = 0, time.perf_counter() + seconds
    while turns < TURNS_MIN or time.perf_counter() < end:
        turns += 1
        for who, side, signed in ((TABLE, table, 0), (POLICY, policy, 0), (OBSERVED, policy, SIGNED)):
            _turn(side, signed, done[who, OPEN], done[who, COMMIT])
    return done


def _turn(side: _Side, signed: int, opening: _Took, committing: _Took) -> None:
    said = governed.inputs(side.ground, signed)
    delegation = bytes(32) if side.ground is None else side.ground.delegation
    with _timed(side, opening):
        cycle = governed.opened(side.client, delegation, said)
    with cycle:
        for _ in range(COMMITS):
            with _timed(side, committing):
                cycle.commit(ACTUATOR, what=WHAT, where=WHERE)


@contextmanager
def _timed(side: _Side, took: _Took) -> Iterator[None]:
    cpu_s, began = side.recorder.cpu_s(), time.perf_counter()
    yield
    took.each_s.append(time.perf_counter() - began)
    took.cpu_s.append(side.recorder.cpu_s() - cpu_s)


def _figures(done: list[_Round]) -> list[Figure]:
    opening, figures = f"opening, {len(governed.INPUTS)} inputs, {len(governed.CLAUSES)} clauses", []
    for what, name in ((OPEN, opening), (COMMIT, "commit under it")):
        each_s, floor_s = ([one[who, what].each_s for one in done] for who in (POLICY, TABLE))
        figures.append(times(MEASURE, name, each_s, UNGATED, floor_s))
        figures += _added(what, POLICY, TABLE, what, 1, done)
    return [*figures, *_added("signed input", OBSERVED, POLICY, OPEN, SIGNED, done)]


def _added(name: str, who: str, over: str, what: str, parts: int, done: list[_Round]) -> Iterator[Figure]:
    """What one side's median is above that of the other in the same round, for each of so many parts."""
    for clock, of in (("", 0), (", CPU of the recorder", 1)):
        added = [(median(one[who, what][of]) - median(one[over, what][of])) / parts * 1e6 for one in done]
        yield Figure(MEASURE, f"{name}: added{clock}", "µs", median(added), rounds=tuple(added))
