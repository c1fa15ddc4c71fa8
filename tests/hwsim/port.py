"""An in-memory recorder that enforces the bounds of cycles, and clocks that only move when they are told to."""

from __future__ import annotations

import struct
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from typing import Any, Self

from recorder.client import Refused, Unavailable
from tests.hwsim.inline import InlineExecutor

REQUIRED = {
    "who": {"operator", "delegation"},
    "what": {"mode", "target", "magnitude", "unit", "duration_ms", "reversibility", "confirm_by_ms"},
    "why": {"evaluator", "clauses", "inputs", "alternatives"},
}
INT64 = range(-(2**63), 2**63)
STRUCT = {"<f4": "f", "<f8": "d", "<u8": "Q", "<i8": "q", "<u4": "I", "<i4": "i", "<u2": "H", "<i2": "h", "|u1": "B"}


@dataclass
class SimulatedClock:
    """Time that passes only in sleep, by `latency_ns` in each wait for the recorder, and by `stall`."""

    now_ns: int = 1_000_000_000

    def monotonic_ns(self) -> int:
        return self.now_ns

    def boottime_ns(self) -> int:
        return self.now_ns

    def sleep_until_ns(self, deadline_ns: int) -> None:
        self.now_ns = max(self.now_ns, deadline_ns)


@dataclass(frozen=True)
class MemoryReceipt:
    outcome: str = "admitted"


@dataclass(frozen=True)
class Call:
    """One call as the recorder got it."""

    verb: str
    at_ns: int
    arguments: dict[str, Any]


def check_claims(family: str, claims: dict[str, Any]) -> None:
    """Fail on a missing required claim or a value that no claim may hold."""
    missing = REQUIRED.get(family, set()) - claims.keys()
    assert not missing, f"{family} lacks {missing}"
    if family == "where" and claims:
        assert "frame" in claims
    if family == "what":
        assert claims["reversibility"] in {"reversible", "recoverable", "irreversible"}
        assert claims["confirm_by_ms"] is None or type(claims["confirm_by_ms"]) is int
    if family == "why":
        assert all("name" in given and "value" in given for given in claims["inputs"])
        assert all("action" in other and "reason" in other for other in claims["alternatives"])
    _check_plain(claims, 0)


def _check_plain(value: Any, depth: int) -> None:
    assert depth < 12
    if isinstance(value, dict):
        for key, inner in value.items():
            assert type(key) is str
            _check_plain(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_plain(inner, depth + 1)
    elif type(value) is float:
        assert isfinite(value)
    elif type(value) is int:
        assert value in INT64
    else:
        assert value is None or type(value) in (str, bool), f"{value!r} of {type(value)}"


@dataclass
class MemoryRecorder:
    """Keeps every call, and fails the test at the first one outside its cycle's bounds.

    Attributes:
        refuse: says of each call of open_cycle, by its number, which error it gives.
        after_open: called when a cycle has been opened; it may let time pass.

    """

    clock: SimulatedClock
    refuse: Callable[[int], Exception | None] = lambda _: None
    after_open: Callable[[], None] = lambda: None
    calls: list[Call] = field(default_factory=list)
    cycles: list[MemoryCycle] = field(default_factory=list)
    asked: int = 0
    lagging: object | None = None
    full: bool = False

    def open_cycle(
        self,
        *,
        who: dict[str, Any],
        why: dict[str, Any],
        actuators: list[str],
        action_classes: list[str],
        max_commits: int = 5000,
        valid_ms: int = 2000,
        supersedes: Any = None,
    ) -> MemoryCycle:
        self.asked += 1
        error = self.refuse(self.asked)
        if error is not None:
            raise error
        check_claims("who", who)
        check_claims("why", why)
        assert supersedes is None or supersedes in self.cycles
        assert 0 < max_commits <= 5000
        cycle = MemoryCycle(self, actuators, max_commits, self.clock.now_ns + valid_ms * 1_000_000)
        self.cycles.append(cycle)
        self.keep("open_cycle", who=who, why=why, supersedes=supersedes, action_classes=action_classes)
        self.after_open()
        return cycle

    def event(self, event_class: str, /, *, actuators: list[str], what: dict[str, Any], reason: str) -> None:
        check_claims("what", what)
        self.keep("event", event_class=event_class, actuators=actuators, what=what, reason=reason)

    def gap(self, *, actuators: list[str], lost_count: int | None, duration_ms: int, reason: str) -> None:
        assert duration_ms >= 0
        self.keep("gap", actuators=actuators, lost_count=lost_count, duration_ms=duration_ms, reason=reason)

    def flush(self, timeout_s: float, /) -> None:
        self.keep("flush", timeout_s=timeout_s)

    def keep(self, verb: str, **arguments: Any) -> None:
        self.calls.append(Call(verb, self.clock.now_ns, arguments))

    def of(self, verb: str) -> list[Call]:
        return [call for call in self.calls if call.verb == verb]


@dataclass(eq=False)
class MemoryCycle:
    """A cycle whose bounds are asserted at every use."""

    recorder: MemoryRecorder
    actuators: list[str]
    commits_left: int
    not_after_ns: int
    open: bool = False

    def __enter__(self) -> Self:
        self.open = True
        return self

    def __exit__(self, *_: object) -> None:
        assert self.open, "closed twice or never entered"
        self.open = False

    def commit(
        self, actuator: str, /, *, what: dict[str, Any], where: dict[str, Any], deadline_ms: int = 0
    ) -> MemoryReceipt:
        self.use(actuator, what, where)
        assert self.recorder.clock.now_ns + deadline_ms * 1_000_000 <= self.not_after_ns, "may be durable too late"
        self.recorder.keep("commit", actuator=actuator, what=what, where=where)
        return MemoryReceipt()

    def submit(self, actuator: str, /, *, what: dict[str, Any], where: dict[str, Any]) -> Future[Any]:
        self.use(actuator, what, where)
        self.recorder.keep("commit", actuator=actuator, what=what, where=where)
        done: Future[Any] = Future()
        done.set_result(MemoryReceipt())
        return done

    def stream(
        self,
        actuator: str,
        /,
        *,
        fields: list[tuple[str, str, int, str]],
        what: dict[str, Any],
        where: dict[str, Any],
    ) -> MemoryStream:
        assert actuator in self.actuators
        check_claims("what", what)
        check_claims("where", where)
        self.recorder.keep("stream", actuator=actuator, fields=fields, what=what, where=where)
        return MemoryStream(self, actuator, fields)

    def use(self, actuator: str, what: dict[str, Any], where: dict[str, Any]) -> None:
        check_claims("what", what)
        check_claims("where", where)
        self.spend(actuator)

    def spend(self, actuator: str) -> None:
        assert self.open, "used after its end"
        assert actuator in self.actuators
        assert self.recorder.clock.now_ns <= self.not_after_ns, "used after not_after"
        self.commits_left -= 1
        assert self.commits_left >= 0, "used more often than max_commits"


@dataclass(eq=False)
class MemoryStream:
    """Rows that must pack under their declared fields."""

    cycle: MemoryCycle
    actuator: str
    fields: list[tuple[str, str, int, str]]

    def record(self, values: Any, /, at_mono_ns: int | None = None) -> bool:
        assert at_mono_ns is None
        self.cycle.spend(self.actuator)
        assert len(values) == len(self.fields)
        for (_, kind, count, _), value in zip(self.fields, values, strict=True):
            struct.pack(f"<{count}{STRUCT[kind]}", *(value if count > 1 else [value]))
        self.cycle.recorder.keep("row", actuator=self.actuator, values=values)
        return not self.cycle.recorder.full


class LateFuture(Future[Any]):
    """The answer of a job that a `LateExecutor` runs; asking for it earlier lets the time pass."""

    def __init__(self, executor: LateExecutor, due_ns: int) -> None:
        super().__init__()
        self.executor, self.due_ns = executor, due_ns

    def done(self) -> bool:
        self.executor.run_due()
        return super().done()

    def result(self, timeout: float | None = None) -> Any:
        if not self.done():
            self.executor.clock.sleep_until_ns(self.due_ns)
            self.executor.run_due()
        return super().result(timeout)


class LateExecutor(Executor):
    """Runs each job, in order, some simulated time after it was given: what a slow card does to the worker."""

    def __init__(self, clock: SimulatedClock, delay_ms: int) -> None:
        self.clock, self.delay_ns = clock, delay_ms * 1_000_000
        self.jobs: list[tuple[LateFuture, Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> LateFuture:
        future = LateFuture(self, self.clock.now_ns + self.delay_ns)
        self.jobs.append((future, partial(fn, *args, **kwargs)))
        return future

    def run_due(self) -> None:
        while self.jobs and self.jobs[0][0].due_ns <= self.clock.now_ns:
            future, job = self.jobs.pop(0)
            given = InlineExecutor().submit(job)
            if given.exception() is not None:
                future.set_exception(given.exception())
            else:
                future.set_result(given.result())


def refused(reason: str) -> Refused:
    """The client's refusal, whatever else it carries."""
    return Refused([reason], "0", 0)


def unavailable() -> Unavailable:
    """The client's error when the daemon is away."""
    return Unavailable("no daemon")
