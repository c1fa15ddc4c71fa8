"""What can become of a commit when an actuator has a word in it: a story told to a running recorder and its bridge.

One thread is the controller that commits and the motor controller that confirms; between them are the real processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hwsim import claims
from hwsim.firmware.faults import Faults
from hwsim.firmware.flash import Flash
from hwsim.firmware.motor import LIMIT_RAD, Motor
from hwsim.firmware.port import Simulator
from recorder.client import Receipt, Recorder
from recorder.core import cbor, confirmation, deviceframe, entry, ids
from recorder.core import claims as records
from recorder.core.header import Header
from recorder.core.kinds import Decision, Kind

ACTUATOR, CLASS, EVENT_STOP = "arm", "motion", 1
CONFIRM_BY_MS, MOVE_MS = 1000, 400
WITHIN_S = 60.0
_TURNS = 20  # of the firmware's loop between two looks at the lineage
_WHERE = {"frame": "arm_base"}
_BODY = 11  # key of the body claims


class Told(NamedTuple):
    """One thing that happened, and what the lineage has of it."""

    name: str
    tells: str
    expects: str
    found: str
    id: str

    @property
    def is_expected(self) -> bool:
        """Whether it went as the story says."""
        return self.found == self.expects


class _Entry(NamedTuple):
    id: str
    header: Header
    beside: bytes | None

    @property
    def body(self) -> dict[str, Any]:
        """The body claims of a confirmation or an observation."""
        if self.beside is None or self.header.kind not in {Kind.CONFIRMATION, Kind.OBSERVATION}:
            return {}
        found: dict[str, Any] = records.disclosed("body", cbor.decode(self.beside)[_BODY])
        return found


class Story:
    """A motor controller on `link`, whose key is made of a seed, and the controller that moves it."""

    def __init__(self, link: Path, seed: bytes) -> None:
        """Make the device; nothing is plugged in."""
        self._seed = seed
        self._link = link
        self.motor = Motor()
        self.flash = Flash(seed)
        self.simulator = Simulator(link, self.flash, self.motor)
        self._seq = 0  # of the next entry to look at

    def serve(self, until: Callable[[], bool], within_s: float = WITHIN_S) -> bool:
        """Be the device until something is so; false where it does not come to be."""
        ends = time.monotonic() + within_s
        while not until():
            if time.monotonic() > ends:
                return False
            self.simulator.step()
        return True

    def play(self, client: Recorder, delegation: bytes) -> Iterator[Told]:
        """Tell it, one thing after the other, under a credential that the recorder holds; the bridge is up."""
        self._client = client
        yield self._up(
            "boot", "the controller shows its key to the bridge, and its clock is set against the recorder's"
        )
        self._cycle = client.open_cycle(
            who=claims.who("operator:ann", task="pick_and_place/1", requested_by="hwsim.firmware"),
            delegation=delegation,
            what=_what(LIMIT_RAD),
            where=_WHERE,
            alternatives=[{"action": "hold"}],
            actuators=[ACTUATOR],
            action_classes=[CLASS],
            max_commits=16,
            valid_ms=60_000,
        )
        yield self._move("move", "the arm turns to where the commit wants it, and its controller signs that", 0.5)
        self.motor.faults = Faults(stuck=True)
        yield self._move(
            "stuck", "its gear is stuck: the controller signs where it still is", 0.8, "not_moved 0.500 rad"
        )
        self.motor.faults = Faults()
        yield self._reset()
        yield self._up("anew", "it is there again, under its next boot number")
        yield self._move("again", "it moves once more, and now it comes to where it should", 0.8)
        yield self._cable()
        yield self._stop()
        yield self._impostor()
        yield self._up("back", "the real one is back, in the boot that it was in")
        yield self._move("last", "and does as it is told", 0.4)
        self._cycle.close()

    def _up(self, name: str, tells: str) -> Told:
        """The first reading of its clock: from then on it hears of commits."""
        found = self._until(
            lambda one: f"boot {clock[1]}" if (clock := one.body.get("device_clock")) is not None else None
        )
        return Told(name, tells, f"boot {self.simulator.device.boot}", *found)

    def _move(self, name: str, tells: str, target_rad: float, expects: str | None = None) -> Told:
        receipt = self._commit(target_rad)
        return self._confirmed(name, tells, receipt, expects or f"reached {target_rad:.3f} rad")

    def _reset(self) -> Told:
        self.simulator.reset()
        return self._gap("reset", "the controller loses its power: what was in its memory is declared missing")

    def _cable(self) -> Told:
        receipt = self._commit(0.2)
        self.serve(lambda: self.motor.is_moving)
        self.simulator.pull()
        self.serve(lambda: not self.motor.is_moving)
        self.simulator.plug()
        tells = "the cable is pulled while it moves: the confirmation waits in the controller until the cable is back"
        return self._confirmed("cable", tells, receipt, "reached 0.200 rad")

    def _stop(self) -> Told:
        self.simulator.device.event(EVENT_STOP)
        found = self._until(
            lambda one: (
                "ungated" if one.header.kind == Kind.ACTUATION and one.header.decision == Decision.UNGATED else None
            )
        )
        return Told(
            "stop", "somebody presses the stop: the controller saw it, and nobody asked it to", "ungated", *found
        )

    def _impostor(self) -> Told:
        """Another box in its place, with the host's word for whose it is, and not the key."""
        own = self.simulator
        own.pull()
        forger = Faults(lie="forged")
        self.simulator = Simulator(self._link, Flash(self._seed, own.flash.boots), Motor(forger), forger)
        self.simulator.plug()
        self._commit(0.6)

        def of_bridge(one: _Entry) -> str | None:
            is_one = one.header.kind == Kind.FAULT and one.header.control.fault == "bridge"
            return str(one.header.control.facts[1]) if is_one and one.header.control.facts[1] != "unplugged" else None

        found = self._until(of_bridge)
        due_s = time.monotonic() + CONFIRM_BY_MS / 1000
        self.serve(lambda: time.monotonic() >= due_s)
        self.simulator.pull()
        self.simulator = own
        own.motor.setpoints_rad.clear()
        own.plug()
        tells = "a box that names the controller's key without having it: no confirmation, and the commit stays open"
        return Told("impostor", tells, "key_not_shown", *found)

    def _commit(self, target_rad: float) -> Receipt:
        self.motor.setpoints_rad.append(target_rad)
        return self._cycle.commit(ACTUATOR, what=_what(target_rad), where=_WHERE)

    def _confirmed(self, name: str, tells: str, receipt: Receipt, expects: str) -> Told:
        def of_commit(one: _Entry) -> str | None:
            if one.header.kind != Kind.CONFIRMATION:
                return None
            for frame in map(deviceframe.read, confirmation.of_body(one.body)[1]):
                if isinstance(frame.body, deviceframe.Confirmation) and frame.body.commit.seq == receipt.seq:
                    (_, angle_rad), *_ = frame.body.reached
                    return f"{frame.body.outcome.name.lower()} {angle_rad:.3f} rad"
            return None

        return Told(name, tells, expects, *self._until(of_commit))

    def _gap(self, name: str, tells: str) -> Told:
        found = self._until(
            lambda one: one.header.control.reason.split(":")[0] if one.header.kind == Kind.GAP else None
        )
        return Told(name, tells, "device_rebooted", *found)

    def _until(self, look: Callable[[_Entry], str | None]) -> tuple[str, str]:
        """What `look` finds in a new entry, and the entry's id."""
        ends = time.monotonic() + WITHIN_S
        while time.monotonic() < ends:
            for one in self._fresh():
                found = look(one)
                if found is not None:
                    return found, one.id
            for _ in range(_TURNS):
                self.simulator.step()
        return "nothing", ""

    def _fresh(self) -> Iterator[_Entry]:
        """Entries since the last look, one at a time: what is not looked at now is looked at next time."""
        while (page := self._client.read(self._seq)).entries:
            for raw, beside in page.entries:
                seq, self._seq = self._seq, self._seq + 1
                yield _Entry(str(ids.entry_id(entry.entry_hash(raw), seq)), entry.decode(raw).header, beside)


def _what(angle_rad: float) -> dict[str, Any]:
    return claims.what("position", "angle", angle_rad, "rad", duration_ms=MOVE_MS, confirm_by_ms=CONFIRM_BY_MS)
