"""What finds room when no further segment can be made (store.level), by what is asked and for which class.

A class says it in `disk_full_action`, beside `on_unavailable`:

- refuse: commits, openings and rows are answered `store_full`, nothing is recorded, and the controller does what
  `on_unavailable` says: with hold it does not act; with continue_ungated it acts and reports, and the report finds
  room, as long as there is.
- notify: the class goes on being recorded out of what is left, and the operator is told.  For what is worse undone than
  unrecorded.  Its rows are refused all the same: they are many, and no permission hangs on them.
- halt: cycles of the class end, on record, and openings are refused, on record, until a person has made room and
  starts the recorder again.  For what must not be done without complete evidence, where a machine that stops and goes
  on as room comes and goes would be worse than one that stands still.

What happened without asking finds room longer, and longest where its class is not gated, such as an emergency stop.
"""

from __future__ import annotations

from typing import Any

from recorder.core.kinds import Kind
from recorder.core.messages import DURABLE, Verb
from recorder.gate.table import ActionClass
from recorder.store.level import Level
from recorder.writer.context import Context

DETAIL = "no room for another segment; `lineage status` says what helps"
WRITING = DURABLE | {Verb.DECLARE_ACTUATOR, Verb.DECLARE_STREAM}  # these may leave an entry too
DRAFT_FACTOR = 4  # an entry with its claims and pages takes less than so many times the bytes of its request

_ALWAYS = frozenset({Verb.CLOSE_CYCLE, Verb.GAP, Verb.ABANDON})  # what happened to the record itself
# What people do about it, and what takes a stolen key its power: else its thief would fill the disk first.
_KINDS = frozenset({Kind.HOLD, Kind.MARK, Kind.EXTRACTION, Kind.CREDENTIAL, Kind.POLICY})


def finds_room(context: Context, level: Level, request: Any) -> bool:  # noqa: ANN401 -- one of REQUESTS
    """Whether a request that may leave an entry is taken at this level."""
    if level is Level.AMPLE:
        return True
    if level is Level.LAST:
        return False
    verb = request.verb
    if verb in _ALWAYS or (verb == Verb.APPEND and request.kind in _KINDS):
        return True
    if verb == Verb.EVENT:
        row = context.table.classes.get(request.action_class)
        return level is Level.FULL or (row is not None and not row.gated)
    if level is Level.LOW:
        return False
    if verb == Verb.COMMIT:
        return _action(context, _class_of(context, request)) == "notify"
    if verb == Verb.OPEN_CYCLE:  # a class that halts is refused by the writer, on record
        return {_action(context, name) for name in request.action_classes} <= {"notify", "halt"}
    return verb in WRITING - DURABLE


def _class_of(context: Context, request: Any) -> str:  # noqa: ANN401 -- CommitRequest
    cycle = context.journal.tail.cycles.get(request.carrier)
    name: str = request.action_class or (cycle.action_classes[0] if cycle is not None else "")
    return name


def _action(context: Context, name: str) -> str:
    row: ActionClass | None = context.table.classes.get(name)
    return "refuse" if row is None else row.disk_full_action
