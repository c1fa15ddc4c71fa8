"""The arm at work, through the recorder: one control loop, and one worker that waits for durability.

The loop never waits. A move starts when its cycle and the commits of its joints are durable; until then the arm holds
under the cycle before. Where no cycle covers the next setpoint the arm brakes, as a gated actuator must.
"""

from __future__ import annotations

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from hwsim import arm, claims
from hwsim.arm_grants import COMMIT_SPARE_MS, Grant, Grants, Request
from hwsim.lease import close_lease, outcome, record_row
from hwsim.pacing import NS_PER_MS, NS_PER_S, Clock, SystemClock, Ticker
from hwsim.planner import PICK_AND_PLACE, Waypoint, must_stop, plan
from hwsim.report import ArmReport
from hwsim.surroundings import Inputs, Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable

    from hwsim.ports import Claims, RecorderPort

RATES_HZ = (50, 1000)
FLUSH_S = 5.0
PROGRESS_S = 0.5
RETRY_S = 0.5


def run_arm(
    recorder: RecorderPort,
    *,
    seconds: float,
    seed: int,
    rate_hz: int,
    on_progress: Callable[[ArmReport], None] | None = None,
    clock: Clock | None = None,
    worker: Executor | None = None,
) -> ArmReport:
    """Drive the arm for `seconds`; `clock` and `worker` are for simulated time."""
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        message = f"rate_hz {rate_hz} is not between {RATES_HZ[0]} and {RATES_HZ[1]}"
        raise ValueError(message)
    clock = clock or SystemClock()
    with ExitStack() as stack:
        worker = worker or stack.enter_context(ThreadPoolExecutor(1, "hwsim-recorder"))
        scenario = ArmScenario(recorder, clock, worker, seed, rate_hz)
        ticker = Ticker(clock, rate_hz)
        started_ns = clock.monotonic_ns()
        progress_ticks = int(PROGRESS_S * rate_hz)
        shown = 0
        while ticker.tick + 1 < seconds * rate_hz:
            scenario.advance(ticker.wait())
            scenario.report.wall_s = (clock.monotonic_ns() - started_ns) / NS_PER_S
            if ticker.tick // progress_ticks > shown:
                shown = ticker.tick // progress_ticks
                scenario.report.lagging += recorder.lagging is not None
                if on_progress is not None:
                    on_progress(scenario.report)
        scenario.finish()
        report = scenario.report
        report.overruns = ticker.overrun_count
        report.latest_ms = ticker.latest_ns / NS_PER_MS
        report.wall_s = (clock.monotonic_ns() - started_ns) / NS_PER_S
        return report


class ArmScenario:
    """The control loop's state; `advance` is one tick.

    The arm is braked (no setpoints), or under a grant: moving along its plan, or holding at the end of it.
    """

    def __init__(self, recorder: RecorderPort, clock: Clock, worker: Executor, seed: int, rate_hz: int) -> None:
        self.report = ArmReport()
        self._recorder = recorder
        self._clock = clock
        self._worker = worker
        self._grants = Grants(recorder, clock, self.report)
        self._rate_hz = rate_hz
        day, noise = np.random.default_rng(seed).spawn(2)
        self._surroundings = Surroundings(day)
        self._rng = noise
        self.state = arm.resting(PICK_AND_PLACE[0].position_rad)
        self._tick = -1
        self._braked = True
        self._grant: Grant | None = None
        self._begun_s = 0.0
        self._asked: Future[Grant] | None = None
        self._gripping: Future[bool] | None = None
        self._closing: list[Future[bool]] = []
        self._next = 1
        self._gripped = False
        self._retry_s = 0.0

    def advance(self, ticks: int) -> None:
        """Run one turn of the loop, `ticks` periods after the last one."""
        self._tick += ticks
        now_s = self._tick / self._rate_hz
        self.report.simulated_s = now_s
        inputs = self._surroundings.at(now_s)
        self._collect(now_s)
        self._guard(inputs, now_s)
        self._act(now_s, ticks / self._rate_hz)
        self._think(inputs, now_s)

    def finish(self) -> None:
        """Brake, wait for what is under way, end the cycle, and wait until everything is durable."""
        if self._gripping is not None:
            outcome(self._gripping, self.report)
        if self._asked is not None:
            self._release(outcome(self._asked, self.report))
        self._release(self._grant)
        self._grant = None
        for closing in self._closing:
            outcome(closing, self.report)
        outcome(self._worker.submit(self._recorder.flush, FLUSH_S), self.report)

    def _collect(self, now_s: float) -> None:
        """Take what the worker has finished."""
        if self._asked is not None and self._asked.done():
            grant, self._asked = outcome(self._asked, self.report), None
            if grant is None:
                self._retry_s = now_s + RETRY_S
            else:
                self._begin(grant, now_s)
        if self._gripping is not None and self._gripping.done():
            done, self._gripping = outcome(self._gripping, self.report), None
            if done:
                self._gripped = True
            else:
                self._retry_s = now_s + RETRY_S
        while self._closing and self._closing[0].done():
            outcome(self._closing.pop(0), self.report)

    def _begin(self, grant: Grant, now_s: float) -> None:
        """Hand over from the cycle before to a durable one."""
        if self._braked and not grant.releases_brake and grant.plan.decision != "hold":
            self._release(grant)  # the arm braked since it asked: this move starts elsewhere and lets no brake go
            return
        self._release(self._grant)
        self._begun_s = now_s
        if grant.plan.decision == "hold":
            self.report.rejected += 1
        else:
            self.report.moves += 1
            self.report.slowed += grant.plan.decision == "slow"
            self._braked = False
        self._grant = grant

    def _release(self, grant: Grant | None) -> None:
        """End a grant's cycle; its rows are judged by their own times, so those on the way are not lost."""
        if grant is not None:
            self._closing.append(self._worker.submit(close_lease, grant.lease))

    def _guard(self, inputs: Inputs, now_s: float) -> None:
        """Stop for an obstacle, and where the next setpoint would lie outside the cycle's bounds."""
        grant = self._grant
        if grant is None or self._braked:
            return
        moving = now_s - self._begun_s < grant.plan.duration_s and grant.plan.decision != "hold"
        if moving and must_stop(inputs):
            self._brake("emergency_stop", "separation_below_stop", inputs)
            self.report.stops += 1
        elif not grant.lease.admits(self._clock.boottime_ns()):
            self._brake("braking", "no_cycle_in_force", inputs)

    def _brake(self, event_class: str, reason: str, inputs: Inputs) -> None:
        """Brake first and record it as an event: no cycle is needed, and nothing is waited for."""
        self._braked = True
        what = claims.what(
            event_class,
            "arm",
            0.0,
            "rad/s",
            duration_ms=0,
            reversibility="recoverable",
            lidar_nearest_m=round(inputs.lidar_nearest_m, 3),
        )
        self._recorder.event(event_class, actuators=["arm", "arm.brake"], what=what, reason=reason)
        self.report.events += 1
        self._release(self._grant)
        self._grant = None

    def _act(self, now_s: float, dt_s: float) -> None:
        """Give the motors their setpoint and the recorder its row; the row goes first."""
        grant = self._grant
        if grant is None or self._braked:
            self.state = arm.step(self.state, np.zeros(arm.JOINT_COUNT), dt_s, braked=True)
            return
        setpoint_rad, rate_rad_s = grant.plan.setpoint(now_s - self._begun_s)
        position_rad = arm.measured_rad(self.state, self._rng)
        torque_nm = arm.controller_nm(position_rad, self.state.velocity_rad_s, setpoint_rad, rate_rad_s)
        row = (setpoint_rad.tolist(), rate_rad_s.tolist(), position_rad.tolist(), torque_nm.tolist())
        record_row(grant.lease, grant.stream, row, self.report)
        self.state = arm.step(self.state, torque_nm, dt_s)

    def _think(self, inputs: Inputs, now_s: float) -> None:
        """Ask for what comes next when nothing is under way."""
        busy = self._asked is not None or self._gripping is not None or now_s < self._retry_s
        grant = self._grant
        if busy or (grant is not None and now_s - self._begun_s < grant.plan.duration_s):
            return
        where = self._where(inputs)
        if grant is not None and not self._braked and grant.plan.decision != "hold":
            wants_grip = grant.plan.waypoint.grip is not None and not self._gripped
            spare = grant.lease.admits(self._clock.boottime_ns(), spare_ms=COMMIT_SPARE_MS)
            if wants_grip and spare:
                grant.lease.spend()  # here and not on the worker: the count belongs to the loop, which goes on holding
                self._gripping = self._worker.submit(self._grants.grip, grant, where)
                return
            if not wants_grip:  # else the move is planned again, to get a cycle with time for the gripper
                self._arrive(grant.plan.waypoint)
        start_rad = self.state.position_rad if grant is None or self._braked else grant.plan.target_rad
        proposal = plan(PICK_AND_PLACE[self._next], start_rad, inputs)
        before = None
        if grant is not None and grant.lease.admits(self._clock.boottime_ns()):
            before = grant.lease
        task = f"pick_and_place/{self.report.moves}"
        request = Request(proposal, where, task, self._rate_hz, self._braked, before)
        self._asked = self._worker.submit(self._grants.ask, request)

    def _arrive(self, waypoint: Waypoint) -> None:
        """Count a waypoint as done; a plan that was asked for twice counts once."""
        if PICK_AND_PLACE[self._next] is waypoint:
            self._next = (self._next + 1) % len(PICK_AND_PLACE)
            self._gripped = False

    def _where(self, inputs: Inputs) -> Claims:
        position_m, orientation = arm.tool_pose(self.state.position_rad)
        return {
            "frame": "arm_base",
            "position_m": claims.floats(position_m),
            "orientation_xyzw": claims.floats(orientation),
            "velocity_mps": claims.floats(arm.tool_velocity_mps(self.state)),
            "ambient": {"lidar_nearest_m": round(inputs.lidar_nearest_m, 3)},
            "environment": {"software": "hwsim/1", "hardware": "simulated six-joint arm"},
        }
