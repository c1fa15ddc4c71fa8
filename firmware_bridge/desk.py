"""What a link tells, in its order, on its way into the lineage; pure.

The law: a batch is handed to `Link.recorded` when its entry is durable, and not before; entries stand in the lineage in
the order in which the link told what they hold.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Iterator, Mapping, Sequence

from firmware_bridge import entries
from firmware_bridge.entries import EventAct
from firmware_bridge.line.confirmations import Signed
from firmware_bridge.line.happenings import Clock, Condition, Trouble
from firmware_bridge.places import BridgeError
from recorder.client.session import Answer, Outgoing
from recorder.core.deviceframe import Event
from recorder.core.devicegap import Missing, Place
from recorder.core.errors import Impossible
from recorder.core.limits import UINT64_MAX
from recorder.core.message_replies import Failed
from recorder.core.messages import Status
from recorder.core.protocol import body_of

WAITING_MAX = 512  # an honest device's ring is full long before; the port is not read meanwhile
HASHES_KEPT = 8192  # of entries whose commits may be confirmed; others are asked for
CLOCK_EVERY_US = 60_000_000

Told = Signed | Missing | Trouble | Clock


class Desk:
    """One link's entries: `put` what it tells, send what is `due`, give back the answers."""

    def __init__(
        self,
        device_kid: bytes,
        port: str,
        actuators: Sequence[str],
        platform: str,
        events: Mapping[int, str],
        told_events: Collection[Place],
    ) -> None:
        """Make it.

        Args:
            device_kid: of the device's key.
            port: its name, in faults.
            actuators: of the device.
            platform: of the recorder.
            events: action class of each event's code that is an act of its own.
            told_events: such events that are in the lineage, and whose batch may not be.

        """
        self.trouble: str | None = None  # an event that the recorder did not take
        self.recorded_frames = self.recorded_entries = 0
        self.conditions: dict[str, int] = {}
        self._kid, self._port, self._actuators = device_kid, port, list(actuators)
        self._platform, self._events, self._told_events = platform, events, told_events
        self._offset_us = 0  # CLOCK_BOOTTIME less the device's clock, of this boot
        self._waiting: deque[Told | Outgoing] = deque()
        self._hashes: OrderedDict[int, bytes | None] = OrderedDict()
        self._under_way = 0
        self._boot = 0
        self._best: Clock | None = None  # the narrowest since the last one that was recorded
        self._clock_due_us = 0

    @property
    def is_full(self) -> bool:
        """More is on its way than an honest device can hold."""
        return len(self._waiting) + self._under_way >= WAITING_MAX

    @property
    def is_idle(self) -> bool:
        """All that was told is in the lineage."""
        return not self._waiting and not self._under_way

    def began(self, boot: int, now_us: int, tick_us: int) -> None:
        """A session is up, and the device's clock was at `tick_us`: it is recorded soon."""
        self._boot, self._best, self._clock_due_us = boot, None, now_us
        self._offset_us = now_us - tick_us

    def put(self, told: Told) -> None:
        """Take what is to be recorded, behind all before it."""
        if isinstance(told, Clock):
            self._offset_us = told.sent_us - told.tick_us
            width_us = told.answered_us - told.sent_us
            if self._best is None or width_us < self._best.answered_us - self._best.sent_us:
                self._best = told
            if told.answered_us >= self._clock_due_us:
                self._waiting.append(entries.clock(self._kid, self._boot, self._best))
                self._best, self._clock_due_us = None, told.answered_us + CLOCK_EVERY_US
            return
        if isinstance(told, Trouble):
            self.count(told.condition)
        self._waiting.append(told)

    def count(self, condition: Condition) -> None:
        """A condition began, whether it is told or not."""
        self.conditions[condition.value] = self.conditions.get(condition.value, 0) + 1

    def wanted(self) -> int | None:
        """The seq of an entry whose hash has to be asked for before anything more is due."""
        first = self._waiting[0] if self._waiting else None
        if isinstance(first, Signed):
            return next((made.commit.seq for made in first.confirmations if made.commit.seq not in self._hashes), None)
        return None

    def learn(self, seq: int, digest: bytes | None) -> None:
        """The hash of an entry; None where there is none."""
        self._hashes[seq] = digest
        while len(self._hashes) > HASHES_KEPT:
            self._hashes.popitem(last=False)

    def due(self, room: int) -> list[Outgoing]:
        """Requests to send now, at most so many."""
        found: list[Outgoing] = []
        while self._waiting and len(found) < room and self.wanted() is None:
            found += self._requests(self._waiting.popleft())
        self._under_way += len(found)
        return found

    def answered(self, answer: Answer) -> Signed | Missing | None:
        """Take an answer; returns what is durable now and moves the front of the device.

        Raises:
            BridgeError: the recorder does not take it, and will not later.

        """
        self._under_way -= 1
        if answer.status is not Status.OK:
            if isinstance(answer.outgoing.token, EventAct):
                self.trouble = f"an event of class {answer.outgoing.token.action_class} was not taken: {answer.body}"
                return None  # the batch that proves it follows all the same
            failed = body_of(answer.body, Failed)
            raise BridgeError(_advice(failed, answer.outgoing, self._actuators))
        self.recorded_entries += 1
        token = answer.outgoing.token
        if isinstance(token, Signed):
            self.recorded_frames += len(token.frames)
        return token if isinstance(token, Signed | Missing) else None

    def _requests(self, told: Told | Outgoing) -> list[Outgoing]:
        match told:
            case Outgoing():
                return [told]
            case Signed():
                entry, unknown = entries.batch(told, self._hashes.__getitem__)
                acts = [*self._acts(told)]
                if not unknown:
                    return [*acts, entry]
                listed = ", ".join(map(str, unknown[:8]))
                trouble = Trouble(
                    Condition.UNKNOWN_COMMIT, f"commits of entries {listed}: not what the lineage has there"
                )
                self.conditions[trouble.condition.value] = self.conditions.get(trouble.condition.value, 0) + 1
                return [*acts, entries.fault(self._port, trouble), entry]
            case Missing():
                return [entries.gap(told, self._actuators)]
            case Trouble():
                return [entries.fault(self._port, told)]
            case _:
                raise Impossible(f"{told!r} was not made ready when it came")

    def _acts(self, signed: Signed) -> Iterator[Outgoing]:
        """Events that are acts of their own, but for those that a process before this one has recorded."""
        for frame in signed.frames:
            place = Place(frame.boot, frame.seq)
            body = frame.body
            if not isinstance(body, Event) or body.event not in self._events:
                continue
            if place not in self._told_events:
                at_us = frame.tick_us + self._offset_us
                act = EventAct(self._events[body.event], self._actuators, self._platform)
                yield entries.event(frame, body, act, min(max(0, at_us * entries.NS_PER_US), UINT64_MAX))


def _advice(failed: Failed, request: Outgoing, actuators: Sequence[str]) -> str:
    if failed.error == "not_permitted":
        listed = ", ".join(f'"{name}"' for name in actuators)
        return (
            f"the recorder's configuration does not permit what a bridge does ({failed.detail}); recorder.toml needs a "
            f'[[controller]] with our uid, actuators = [{listed}], append = ["confirmation", "fault", "observation"] '
            f"and read = true"
        )
    return f"the recorder does not take a request of ours ({request.verb.name}): {failed.error}: {failed.detail}"
