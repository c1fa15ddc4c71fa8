"""Commits, rows and events: what actuators do."""

from __future__ import annotations

from typing import Any

from recorder.core import rows
from recorder.core.bounds import beyond
from recorder.core.kinds import Commit, Decision, RefType, Stage
from recorder.core.message_requests import Claims, CommitRequest, EventRequest, RowsRequest
from recorder.core.protocol import request_id
from recorder.core.required import missing
from recorder.gate.reasons import bounded
from recorder.gate.table import COMMIT, RECORD
from recorder.store.open_cycle import OpenCycle
from recorder.writer import cycles
from recorder.writer.asking import Wish
from recorder.writer.context import Context, completed, failed
from recorder.writer.families import Family
from recorder.writer.gathering import Gathering
from recorder.writer.header import fields_of_commits, pack_commit, pack_fields
from recorder.writer.journal import Act, Draft
from recorder.writer.refusals import refuse
from recorder.writer.session import Answer, Session, Stream, receipt

CLAIM_OVERHEAD_BYTES = 64  # secrets and CBOR heads of a commit's claims, about


def commit(context: Context, session: Session, asked: CommitRequest, size: int) -> Answer:
    """Admit one commit within its cycle, or refuse it on record; `size` is that of the message."""
    journal = context.journal
    request = request_id(session.id, asked.counter)
    cycle = journal.tail.cycles.get(asked.carrier)
    if cycle is None:
        action_class = asked.action_class or "unknown"
        return refuse(
            journal, context.refusals, session, request, [f"cycle_unknown: {asked.carrier}"],
            who=context.who(session, {"operator": None, "delegation": None}), why={"reason": "cycle_unknown"},
            action_class=action_class, retention=context.retention(action_class),
        )  # fmt: skip
    action_class = asked.action_class or cycle.action_classes[0]
    reasons = _reasons(context, session, cycle, asked)
    whole = context.is_whole(action_class)
    what, where = journal.family("what", asked.what, whole=whole), journal.family("where", asked.where, whole=whole)
    act = _act(asked.actuator, what, where, asked.at_mono_ns, request, size + CLAIM_OVERHEAD_BYTES)
    if reasons:
        if asked.actuator not in context.names:
            return failed("actuator_unknown", f"no actuator has number {asked.actuator}")
        return refuse(
            journal, context.refusals, session, request, bounded(reasons), who={}, why={}, action_class=action_class,
            retention=context.retention(action_class), commit=(cycle, act),
        )  # fmt: skip
    wish = context.wish(action_class, asked.witnesses)
    drafted = _group(context, session, cycle, action_class, cycle.decision, size, wish)
    drafted.settle(session.id)
    index = journal.add_commit(drafted, act)
    journal.count(cycle.carrier, cycle.made + 1)
    answer = receipt(drafted.seq, index, cycle.decision)
    return answer if wish is None or not wish.is_before else answer._replace(holds=True)


def _act(actuator: int, what: Family, where: Family, at_mono_ns: int, request: bytes, size: int) -> Act:
    packed = pack_commit(Commit(actuator, what.digest, where.digest, at_mono_ns, request))
    return Act(actuator, packed, b"\x82" + what.claims + where.claims, size)


def _reasons(context: Context, session: Session, cycle: OpenCycle, asked: CommitRequest) -> list[str]:
    now = context.journal.now.mono_ns
    reasons = []
    if asked.actuator not in cycle.actuators:
        reasons.append(f"cycle_actuator: {asked.actuator}")
    elif context.names[asked.actuator] not in session.permissions.actuators:
        reasons.append(f"not_permitted: {context.names[asked.actuator]}")
    if asked.action_class is None and len(cycle.action_classes) > 1:
        reasons.append(f"cycle_class: name one of {', '.join(cycle.action_classes)}")
    if asked.action_class is not None and asked.action_class not in cycle.action_classes:
        reasons.append(f"cycle_class: {asked.action_class}")
    if cycle.verbs is not None and COMMIT not in cycle.verbs:
        reasons.append(f"verb_not_permitted: commit, of class {asked.action_class or cycle.action_classes[0]}")
    if now > cycle.not_after_mono_ns:
        reasons.append("cycle_expired")
    if cycle.made >= cycle.max_commits:
        reasons.append("cycle_exhausted")
    if asked.deadline_mono_ns is not None and now > asked.deadline_mono_ns:
        reasons.append("deadline_passed")
    if cycle.delegation is not None:
        reasons += _beyond_grant(context, cycle, asked)
    reasons += [f"claim_missing: what.{key}" for key in missing("what", asked.what)]
    reasons += [f"claim_missing: where.{key}" for key in missing("where", asked.where)]
    return reasons


def _beyond_grant(context: Context, cycle: OpenCycle, asked: CommitRequest) -> list[str]:
    """Why a commit goes beyond what a policy decided about, its delegation or what is left of that."""
    reasons = _beyond(context, cycle, asked.actuator, asked.action_class, asked.what, asked.where)
    spent = context.journal.tail.authority.spent
    for digest, limit in cycle.budgets:
        if spent[digest].commits >= limit:
            reasons.append(f"budget_exhausted: {limit} commits of credential {digest.hex()[:8]}")
    return reasons


def _beyond(
    context: Context, cycle: OpenCycle, actuator: int, action_class: str | None, what: Claims, where: Claims
) -> list[str]:
    assert cycle.act is not None
    assert cycle.delegation is not None
    now = context.journal.now
    scope = context.authorities.pool[cycle.delegation].terms.scope
    return beyond(
        cycle.act[0], what, where, scope, action_class or cycle.action_classes[0],
        context.names.get(actuator, ""), now.utc_ns if now.quality else None, cycle.deviate_to,
    )  # fmt: skip


def _group(
    context: Context,
    session: Session,
    cycle: OpenCycle,
    action_class: str,
    decision: int,
    size: int,
    wish: Wish | None = None,
) -> Draft:
    """The draft that takes commits of this cycle, class, decision and wish; rows ask for no witnesses.

    A session's requests keep their order, so one that has already gone into a later entry gets a new one.
    """
    key = (cycle.carrier, action_class, decision, wish)
    drafted = context.groups.get(key)
    if drafted is None or drafted.seq < session.last_seq or not context.journal.has_room(drafted, size):
        fields = fields_of_commits(
            (cycle.who, cycle.who_carrier),
            (cycle.why, cycle.carrier),
            action_class,
            context.retention(action_class),
            cycle.stage,
            decision,
        )
        drafted = context.actuation(fields, None, wish, bundle=cycle.bundle)
        context.groups[key] = drafted
    return drafted


def rows_message(context: Context, session: Session, asked: RowsRequest) -> Answer:
    """Store rows: within their cycle, else marked as outside the grant or ungated, never refused."""
    if asked.stream >= len(session.streams):
        return failed("stream_unknown", f"this connection declared {len(session.streams)} streams")
    stream = session.streams[asked.stream]
    count, left = divmod(len(asked.packed), stream.row_bytes)
    if left or not count:
        return failed("rows_malformed", f"{len(asked.packed)} bytes are not rows of {stream.row_bytes}")
    times = rows.times_of(asked.packed, stream.row_bytes)
    if times[0] > times[1]:
        return failed("rows_malformed", "the rows are not in the order of their times")
    cycle = context.journal.tail.cycles.get(asked.carrier)
    if cycle is None:
        return _ungated_rows(context, session, stream, asked, count, times)
    action_class = asked.action_class or cycle.action_classes[0]
    within = (
        stream.actuator in cycle.actuators
        and action_class in cycle.action_classes
        and times[1] <= cycle.not_after_mono_ns
        and cycle.made + count <= cycle.max_commits
        and (cycle.delegation is None or _rows_within_grant(context, cycle, stream, action_class, count))
    )
    decision = cycle.decision if within else int(Decision.OUTSIDE_GRANT)
    size = len(asked.packed) + CLAIM_OVERHEAD_BYTES
    drafted = _group(context, session, cycle, action_class, decision, size)
    index = _add_rows(context, drafted, session, stream, asked, count, times, action_class)
    if within:
        context.journal.count(cycle.carrier, cycle.made + count)
    return receipt(drafted.seq, index, decision)


def _rows_within_grant(context: Context, cycle: OpenCycle, stream: Stream, action_class: str, count: int) -> bool:
    if cycle.verbs is not None and RECORD not in cycle.verbs:
        return False
    spent = context.journal.tail.authority.spent
    if any(spent[digest].commits + count > limit for digest, limit in cycle.budgets):
        return False
    return not _beyond(context, cycle, stream.actuator, action_class, stream.what, stream.where)


def _add_rows(
    context: Context,
    drafted: Draft,
    session: Session,
    stream: Stream,
    asked: RowsRequest,
    count: int,
    times: tuple[int, int],
    action_class: str,
) -> int:
    drafted.claims_bytes += len(asked.packed)
    gathering = drafted.gathered.get(session.id)
    if gathering is None or not gathering.takes(stream, times[0]):
        drafted.settle(session.id)
        drafted.claims_bytes += CLAIM_OVERHEAD_BYTES
        families = families_of(context, stream, action_class)
        request, secret = request_id(session.id, asked.counter), context.journal.randomness(16)
        gathering = Gathering(len(drafted.commits), stream, families, request, secret, times[0])
        context.journal.gather(drafted, session.id, stream.actuator, gathering)
    gathering.add(asked.packed, count, times[1])
    return gathering.index


def families_of(context: Context, stream: Stream, action_class: str) -> tuple[Family, Family]:
    """What and where of a stream, made once for each way to keep claims."""
    whole = context.is_whole(action_class)
    if whole not in stream.families:
        stream.families[whole] = (
            context.journal.family("what", stream.what, whole=whole),
            context.journal.family("where", stream.where, whole=whole),
        )
    return stream.families[whole]


def _ungated_rows(
    context: Context, session: Session, stream: Stream, asked: RowsRequest, count: int, times: tuple[int, int]
) -> Answer:
    """Rows of a cycle that has ended: no why is left to refer to, so the entry carries its own."""
    action_class = asked.action_class or "unknown"
    why = {"reason": "cycle_unknown", "carrier": asked.carrier}
    drafted = _ungated(context, session, action_class, {"operator": None, "delegation": None}, why)
    index = _add_rows(context, drafted, session, stream, asked, count, times, action_class)
    return receipt(drafted.seq, index, int(Decision.UNGATED))


def event(context: Context, session: Session, asked: EventRequest) -> Answer:
    """Store what happened without a cycle; only for actuators that the peer may act for."""
    request = request_id(session.id, asked.counter)
    strangers = [name for name in asked.actuators if name not in session.permissions.actuators]
    who = completed("who", asked.who)
    why = completed("why_ungated", asked.why)
    if strangers:
        return refuse(
            context.journal, context.refusals, session, request,
            bounded(f"not_permitted: {name}" for name in strangers),
            who=context.who(session, who), why=why, action_class=asked.action_class,
            retention=context.retention(asked.action_class),
        )  # fmt: skip
    numbers = [context.number(name) for name in asked.actuators]
    whole = context.is_whole(asked.action_class)
    what = context.journal.family("what", completed("what", asked.what), whole=whole)
    where = context.journal.family("where", completed("where", asked.where), whole=whole)
    aborted = None
    if asked.predecessor is not None:
        aborted = cycles.abortable(context, session, asked.predecessor)
        why = why if aborted is not None else {**why, "stage_unknown": asked.predecessor}  # it happened all the same
    wish = context.wish(asked.action_class, asked.witnesses)
    drafted = _ungated(context, session, asked.action_class, who, why, aborted, wish)
    for number in dict.fromkeys(numbers):
        act = _act(number, what, where, asked.at_mono_ns, request, CLAIM_OVERHEAD_BYTES)
        context.journal.add_commit(drafted, act)
    if aborted is not None:
        cycles.end(context, aborted, f"stage: {Stage.ABORTED.name.lower()}")
    return receipt(drafted.seq, 0, int(Decision.UNGATED))


def _ungated(
    context: Context,
    session: Session,
    action_class: str,
    who: dict[str, Any],
    why: dict[str, Any],
    aborted: OpenCycle | None = None,
    wish: Wish | None = None,
) -> Draft:
    journal = context.journal
    who_family = journal.family("who", context.who(session, who))
    why_family = journal.family("why", why)
    seq = journal.next_seq
    fields: dict[int, Any] = {
        8: [who_family.digest, seq],
        9: [why_family.digest, seq],
        13: [action_class, context.retention(action_class)],
        14: int(Stage.DIRECT if aborted is None else Stage.ABORTED),
        16: int(Decision.UNGATED),
    }
    if aborted is not None:
        fields[12] = {int(RefType.STAGE_PREDECESSOR): [[None, aborted.carrier, aborted.hash]]}
    claims = {8: who_family.claims, 9: why_family.claims}
    return context.actuation(pack_fields(fields), claims, wish, bundle=None)
