"""One actuator and the firmware that moves it: what it does with grants, receipts and setpoints; no port, no clock.

A commit comes to it in one of two ways.  It asks for one itself under a grant, and moves once that is admitted; or
another controller committed and sent the setpoint over a bus of its own, and a receipt names the commit that it was.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from hwsim.firmware.device import Device
from hwsim.firmware.faults import Faults
from hwsim.firmware.messages import Commit, Grant, Receipt

ANGLE_RAD = 2  # a quantity of FORMAT.md section 6
REACHED, NOT_MOVED, REFUSED_BY_LIMIT = 1, 3, 4
EVENT_LATE, EVENT_REFUSED = 7, 8
VERDICT_ADMITTED, VERDICT_REFUSED, VERDICT_LATE = 0, 1, 2
SPEED_RAD_S = 4.0
LIMIT_RAD = 3.2
MOVE_MS, CONFIRM_BY_MS = 400, 1000
TOLERANCE_RAD = 1e-6
US_PER_S = 1_000_000


@dataclass(frozen=True)
class _Move:
    """A commit that is being carried out."""

    commit: Commit
    target_rad: float
    until_us: int
    at_once: bool


@dataclass
class Motor:
    """A joint that turns at one speed between -LIMIT_RAD and LIMIT_RAD.

    Attributes:
        faults: `stuck` and `lie` are its own.
        angle_rad: where it is.
        period_us: between the moves that it asks for by itself under a grant; 0 asks for none.
        observe_us: between readings of its own sensor; 0 takes none.

    """

    faults: Faults = field(default_factory=Faults)
    angle_rad: float = 0.0
    period_us: int = 0
    observe_us: int = 0
    setpoints_rad: deque[float] = field(default_factory=deque)
    told: list[str] = field(default_factory=list)  # what happened, for whoever watches
    _grant: Grant | None = None
    _left: int = 0  # commits under the grant
    _asked: dict[int, float] = field(default_factory=dict)  # number of a request -> target
    _moves: deque[_Move] = field(default_factory=deque)
    _next_us: int = 0
    _observed_us: int = 0
    _turned_us: int = 0

    @property
    def is_moving(self) -> bool:
        """Whether it is on its way to where a commit wants it."""
        return bool(self._moves)

    def reset(self) -> None:
        """Its firmware begins anew; the joint stays where it is, and what was asked for is forgotten."""
        self._grant, self._left = None, 0
        self._asked.clear()
        self._moves.clear()
        self.setpoints_rad.clear()
        self._next_us = self._observed_us = self._turned_us = 0

    def take(self, device: Device, message: Grant | Receipt, now_us: int) -> None:
        """What the host said."""
        if isinstance(message, Grant):
            self._grant, self._left = message, message.commits
            self.told.append(f"granted {message.commits} commits of actuator {message.actuator}")
            return
        target = self._target_of(message)
        if message.verdict == VERDICT_ADMITTED and message.commit is not None and target is not None:
            self._begin(device, message.commit, target, now_us, at_once=message.irreversible)
            return
        if message.verdict in {VERDICT_REFUSED, VERDICT_LATE}:
            device.event(EVENT_LATE if message.verdict == VERDICT_LATE else EVENT_REFUSED)
        self.told.append(f"not moved: {('no setpoint', 'refused', 'late', 'no answer')[message.verdict]}")

    def run(self, device: Device, now_us: int) -> None:
        """Turn, confirm what has ended, ask for the next move."""
        if self._moves:
            self._turn(now_us)
        self._turned_us = now_us
        while self._moves and (self._is_there(self._moves[0]) or now_us >= self._moves[0].until_us):
            self._confirm(device, self._moves.popleft())
        if self.period_us and self._grant is not None and self._left and now_us >= self._next_us and device.is_up:
            self._next_us = now_us + self.period_us
            self._ask(device, self._grant)
        if self.observe_us and now_us >= self._observed_us + self.observe_us:
            self._observed_us = now_us
            device.observe([(ANGLE_RAD, self.angle_rad)])

    def _target_of(self, receipt: Receipt) -> float | None:
        if receipt.request is not None:
            return self._asked.pop(receipt.request, None)
        return self.setpoints_rad.popleft() if self.setpoints_rad else None

    def _begin(self, device: Device, commit: Commit, target_rad: float, now_us: int, *, at_once: bool) -> None:
        if abs(target_rad) > LIMIT_RAD:
            device.confirm(commit, REFUSED_BY_LIMIT, [(ANGLE_RAD, self.angle_rad)], at_once=at_once)
            self.told.append(f"refused by its own limit: {target_rad:.3f} rad")
            return
        self._moves.append(_Move(commit, target_rad, now_us + MOVE_MS * 1000, at_once))

    def _turn(self, now_us: int) -> None:
        if self.faults.stuck:
            return
        left = self._moves[0].target_rad - self.angle_rad
        step = SPEED_RAD_S * (now_us - self._turned_us) / US_PER_S
        self.angle_rad += max(-step, min(step, left))

    def _is_there(self, move: _Move) -> bool:
        return abs(move.target_rad - self.angle_rad) < TOLERANCE_RAD or self.faults.lie == "value"

    def _confirm(self, device: Device, move: _Move) -> None:
        said_rad = move.target_rad if self.faults.lie == "value" else self.angle_rad
        outcome = REACHED if abs(move.target_rad - said_rad) < TOLERANCE_RAD else NOT_MOVED
        kept = device.confirm(move.commit, outcome, [(ANGLE_RAD, said_rad)], at_once=move.at_once)
        word = "confirmed" if kept else "no room for"
        self.told.append(f"{word} commit {move.commit.seq}: {said_rad:.3f} of {move.target_rad:.3f} rad")

    def _ask(self, device: Device, grant: Grant) -> None:
        target = 0.5 if self.angle_rad < 0.25 else 0.0
        number = device.request(grant, [(ANGLE_RAD, target)], MOVE_MS, CONFIRM_BY_MS)
        if number is not None:
            self._asked[number] = target
            self._left -= 1
