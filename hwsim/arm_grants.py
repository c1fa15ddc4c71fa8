"""What the arm asks of its recorder, on the worker that may wait: a plan's cycle with its commits, and the gripper's.

Nothing here touches the control loop's state; what it needs of it comes in as values.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwsim import arm, claims
from hwsim.lease import Lease, LeaseExpired, close_lease, count_commit, open_lease
from hwsim.pacing import Clock
from hwsim.planner import Plan
from recorder.client import Refused, Unavailable

if TYPE_CHECKING:
    from hwsim.ports import Claims, Field, RecorderPort, StreamPort
    from hwsim.report import ArmReport

OPERATOR = "operator:sim-console"
VALID_AFTER_MOVE_MS = 1500  # time to act on the waypoint and to open the next cycle, stalls of a card included
COMMIT_DEADLINE_MS = 1000
COMMIT_SPARE_MS = COMMIT_DEADLINE_MS  # a commit is judged when it is written, which may be this much later
SPARE_COMMITS = 64  # beside the rows: brake, six joints, gripper

ROW_FIELDS: list[Field] = [
    ("setpoint_rad", "<f4", 6, "rad"),
    ("setpoint_rate_rad_s", "<f4", 6, "rad/s"),
    ("position_rad", "<f4", 6, "rad"),
    ("torque_nm", "<f4", 6, "N.m"),
]


@dataclass(frozen=True)
class Grant:
    """A plan whose cycle and commits are durable, and whether the brake's release is among them."""

    plan: Plan
    lease: Lease
    stream: StreamPort
    releases_brake: bool


@dataclass(frozen=True)
class Request:
    """What the worker needs to ask for a plan's cycle; values only, so that it shares nothing with the loop."""

    plan: Plan
    where: Claims
    task: str
    rate_hz: int
    braked: bool
    before: Lease | None


class Grants:
    """Opens cycles and commits under them; what waits for the recorder raises what the client raises."""

    def __init__(self, recorder: RecorderPort, clock: Clock, report: ArmReport) -> None:
        self._recorder = recorder
        self._clock = clock
        self._report = report

    def ask(self, request: Request) -> Grant:
        """Open the cycle of a plan, release the brake and commit the joints that will move."""
        proposal, where = request.plan, request.where
        duration_ms = round(proposal.duration_s * 1000)
        valid_ms = duration_ms + VALID_AFTER_MOVE_MS
        lease = open_lease(
            self._recorder,
            self._clock,
            self._report,
            who=claims.who(OPERATOR, task=request.task, requested_by="hwsim.planner"),
            why=proposal.why,
            actuators=list(arm.ARM_ACTUATORS),
            max_commits=-(-request.rate_hz * valid_ms // 1000) + SPARE_COMMITS,
            valid_ms=valid_ms,
            supersedes=request.before,
        )
        try:
            mode = "hold" if proposal.decision == "hold" else "position"
            what = claims.what(mode, proposal.waypoint.name, proposal.duration_s, "s", duration_ms=duration_ms)
            stream = lease.cycle.stream("arm", fields=list(ROW_FIELDS), what=what, where=where)
            releases_brake = request.braked and proposal.decision != "hold"
            if releases_brake:
                self._spend(lease)
                self._commit(lease, "arm.brake", claims.what("release", "arm.brake", 1.0, "1", duration_ms=100), where)
            self._commit_joints(lease, proposal, where)
        except (Refused, Unavailable, LeaseExpired):
            with suppress(Unavailable):
                close_lease(lease)
            raise
        return Grant(proposal, lease, stream, releases_brake)

    def grip(self, grant: Grant, where: Claims) -> bool:
        """Commit the gripper's act, which the loop has counted already; False when it would be written too late."""
        if not grant.lease.admits(self._clock.boottime_ns(), 0, spare_ms=COMMIT_SPARE_MS):
            return False
        waypoint = grant.plan.waypoint
        what = claims.what(
            f"grip_{waypoint.grip}", "arm.gripper", 40.0, "N", duration_ms=150, reversibility="recoverable"
        )
        self._commit(grant.lease, "arm.gripper", what, where)
        return True

    def _commit_joints(self, lease: Lease, proposal: Plan, where: Claims) -> None:
        """Commit all joints at once, to share one sync, and wait for all of them."""
        started_ns = self._clock.monotonic_ns()
        pending = []
        for joint in proposal.moving_joints():
            target_rad = float(proposal.target_rad[joint])
            actuator = arm.ARM_ACTUATORS[joint]
            what = claims.what(
                "position", proposal.waypoint.name, target_rad, "rad", duration_ms=round(proposal.duration_s * 1000)
            )
            self._spend(lease)
            pending.append(lease.cycle.submit(actuator, what=what, where=where))
        for future in pending:
            count_commit(future.result(), started_ns, self._clock, self._report)

    def _spend(self, lease: Lease) -> None:
        """Count a commit that is about to be given to the recorder, or raise when it may be written too late."""
        if not lease.admits(self._clock.boottime_ns(), spare_ms=COMMIT_SPARE_MS):
            raise LeaseExpired
        lease.spend()

    def _commit(self, lease: Lease, actuator: str, what: Claims, where: Claims) -> None:
        started_ns = self._clock.monotonic_ns()
        receipt = lease.cycle.commit(actuator, what=what, where=where, deadline_ms=COMMIT_DEADLINE_MS)
        count_commit(receipt, started_ns, self._clock, self._report)
