"""Commits and rows as messages: on their actuator's topic, with a receipt each, and a pose where one was claimed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from recorder.core.entry import Entry
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.ids import entry_id
from recorder.core.kinds import Commit, Decision, Rows, Stage
from recorder.export import schemas
from recorder.export.clock import QUALITIES, utc_of
from recorder.export.message import Channel, Message, class_of, decision_of
from recorder.export.missing import Beside, Family, Missing
from recorder.export.pose import pose_in
from recorder.export.rowdecode import Row, RowDecoder
from recorder.export.survey import Survey

RECEIPTS, WHERE = "/receipts", "/where"

_RECEIPTS = Channel(RECEIPTS, schemas.RECEIPT, {})
_NUMBERS = ("target", "magnitude", "duration_ms")
_TEXTS = ("mode", "unit")


class Acts:
    """Actuations in order of seq in, messages out."""

    def __init__(self, survey: Survey) -> None:
        """Prepare for the entries that `survey` went through."""
        self._survey = survey
        self._channels: dict[tuple[int, bytes | None], Channel] = {}
        self._poses: dict[int, bytes] = {}  # digest of the where of the rows of each actuator that was last said

    def messages(self, entry: Entry, beside: Beside) -> Iterator[Message]:
        """What one actuation says, given the claims beside it."""
        for index, act in enumerate(entry.header.commits or ()):
            what, where, held_rows = beside.of_act(index)
            if isinstance(act, Rows):
                yield from self._rows(entry, index, act, (what, where), held_rows, beside.reason)
            else:
                yield self._commit(entry, index, act, what, where)
                yield self._receipt(entry, index, act, [*what.missing, *where.missing])
            pose = self._pose(entry.header, act, where)
            if pose is not None:
                yield pose

    def _commit(self, entry: Entry, index: int, act: Commit, what: Family, where: Family) -> Message:
        header = entry.header
        value: dict[str, Any] = {
            "id": str(entry_id(entry.hash, header.seq, index)),
            "actuator": self._survey.name(act.actuator),
            "number": act.actuator,
            "action_class": class_of(header),
            "decision": decision_of(header),
            "stage": _stage(header),
            **{key: what.values[key] for key in _TEXTS if isinstance(what.values.get(key), str)},
            **{key: what.values[key] for key in _NUMBERS if type(what.values.get(key)) in (int, float)},
            "what": what.values,
            "where": where.values,
            "cycle": _carrier(header),
            "at_mono_ns": act.at_mono_ns,
        }
        missing = [*what.missing, *where.missing]
        if missing:
            value["missing"] = missing
        return Message(self._channel(act.actuator, None, None), utc_of(header.time, act.at_mono_ns), value)

    def _rows(
        self, entry: Entry, index: int, act: Rows, families: tuple[Family, Family], held: Any, reason: str,  # noqa: ANN401
    ) -> Iterator[Message]:  # fmt: skip
        what, where = families
        missing = [*what.missing, *where.missing]
        decoder = self._survey.decoders.get(act.schema)
        if held is None:
            missing.append({"claim": "rows", "reason": reason})
        elif decoder is None:
            missing.append({"claim": "rows", "reason": f"schema {act.schema.hex()} is not here"})
        else:
            try:
                rows, withheld = decoder.decode(held, act.count)
            except FormatError as error:
                missing.append({"claim": "rows", "reason": f"unreadable: {error.detail}"})
            else:
                yield from self._decoded(entry, index, act, decoder, rows)
                if withheld:
                    missing.append({"claim": "rows", "reason": f"{reason}: {withheld} of {act.count}"})
        yield self._receipt(entry, index, act, missing, what, where)

    def _decoded(
        self, entry: Entry, index: int, act: Rows, decoder: RowDecoder, rows: Iterator[Row]
    ) -> Iterator[Message]:
        header = entry.header
        channel = self._channel(act.actuator, act.schema, decoder)
        name = schemas.facts_name(decoder.fields)
        decision, carrier = decision_of(header), _carrier(header)
        for row in rows:
            facts: dict[str, Any] = {
                "id": str(entry_id(entry.hash, header.seq, index, row.row)),
                "at_mono_ns": row.at_mono_ns,
                "decision": decision,
                "cycle": carrier,
            }
            if row.not_finite:
                facts["not_finite"] = row.not_finite
            yield Message(channel, utc_of(header.time, row.at_mono_ns), {**row.values, name: facts})

    def _receipt(
        self,
        entry: Entry,
        index: int,
        act: Commit | Rows,
        missing: list[Missing],
        what: Family | None = None,
        where: Family | None = None,
    ) -> Message:
        header = entry.header
        value: dict[str, Any] = {
            "seq": header.seq,
            "index": index,
            "id": str(entry_id(entry.hash, header.seq, index)),
            "hash": entry.hash.hex(),
            "actuator": self._survey.name(act.actuator),
            "number": act.actuator,
            "request": act.request.hex(),
            "count": act.count if isinstance(act, Rows) else 1,
            "cycle": _carrier(header),
            "flags": _flags(header, act, missing),
            "clock": QUALITIES[header.time.quality],
        }
        if header.time.error_us is not None:
            value["clock_error_us"] = header.time.error_us
        if what is not None and where is not None:
            value |= {"what": what.values, "where": where.values}
        if missing:
            value["missing"] = missing
        return Message(_RECEIPTS, utc_of(header.time), value)

    def _pose(self, header: Header, act: Commit | Rows, where: Family) -> Message | None:
        at_mono_ns = act.at_mono_ns[0] if isinstance(act, Rows) else act.at_mono_ns
        if isinstance(act, Rows):  # many messages of rows share one where
            if self._poses.get(act.actuator) == act.where:
                return None
            self._poses[act.actuator] = act.where
        utc_ns = utc_of(header.time, at_mono_ns)
        pose = pose_in(where.values, utc_ns)
        if pose is None:
            return None
        topic = f"{WHERE}/{self._survey.names.get(act.actuator, f'number-{act.actuator}')}"
        return Message(Channel(topic, schemas.POSE, {"actuator": self._survey.name(act.actuator)}), utc_ns, pose)

    def _channel(self, number: int, schema: bytes | None, decoder: RowDecoder | None) -> Channel:
        channel = self._channels.get((number, schema))
        if channel is None:
            metadata = {"actuator": self._survey.name(number), "number": str(number)}
            named = schemas.COMMIT
            if schema is not None and decoder is not None:
                named = schemas.row_schema(decoder.fields, schema)
                metadata |= {"schema": schema.hex()}
            channel = Channel(self._survey.topic(number, schema), named, metadata)
            self._channels[number, schema] = channel
        return channel


def _stage(header: Header) -> str:
    return Stage(header.stage or 0).name.lower()


def _carrier(header: Header) -> int:
    return header.seq if header.why is None else header.why.carrier


def _flags(header: Header, act: Commit | Rows, missing: list[Missing]) -> list[str]:
    flags = ["rows"] if isinstance(act, Rows) else []
    if header.decision in (Decision.UNGATED, Decision.OUTSIDE_GRANT, Decision.DEVIATED):
        flags.append(decision_of(header))
    if header.stage:
        flags.append(_stage(header))
    return [*flags, "missing"] if missing else flags
