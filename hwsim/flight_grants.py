"""What a replayed flight asks of its recorder, on the worker that may wait: cycles, and the commits of mode changes.

Each cycle is for all actuators of the flight, with the pose at that time as where.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwsim import claims
from hwsim.flight import MODE_ACTUATOR, US_PER_S, Flight, Mode
from hwsim.lease import Lease, close_lease, count_commit, open_lease
from hwsim.pacing import Clock
from recorder.client import Refused, Unavailable

if TYPE_CHECKING:
    from hwsim.ports import Claims, RecorderPort, StreamPort
    from hwsim.report import ReplayReport

VALID_MS = 2000
MAX_COMMITS = 5000
COMMIT_DEADLINE_MS = 500


@dataclass(frozen=True)
class Grant:
    """An open cycle with one stream per track."""

    lease: Lease
    streams: list[StreamPort]


class Grants:
    """Opens cycles and commits under them; what waits for the recorder raises what the client raises."""

    def __init__(self, recorder: RecorderPort, clock: Clock, report: ReplayReport, flight: Flight) -> None:
        self._recorder = recorder
        self._clock = clock
        self._report = report
        self._flight = flight
        self.actuators = [*(track.actuator for track in flight.tracks), MODE_ACTUATOR]

    def open(self, at_us: int, before: Lease | None) -> Grant:
        """Open a cycle with a stream for each track."""
        where = self._where(at_us)
        lease = open_lease(
            self._recorder,
            self._clock,
            self._report,
            who=claims.who("unlogged", task=f"replay {self._flight.name}", requested_by="px4.commander"),
            why=self._why(at_us),
            actuators=list(self.actuators),
            max_commits=MAX_COMMITS,
            valid_ms=VALID_MS,
            supersedes=before,
        )
        try:
            streams = []
            for track in self._flight.tracks:
                channels = max(count for _, _, count, _ in track.fields)
                what = claims.what("setpoint", track.topic, float(channels), "channels", duration_ms=VALID_MS)
                streams.append(lease.cycle.stream(track.actuator, fields=list(track.fields), what=what, where=where))
        except (Refused, Unavailable):
            with suppress(Unavailable):
                close_lease(lease)
            raise
        return Grant(lease, streams)

    def commit_mode(self, lease: Lease, mode: Mode) -> bool:
        """Commit a mode change; False when it would be written after the cycle's end."""
        if not lease.admits(self._clock.boottime_ns(), 0, spare_ms=COMMIT_DEADLINE_MS):
            return False
        started_ns = self._clock.monotonic_ns()
        what = claims.what(
            "flight_mode",
            MODE_ACTUATOR,
            float(mode.states.get("nav_state", mode.states.get("main_state", 0))),
            "px4_nav_state",
            duration_ms=0,
            reversibility="recoverable",
            **mode.states,
        )
        where = self._where(mode.at_us)
        receipt = lease.cycle.commit(MODE_ACTUATOR, what=what, where=where, deadline_ms=COMMIT_DEADLINE_MS)
        count_commit(receipt, started_ns, self._clock, self._report)
        return True

    def _where(self, at_us: int) -> Claims:
        return {**self._flight.pose.where(at_us), "environment": dict(self._flight.vehicle)}

    def _why(self, at_us: int) -> Claims:
        """Return what the log tells of the reasons: the mode in force. It names no alternatives: none is claimed."""
        mode = self._flight.mode_at(at_us)
        states = {} if mode is None else mode.states
        inputs: list[Claims] = [{"name": f"px4.{name}", "value": value} for name, value in states.items()]
        inputs.append({"name": "flight.time", "value": (at_us - self._flight.start_us) / US_PER_S, "unit": "s"})
        return claims.why(
            "px4.commander",
            clauses=[f"px4.{name}.{value}" for name, value in states.items()],
            inputs=inputs,
            alternatives=[],
        )
