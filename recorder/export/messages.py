"""From entries to messages: which topics an entry speaks on, and what it says there.  No files, no MCAP."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from recorder.audit.describe import described, line
from recorder.audit.source import Held, LineageSource, entry_at
from recorder.core.controls import RULES
from recorder.core.entry import Entry, decode_in_order
from recorder.core.errors import FormatError, LineageError
from recorder.core.header import Header
from recorder.core.ids import entry_id
from recorder.core.kinds import Commit, Decision, Kind, Shared
from recorder.export import schemas
from recorder.export.acts import Acts
from recorder.export.clock import ClockTally, timestamp, utc_of
from recorder.export.message import ERROR, INFO, WARNING, Channel, Message, class_of, decision_of
from recorder.export.missing import NOT_HELD, Beside, Family, Missing
from recorder.export.survey import Survey

LINEAGE, EVENTS, WHY = "/lineage", "/events", "/why"
WHO_KEPT = 256  # families of who that later entries may refer to

_LINEAGE = Channel(LINEAGE, schemas.LOG, {})
_EVENTS = Channel(EVENTS, schemas.LOG, {})
_WHY = Channel(WHY, schemas.WHY, {})
_LEVELS: dict[int, int] = {
    **dict.fromkeys((Kind.GAP, Kind.REFUSAL, Kind.CLOCK_STEP, Kind.ABANDON), WARNING),
    Kind.FAULT: ERROR,
}
_HAPPENED = {Kind.CONFIRMATION, Kind.OBSERVATION, Kind.CONTROL_TRANSITION, Kind.EVIDENCE, Kind.MARK}


class Speaker:
    """Entries in order of seq in, messages out."""

    def __init__(self, source: LineageSource, survey: Survey) -> None:
        """Prepare to read `source`, of which `survey` is."""
        self.clock = ClockTally()
        self.entries = 0
        self._source = source
        self._survey = survey
        self._acts = Acts(survey)
        self._who: OrderedDict[int, Family] = OrderedDict()  # by carrier

    def messages(self) -> Iterator[Message]:
        """All messages; `entries` counts how far that is.

        Raises:
            LineageError, OSError: the source cannot be read on.

        """
        with closing(self._source.read(0)) as entries:
            for held in entries:
                if self._survey.is_asked_for(held.seq):
                    self.entries += 1
                    yield from self._of(held)
                elif held.seq in self._survey.carriers:
                    yield from self._why_alone(held)

    def _of(self, held: Held) -> Iterator[Message]:
        try:
            entry = decode_in_order(held.raw)
        except FormatError:
            yield self._log(_LINEAGE, held, self._survey.first_utc_ns or 0, ERROR, None, [])
            return
        header = entry.header
        self.clock.add(header.time)
        beside = Beside(held.claims, self._survey.deletion(header))
        if header.why is not None and header.why.carrier == header.seq and header.kind != Kind.REFUSAL:
            yield self._why(entry, beside)
        if header.kind == Kind.ACTUATION:
            yield from self._acts.messages(entry, beside)
            # Rows of a cycle that has ended are ungated too, and no event.
            at_mono_ns = next((act.at_mono_ns for act in header.commits or () if isinstance(act, Commit)), None)
            if header.decision == Decision.UNGATED and at_mono_ns is not None:
                utc_ns = utc_of(header.time, at_mono_ns)
                yield self._log(_EVENTS, held, utc_ns, WARNING, self._event(header, beside), [])
        elif header.kind != Kind.CYCLE:
            channel = _EVENTS if header.kind in _HAPPENED else _LINEAGE
            level = _LEVELS.get(header.kind, INFO if header.kind in RULES else WARNING)
            body = beside.family("body", 11) if header.body is not None else None
            yield self._log(channel, held, utc_of(header.time), level, None, body.missing if body else [])

    # --- Why

    def _why_alone(self, held: Held) -> Iterator[Message]:
        """The why of a cycle that was opened before the entries that are exported."""
        try:
            entry = decode_in_order(held.raw)
        except FormatError:
            return
        if entry.header.why is not None:
            yield self._why(entry, Beside(held.claims, self._survey.deletion(entry.header)))

    def _why(self, entry: Entry, beside: Beside) -> Message:
        header = entry.header
        who = self._who_of(header.who, header.seq, beside)
        why = beside.family("why", 9)
        policy = header.policy_axis.bundle if header.policy_axis is not None else None
        value: dict[str, Any] = {
            "id": str(entry_id(entry.hash, header.seq)),
            "seq": header.seq,
            "decision": decision_of(header),
            "action_class": class_of(header),
            "policy": policy.hex() if policy else "",
            "who": who.values,
            "why": why.values,
        }
        if header.bounds is not None:
            bounds = header.bounds
            value["bounds"] = {
                "not_after_mono_ns": bounds.not_after_mono_ns,
                "valid_ms": (bounds.not_after_mono_ns - header.time.mono_ns) / 1_000_000,
                "max_commits": bounds.max_commits,
                "actuators": [self._survey.name(number) for number in bounds.actuators],
                "action_classes": list(bounds.action_classes),
            }
        if who.missing or why.missing:
            value["missing"] = [*who.missing, *why.missing]
        return Message(_WHY, utc_of(header.time), value)

    def _who_of(self, who: Shared | None, seq: int, beside: Beside) -> Family:
        """The who of an entry, from the entry that carries it."""
        if who is None:
            return Family({}, [])
        if who.carrier in self._who:
            self._who.move_to_end(who.carrier)
            return self._who[who.carrier]
        if who.carrier == seq:
            found = beside.family("who", 8)
        else:
            try:
                held = entry_at(self._source, who.carrier)
                carrier = decode_in_order(held.raw).header
                found = Beside(held.claims, self._survey.deletion(carrier)).family("who", 8)
            except LineageError:
                found = Family({}, [{"claim": "who", "reason": NOT_HELD}])
        self._who[who.carrier] = found
        if len(self._who) > WHO_KEPT:
            self._who.popitem(last=False)
        return found

    # --- Log

    def _event(self, header: Header, beside: Beside) -> str:
        names = ", ".join(dict.fromkeys(self._survey.name(act.actuator) for act in header.commits or ()))
        action_class = class_of(header)
        reason = beside.family("why", 9).values.get("reason")
        return f"{action_class} on {names}: {'no reason is here' if reason is None else reason}"

    def _log(
        self, channel: Channel, held: Held, utc_ns: int, level: int, text: str | None, missing: list[Missing]
    ) -> Message:
        printed, _, sort, gist = line(held, self._survey.names)
        value: dict[str, Any] = {
            "timestamp": timestamp(utc_ns),
            "level": level,
            "message": text if text is not None else f"{sort}: {gist}" if gist else sort,
            "name": sort,
            "file": printed,
            "line": held.seq,
            "details": described(held, self._survey.names),
        }
        if missing:
            value["missing"] = missing
        return Message(channel, utc_ns, value)


def remark(utc_ns: int, level: int, text: str, details: dict[str, Any]) -> Message:
    """A message on /lineage that no entry says."""
    value = {
        "timestamp": timestamp(utc_ns),
        "level": level,
        "message": text,
        "name": "verification",
        "file": "",
        "line": 0,
        "details": details,
    }
    return Message(_LINEAGE, utc_ns, value)
