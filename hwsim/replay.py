"""A flight replayed through the recorder with its real timing.

Each actuator topic becomes one actuator's rows, each mode change a commit, each dropout of the log a declared gap.
Every row holds the log's own timestamp; its time on the recorder's clock is when it was replayed. Attitude and position
are the where of each cycle, so a cycle is short and hands over to the next at half its life, long before it expires.
"""

from __future__ import annotations

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hwsim.flight import MODE_ACTUATOR, Dropout, Flight, Mode, UnreadableFlight, load_excerpt
from hwsim.flight_grants import COMMIT_DEADLINE_MS, MAX_COMMITS, VALID_MS, Grant, Grants
from hwsim.lease import close_lease, outcome, record_row
from hwsim.pacing import NS_PER_MS, NS_PER_S, Clock, SystemClock
from hwsim.report import ReplayReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hwsim.ports import RecorderPort

TOLERANCE_NS = 20 * NS_PER_MS  # a row later than this counts as an overrun
RETRY_NS = 500 * NS_PER_MS
PROGRESS_NS = 500 * NS_PER_MS
FLUSH_S = 5.0

Item = tuple[int, int | Mode | Dropout, int]
"""When (at_us), what (a track's index, a mode or a dropout), and the row's index in its track."""


def load_flight(path: Path) -> Flight:
    """Read a ULog, or an excerpt of one (.npz)."""
    if path.suffix == ".npz":
        return load_excerpt(path)
    try:
        # Here and not above: the shipped excerpt replays on a device that does not have pyulog.
        from hwsim.ulog import read_ulog  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "pyulog":
            raise
        message = f"{path}: reading a ULog needs the package pyulog"
        raise UnreadableFlight(message) from error
    return read_ulog(path)


def timeline(flight: Flight) -> Iterator[Item]:
    """Yield all that happens in the flight in order of time; a dropout when it ends, since it tells of what is over."""
    at_us = np.concatenate([track.at_us for track in flight.tracks])
    of = np.concatenate([np.full(len(track.at_us), number) for number, track in enumerate(flight.tracks)])
    row = np.concatenate([np.arange(len(track.at_us)) for track in flight.tracks])
    order = np.argsort(at_us, kind="stable")
    rows: list[Item] = list(zip(at_us[order].tolist(), of[order].tolist(), row[order].tolist(), strict=True))
    others: list[Item] = [(mode.at_us, mode, 0) for mode in flight.modes]
    others += [(dropout.at_us + dropout.duration_ms * 1000, dropout, 0) for dropout in flight.dropouts]
    yield from sorted([*others, *rows], key=lambda item: item[0])


def run_replay(
    recorder: RecorderPort,
    source: Path | Flight,
    *,
    speed: float = 1.0,
    seconds: float | None = None,
    on_progress: Callable[[ReplayReport], None] | None = None,
    clock: Clock | None = None,
    worker: Executor | None = None,
) -> ReplayReport:
    """Replay a flight, or the first `seconds` of it, `speed` times as fast as it was flown."""
    if not (isfinite(speed) and speed > 0):
        message = f"speed {speed} is not a positive number"
        raise ValueError(message)
    if seconds is not None and not seconds > 0:
        message = f"seconds {seconds} is not a positive number"
        raise ValueError(message)
    flight = source if isinstance(source, Flight) else load_flight(source)
    if seconds is not None:
        flight = flight.first(seconds)
    clock = clock or SystemClock()
    with ExitStack() as stack:
        worker = worker or stack.enter_context(ThreadPoolExecutor(1, "hwsim-recorder"))
        replay = Replay(recorder, clock, worker, flight, speed)
        replay.prepare()
        started_ns = shown_ns = clock.monotonic_ns()
        for item in timeline(flight):
            due_ns = started_ns + round((item[0] - flight.start_us) * 1000 / speed)
            clock.sleep_until_ns(due_ns)
            now_ns = clock.monotonic_ns()
            replay.note_lateness(now_ns - due_ns)
            replay.play(item)
            replay.report.wall_s = (now_ns - started_ns) / NS_PER_S
            if now_ns - shown_ns >= PROGRESS_NS:
                shown_ns = now_ns
                replay.report.lagging += recorder.lagging is not None
                if on_progress is not None:
                    on_progress(replay.report)
        replay.finish()
        replay.report.wall_s = (clock.monotonic_ns() - started_ns) / NS_PER_S
        return replay.report


@dataclass
class Loss:
    """What no cycle has covered since a time."""

    since_ns: int
    counts: dict[str, int] = field(default_factory=dict)


class Replay:
    """Where a replay stands; `play` takes one item of the timeline."""

    def __init__(self, recorder: RecorderPort, clock: Clock, worker: Executor, flight: Flight, speed: float) -> None:
        self.report = ReplayReport(flight=flight.name, flight_s=flight.duration_s, speed=speed)
        self._recorder = recorder
        self._clock = clock
        self._worker = worker
        self._grants = Grants(recorder, clock, self.report, flight)
        self._flight = flight
        self._speed = speed
        self._grant: Grant | None = None
        self._asked: Future[Grant] | None = None
        self._working: list[Future[bool]] = []
        self._retry_ns = 0
        self._loss: Loss | None = None

    def prepare(self) -> None:
        """Open the first cycle before the flight's clock starts."""
        self._renew(self._flight.start_us)
        self._take()

    def play(self, item: Item) -> None:
        """Record one item."""
        at_us, what, index = item
        if isinstance(what, Dropout):
            self._declare_dropout(what)
            return
        spare_ms = COMMIT_DEADLINE_MS if isinstance(what, Mode) else 0
        grant = self._covering(at_us, spare_ms)
        if isinstance(what, Mode):
            self._change_mode(grant, what)
            return
        track = self._flight.tracks[what]
        if grant is None:
            self._lose(track.actuator)
            self.report.unrecorded_rows += 1
            return
        record_row(grant.lease, grant.streams[what], track.row(index), self.report)
        counts = self.report.rows_by_actuator
        counts[track.actuator] = counts.get(track.actuator, 0) + 1

    def finish(self) -> None:
        """Settle what is under way, end the cycle, and wait until everything is durable."""
        self._take()
        self._release()
        while self._working:
            self._settle(self._working.pop(0))
        self._declare_loss()
        outcome(self._worker.submit(self._recorder.flush, FLUSH_S), self.report)

    def note_lateness(self, late_ns: int) -> None:
        """Keep how far the replay is behind its absolute schedule."""
        self.report.latest_ms = max(self.report.latest_ms, late_ns / NS_PER_MS)
        self.report.overruns += late_ns > TOLERANCE_NS

    def _covering(self, at_us: int, spare_ms: int) -> Grant | None:
        """Return a grant that admits one more act now, or None when the recorder gives none."""
        now_ns = self._clock.boottime_ns()
        grant = self._grant
        if grant is None or not grant.lease.admits(now_ns, MAX_COMMITS // 2, spare_ms=VALID_MS // 2):
            self._renew(at_us)
        if self._asked is not None and (self._asked.done() or not self._admits(spare_ms)):
            self._take()  # waits only where nothing covers this act: a replay may be late, a row must not be lost
        while self._working and self._working[0].done():
            self._settle(self._working.pop(0))
        if not self._admits(spare_ms):
            return None
        self._declare_loss()
        return self._grant

    def _admits(self, spare_ms: int) -> bool:
        return self._grant is not None and self._grant.lease.admits(self._clock.boottime_ns(), spare_ms=spare_ms)

    def _renew(self, at_us: int) -> None:
        """Ask the worker for the next cycle, unless it is asked for or has just been refused."""
        if self._asked is None and self._clock.monotonic_ns() >= self._retry_ns:
            before = self._grant.lease if self._grant is not None and self._admits(0) else None
            self._asked = self._worker.submit(self._grants.open, at_us, before)

    def _take(self) -> None:
        """Wait for the next cycle and hand over to it."""
        if self._asked is None:
            return
        grant, self._asked = outcome(self._asked, self.report), None
        if grant is None:
            self._retry_ns = self._clock.monotonic_ns() + RETRY_NS
            return
        self._release()
        self._grant = grant

    def _release(self) -> None:
        """End the cycle in use; its rows are judged by their own times, so those on the way are not lost."""
        if self._grant is not None:
            self._working.append(self._worker.submit(close_lease, self._grant.lease))
            self._grant = None

    def _change_mode(self, grant: Grant | None, mode: Mode) -> None:
        if grant is None:
            self._lose(MODE_ACTUATOR)
            return
        grant.lease.spend()
        self._working.append(self._worker.submit(self._grants.commit_mode, grant.lease, mode))

    def _declare_dropout(self, dropout: Dropout) -> None:
        self._recorder.gap(
            actuators=list(self._grants.actuators),
            lost_count=None,
            duration_ms=round(dropout.duration_ms / self._speed),
            reason=f"dropout of {dropout.duration_ms} ms in the flight log at {dropout.at_us} us",
        )
        self.report.gaps += 1

    def _settle(self, job: Future[bool]) -> None:
        if outcome(job, self.report) is False:
            self._lose(MODE_ACTUATOR)

    def _lose(self, actuator: str) -> None:
        """Count what no cycle covers; it is declared as soon as there is one again, or at the end."""
        if self._loss is None:
            self._loss = Loss(self._clock.boottime_ns())
        self._loss.counts[actuator] = self._loss.counts.get(actuator, 0) + 1

    def _declare_loss(self) -> None:
        if self._loss is None:
            return
        self._recorder.gap(
            actuators=sorted(self._loss.counts),
            lost_count=sum(self._loss.counts.values()),
            duration_ms=(self._clock.boottime_ns() - self._loss.since_ns) // NS_PER_MS,
            reason="no cycle in force",
        )
        self.report.gaps += 1
        self._loss = None
