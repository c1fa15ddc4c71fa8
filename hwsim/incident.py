"""An incident at a cell: work within a delegation, a deviation, requests beyond it, what happened anyway, stages.

`INCIDENT` is the story as values; a `Player` tells it to a recorder with a policy in force such as
`configs/policies/arm.toml`, through the production client, and says what the recorder made of each step.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hwsim import claims
from recorder.client import Refused
from recorder.core import entry, ids
from recorder.core.kinds import Decision, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwsim.ports import Claims, Field
    from recorder.client import Cycle, Recorder

OPERATOR = "operator:ann"
DELEGATED_N = 45.0  # what the delegation lets the arm do; the policy alone would let it do 50 N
ACTUATORS = ("arm", "arm.gripper")
CLASS = "motion"
SLOWED = "the same move at half the speed"  # `deviate_to` of the policy
VALID_MS = 10_000
FLUSH_S = 5.0
_WHERE = {"frame": "arm_base", "position_m": [0.4, 0.1, 0.3]}
_FORCE: list[Field] = [("force_n", "<f4", 1, "N")]

Then = Literal["keep", "close", "abort"]


@dataclass(frozen=True)
class Step:
    """One thing that the arm's controller does.

    Attributes:
        name: of the step; later ones refer to it.
        tells: what it shows, in words.
        act: mode, target, magnitude and unit as contemplated; of a step under an earlier cycle, as committed.
        lidar_m: distance to the nearest obstacle.
        under: name of an earlier step whose cycle this one commits under; None opens a cycle.
        after: name of the step whose next stage this is.
        stage: of the cycle.
        instead: what the commits do in place of the contemplated act, in the words of the policy, and their magnitude.
        commits: how many.
        rows: so many of the gripper's force follow them.
        max_commits: of the cycle.
        then: what becomes of the cycle.
        expects: what the recorder makes of it: a decision, or the first word of the reason of a refusal.

    """

    name: str
    tells: str
    act: tuple[str, str, float, str]
    expects: str
    lidar_m: float = 2.4
    under: str | None = None
    after: str | None = None
    stage: str = "direct"
    instead: tuple[str, float] | None = None
    commits: int = 1
    rows: int = 0
    max_commits: int = 8
    then: Then = "close"


_PICK, _FAST = ("position", "pick", 1.2, "rad/s"), ("position", "pick", 2.0, "rad/s")
_PLACE = ("position", "place", 0.8, "rad/s")

INCIDENT = (
    Step("approach", "a move within the policy and the delegation", _PICK, "admitted"),
    Step(
        "slowed", "somebody comes near: a fast move is done slower instead", _FAST, "deviated",
        lidar_m=1.0, instead=(SLOWED, 1.0),
    ),
    Step("near", "too near: the policy refuses", _PICK, "separation_below_reject", lidar_m=0.4),
    Step("grip", "a grip within the delegation's force", ("grip", "part", 40.0, "N"), "admitted", then="keep"),
    Step(
        "squeeze", "a commit beyond what its cycle was opened for", ("grip", "part", 44.0, "N"),
        "beyond_contemplated", under="grip",
    ),
    Step(
        "crush", "a force that the policy permits and the delegation does not", ("grip", "part", 48.0, "N"),
        "delegation_uncovered",
    ),
    Step(
        "slipped", "it gripped on after its cycle was used up: that has happened, and stands outside the grant",
        ("grip", "part", 40.0, "N"), "outside_grant", max_commits=4, rows=8,
    ),
    Step("propose", "placing in stages: proposed", _PLACE, "admitted", stage="tentative", commits=0, then="keep"),
    Step(
        "agree", "agreed to", _PLACE, "admitted", stage="witnessed", after="propose", commits=0, then="keep"
    ),
    Step("execute", "and done", _PLACE, "admitted", stage="executed", after="agree"),
    Step("again", "proposed once more", _PLACE, "admitted", stage="tentative", commits=0, then="keep"),
    Step(
        "abort", "and given up: what was done instead", ("hold", "place", 0.0, "rad/s"), "aborted", under="again",
        then="abort",
    ),
)  # fmt: skip
REVOKED = Step("revoked", "its delegation was taken back", ("position", "home", 1.2, "rad/s"), "credential_revoked")


@dataclass
class Told:
    """What the recorder made of a step."""

    step: Step
    outcome: str
    id: str
    reasons: list[str] = field(default_factory=list)

    @property
    def is_expected(self) -> bool:
        """Whether it went as the story says."""
        return self.outcome == self.step.expects or any(
            reason.split(":")[0] == self.step.expects for reason in self.reasons
        )


class Player:
    """Plays steps through one client; cycles that are kept stay open for later steps."""

    def __init__(self, recorder: Recorder, delegation: bytes) -> None:
        """Play under a delegation, the hash of a credential that the recorder holds."""
        self._recorder = recorder
        self._delegation = delegation
        self._cycles: dict[str, Cycle] = {}

    def play(self, steps: Sequence[Step]) -> list[Told]:
        """Play steps in order."""
        return [self._play(step) for step in steps]

    def _play(self, step: Step) -> Told:
        try:
            return self._act(step)
        except Refused as refused:
            return Told(step, "refused", refused.entry_id, list(refused.reasons))

    def _act(self, step: Step) -> Told:
        if step.then == "abort":
            cycle = self._cycles[step.under or ""]
            cycle.abort(what=_what(step), where=_WHERE, reason=step.tells)
            self._recorder.flush(FLUSH_S)
            return Told(step, "aborted", cycle.id)
        cycle = self._cycles[step.under] if step.under else self._open(step)
        told = self._found(step, cycle, Kind.CYCLE)
        try:
            for _ in range(step.commits):
                receipt = cycle.commit(ACTUATORS[-1], what=_what(step, step.instead), where=_WHERE)
                told = Told(step, receipt.outcome, receipt.entry_id or cycle.id)
            if step.rows:
                self._grip_on(step, cycle)
                told = self._found(step, cycle, Kind.ACTUATION, Decision.OUTSIDE_GRANT)
        finally:
            if step.then == "close" and step.under is None:
                cycle.close()
        if step.then == "keep":
            self._cycles[step.name] = cycle
        return told

    def _open(self, step: Step) -> Cycle:
        return self._recorder.open_cycle(
            who=claims.who(OPERATOR, task="pick_and_place/1", requested_by="hwsim.incident"),
            delegation=self._delegation,
            what=_what(step),
            where=_WHERE,
            inputs=_inputs(step),
            alternatives=[{"action": "hold"}],
            actuators=list(ACTUATORS),
            action_classes=[CLASS],
            max_commits=step.max_commits,
            valid_ms=VALID_MS,
            stage=step.stage,
            predecessor=self._cycles[step.after] if step.after else None,
        )

    def _grip_on(self, step: Step, cycle: Cycle) -> None:
        stream = cycle.stream(ACTUATORS[-1], fields=_FORCE, what=_what(step), where=_WHERE)
        for number in range(step.rows):
            stream.record((step.act[2] + number / 100,))
        self._recorder.flush(FLUSH_S)

    def _found(self, step: Step, cycle: Cycle, kind: Kind, decision: Decision | None = None) -> Told:
        """Read back what stands in the lineage: the cycle's entry, or the last of this kind and decision under it."""
        found = Told(step, "nothing", cycle.id)
        for seq, (raw, _) in enumerate(self._recorder.read(cycle.seq).entries, cycle.seq):
            header = entry.decode(raw).header
            if header.kind != kind or header.why is None or header.why.carrier != cycle.seq:
                continue
            if header.decision is not None and decision in (None, header.decision):
                printed = str(ids.entry_id(entry.entry_hash(raw), seq))
                found = Told(step, Decision(header.decision).name.lower(), printed)
        return found


def _what(step: Step, instead: tuple[str, float] | None = None) -> Claims:
    mode, target, magnitude, unit = step.act
    what = claims.what(mode, target, magnitude, unit, duration_ms=400, reversibility="recoverable")
    return what if instead is None else {**what, "committed": instead[0], "magnitude": instead[1]}


def _inputs(step: Step) -> list[Claims]:
    """What the policy's clauses consume, read now."""
    now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    read = {"at_mono_ns": now_ns}
    return [
        {"name": "lidar.nearest", "value": step.lidar_m, "unit": "m", **read},
        {"name": "stick.speed", "value": 1.0, "unit": "1", **read},
        {"name": "stick.enabled", "value": True, **read},
    ]
