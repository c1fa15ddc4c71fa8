"""What a device asks for: cycles that the host opens for it, its commit requests, and what it hears of them.

No port and no socket, but the session of commits: requests go into it, answers are handed in.  The law: each commit
request of a device is asked of the recorder at most once, and its device hears of it within `answer_ms`, whatever
the recorder does.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import NamedTuple

from firmware_bridge.config import Claims, Cycle
from firmware_bridge.known import ANSWERED_KEPT, Admitted, Memory
from firmware_bridge.line.happenings import Condition, Happening, Trouble
from firmware_bridge.line.link import Link
from firmware_bridge.line.messages import Receipt, Verdict
from recorder.client.session import STORE_FULL, Answer, Outgoing, Session, outgoing
from recorder.core import message_replies
from recorder.core.deviceframe import DEVICE_CLAIM, REF_HASH_BYTES, CommitRef, CommitRequest, Frame, quantity_of
from recorder.core.devicegap import Place
from recorder.core.message_replies import Failed, Opened, Refused
from recorder.core.messages import Flag, Status, Verb
from recorder.core.protocol import body_of

NS_PER_US, NS_PER_MS, US_PER_MS = 1_000, 1_000_000, 1_000
RENEW_AT = 0.75  # of a cycle's time or commits
RETRY_US = 5_000_000  # after a refused opening
ABANDON_MAX = 1024
GRANT_SETTLES_US = 1_000_000  # until a device asks under the grant that it was told, and no older one
GRANTED_KEPT = 64  # cycles that a device may still know of
DEADLINE_PASSED = ["deadline_passed"]


class _Waiting(NamedTuple):
    place: Place
    frame: Frame
    actuator: int
    until_us: int


class _Opening(NamedTuple):
    asked_us: int


class _Abandoned(NamedTuple):
    requests: list[bytes]


class Asking:
    """One device's requests."""

    def __init__(
        self, settings: Cycle, device_kid: bytes, actuators: Sequence[str], memory: Memory, link: Link, session: Session
    ) -> None:
        """Make it; nothing is asked before the device is there."""
        self.trouble: str | None = None  # why there is no cycle
        self.answers = dict.fromkeys((verdict.name.lower() for verdict in Verdict), 0)
        self._settings, self._kid, self._actuators = settings, device_kid, list(actuators)
        self._memory, self._link, self._session = memory, link, session
        self._cycle: Opened | None = None
        self._up_tick_us = 0  # of the device
        self._granted_us: int | None = None  # since when it has been told of a grant, in this session
        self._granted: deque[int] = deque(maxlen=GRANTED_KEPT)  # cycles
        self._numbers: frozenset[int] = frozenset()  # of the actuators
        self._opened_us = 0
        self._used = 0  # requests under it
        self._opening: Outgoing | None = None
        self._open_at_us = 0
        self._commits: dict[Place, Outgoing] = {}
        self._told: OrderedDict[Place, Verdict] = OrderedDict()
        self._given_up: list[bytes] = []
        self._abandon_at_us = 0
        self._is_up = False
        self.hashes: list[tuple[int, bytes]] = []  # of entries that hold commits, for whoever records confirmations

    @property
    def next_us(self) -> int | None:
        """When `at` has to be called next for a request's sake."""
        return min((_waiting(one).until_us for one in self._commits.values()), default=None)

    def up(self, now_us: int, tick_us: int) -> list[Happening]:
        """A session with the device has begun, whose clock was at `tick_us`: it hears of the cycle that is open."""
        self._is_up, self._up_tick_us, self._granted_us = True, tick_us, None
        return self._grant(now_us)

    def down(self) -> None:
        """There is no device."""
        self._is_up = False

    def asked(self, frame: Frame, now_us: int) -> list[Happening]:
        """A commit request has come; a repeat of one is answered as before, or waits for its answer."""
        place = Place(frame.boot, frame.seq)
        body = frame.body
        assert isinstance(body, CommitRequest)
        if place in self._commits or place in self._told:
            return []  # the receipt waits to be taken, or was
        known = self._memory.answered.get(place)
        if known is not None:
            # By the process before this one, which perhaps could not say so any more: whatever it was, it is late.
            return self._tell(place, body.actuator, Verdict.LATE if known.commit else Verdict.REFUSED, known.commit)
        if body.grant not in self._granted or body.actuator not in self._numbers:
            # The recorder admits under whatever cycle is open, for all actuators that our uid may act for.
            if self._is_stale(frame, now_us):
                return self._tell(place, body.actuator, Verdict.UNAVAILABLE, None)
            asks = f"frame {frame.seq} asks for actuator {body.actuator} under {body.grant}"
            said = Trouble(Condition.NOT_GRANTED, f"{asks}, which it was not granted")
            return [said, *self._tell(place, body.actuator, Verdict.REFUSED, None)]
        until_us = now_us + self._settings.answer_ms * US_PER_MS
        what, where = self._act(frame, body)
        request = outgoing(
            Verb.COMMIT, body.grant, self._settings.action_class, body.actuator, what, where,
            now_us * NS_PER_US, until_us * NS_PER_US, token=_Waiting(place, frame, body.actuator, until_us),
        )  # fmt: skip
        self._commits[place] = request
        self._session.give(request)
        if self._cycle is not None and body.grant == self._cycle.seq:
            self._used += 1
        return []

    def at(self, platform: str, now_us: int) -> list[Happening]:
        """Time has passed: open cycles in time, and say what has waited too long."""
        found: list[Happening] = []
        for place, request in list(self._commits.items()):
            waiting = _waiting(request)
            if now_us >= waiting.until_us:
                del self._commits[place]
                request_id = self._session.withdraw(request)
                if request_id is not None:
                    self._given_up.append(request_id)
                found += self._tell(place, waiting.actuator, Verdict.UNAVAILABLE, None)
        # Behind what is sent again (session.py, law 3).
        if self._given_up and not self._session.unsent and now_us >= self._abandon_at_us:
            listed, self._given_up = self._given_up[:ABANDON_MAX], self._given_up[ABANDON_MAX:]
            self._session.give(outgoing(Verb.ABANDON, list(listed), token=_Abandoned(listed)))
        if self._is_up and self._opening is None and now_us >= self._open_at_us and self._is_due(now_us):
            self._open(platform, now_us)
        return found

    def answered(self, answer: Answer, now_us: int) -> list[Happening]:
        """Take an answer of the session's."""
        token = answer.outgoing.token
        if isinstance(token, _Opening):
            return self._opened(answer, now_us)
        if isinstance(token, _Abandoned) and answer.status is Status.ERROR:
            self._given_up[:0] = token.requests  # its disk is full: it is said again, and with it what follows
            self._abandon_at_us = now_us + RETRY_US
        if isinstance(token, _Waiting) and self._commits.pop(token.place, None) is not None:
            return self._committed(token, answer)
        return []

    def closing(self) -> None:
        """End the cycle before its time: nobody asks under it any more."""
        if self._cycle is not None:
            self._session.give(outgoing(Verb.CLOSE_CYCLE, self._cycle.seq, "the bridge stops"))
            self._cycle = None

    def _is_stale(self, frame: Frame, now_us: int) -> bool:
        """Whether a device may have asked under a grant of the process before this one, since it knew no other."""
        return (
            frame.tick_us <= self._up_tick_us
            or self._granted_us is None
            or now_us - self._granted_us < GRANT_SETTLES_US
        )

    def _is_due(self, now_us: int) -> bool:
        cycle = self._cycle
        if cycle is None:
            return True
        lasts_us = cycle.not_after_mono_ns // NS_PER_US - self._opened_us
        return now_us - self._opened_us >= RENEW_AT * lasts_us or self._used >= RENEW_AT * cycle.max_commits

    def _open(self, platform: str, now_us: int) -> None:
        settings = self._settings
        what, where = settings.family("what"), settings.family("where")
        self._opening = outgoing(
            Verb.OPEN_CYCLE, {**settings.family("who"), "platform": platform},
            settings.family("why"), self._actuators, [settings.action_class], settings.max_commits,
            settings.valid_ms, None, None, [what, where], token=_Opening(now_us),
        )  # fmt: skip
        self._session.give(self._opening)

    def _opened(self, answer: Answer, now_us: int) -> list[Happening]:
        self._opening = None
        if answer.status is not Status.OK:
            self._open_at_us = now_us + RETRY_US
            if answer.status is Status.REFUSED:
                self.trouble = f"no cycle: {'; '.join(body_of(answer.body, Refused).reasons)}"
            else:
                failed = body_of(answer.body, Failed)
                self.trouble = f"no cycle: {failed.error}: {failed.detail}"
            return []
        self.trouble = None
        self._cycle = body_of(answer.body, Opened)
        self._granted.append(self._cycle.seq)
        self._numbers = frozenset(self._cycle.actuators.values())
        self._opened_us, self._used = now_us, 0
        return self._grant(now_us)

    def _grant(self, now_us: int) -> list[Happening]:
        cycle = self._cycle
        if cycle is None or not self._is_up:
            return []
        valid_ms = cycle.not_after_mono_ns // NS_PER_MS - now_us // US_PER_MS
        commits = cycle.max_commits - self._used
        if valid_ms <= 0 or commits <= 0:
            return []
        if self._granted_us is None:
            self._granted_us = now_us
        found: list[Happening] = []
        for number in cycle.actuators.values():
            found += self._link.grant(cycle.seq, number, commits, valid_ms, irreversible=self._settings.irreversible)
        return found

    def _act(self, frame: Frame, body: CommitRequest) -> tuple[Claims, Claims]:
        what = self._settings.family("what")
        for number, amount in body.asked[:1]:
            what |= {"magnitude": abs(amount), "unit": quantity_of(number).unit}
        what["asked"] = [
            [quantity_of(number).quantity, amount, quantity_of(number).unit] for number, amount in body.asked
        ]
        if body.duration_ms is not None:
            what["duration_ms"] = body.duration_ms
        if body.confirm_by_ms is not None:
            what["confirm_by_ms"] = body.confirm_by_ms
        what[DEVICE_CLAIM] = [frame.kid, frame.boot, frame.seq]
        return what, self._settings.family("where")

    def _committed(self, waiting: _Waiting, answer: Answer) -> list[Happening]:
        if answer.status is Status.OK:
            receipt = body_of(answer.body, message_replies.Receipt)
            self.hashes.append((receipt.seq, receipt.entry_hash))
            commit = CommitRef(receipt.seq, receipt.index, receipt.entry_hash[:REF_HASH_BYTES])
            self._memory.note(waiting.place, Admitted(commit))
            verdict = Verdict.LATE if receipt.flags & Flag.LATE else Verdict.ADMITTED
            return self._tell(waiting.place, waiting.actuator, verdict, commit)
        if answer.status is Status.REFUSED and body_of(answer.body, Refused).reasons != DEADLINE_PASSED:
            self._memory.note(waiting.place, Admitted(None))
            return self._tell(waiting.place, waiting.actuator, Verdict.REFUSED, None)
        is_away = answer.status is Status.REFUSED or body_of(answer.body, Failed).error == STORE_FULL
        verdict = Verdict.UNAVAILABLE if is_away else Verdict.REFUSED  # else the device asks for what there is not
        return self._tell(waiting.place, waiting.actuator, verdict, None)

    def _tell(self, place: Place, actuator: int, verdict: Verdict, commit: CommitRef | None) -> list[Happening]:
        self._told[place] = verdict
        while len(self._told) > ANSWERED_KEPT:
            self._told.popitem(last=False)
        self.answers[verdict.name.lower()] += 1
        receipt = Receipt(bytes(4), 0, place.seq, actuator, verdict, commit, self._settings.irreversible)
        return self._link.receipt(receipt)


def _waiting(request: Outgoing) -> _Waiting:
    assert isinstance(request.token, _Waiting)
    return request.token
