"""Opening a cycle: what it needs whoever decides, then the decision, under the table or under a signed policy."""

from __future__ import annotations

from typing import Any

from recorder.core.kinds import Decision, Kind, RefType, Stage
from recorder.core.messages import OpenCycle, Status
from recorder.core.protocol import request_id
from recorder.store import tail as tails
from recorder.store.tail import Op
from recorder.writer import cycles
from recorder.writer.context import Context
from recorder.writer.judgement import Judgement, judged
from recorder.writer.refusals import refuse
from recorder.writer.session import Answer, Session

CYCLES_MAX = 256  # open at once, all controllers together
CYCLES_PER_UID_MAX = 64


def open_cycle(context: Context, session: Session, asked: OpenCycle) -> Answer:
    """Grant a cycle as the bundle in force says, or refuse it on record."""
    who = context.who(session, asked.who)
    reasons = _reasons(context, session, asked)
    predecessor = None
    if not reasons:
        predecessor, reasons = _predecessor(context, session, asked)
    judgement = Judgement.brought(asked, context.table.digest, reasons)
    if not reasons and context.table.signed is not None and context.is_gated(asked.action_classes):
        judgement = judged(context, asked, who, predecessor)
    request = request_id(session.id, asked.counter)
    if judgement.reasons:
        first = asked.action_classes[0]
        return refuse(
            context.journal, context.refusals, session, request, judgement.reasons,
            who=who, why=judgement.why, action_class=first, retention=context.retention(first),
            stage=asked.stage,
        )  # fmt: skip
    return _opened(context, session, asked, request, who, judgement, predecessor)


def _opened(
    context: Context,
    session: Session,
    asked: OpenCycle,
    request: bytes,
    who: dict[str, Any],
    judgement: Judgement,
    predecessor: tails.OpenCycle | None,
) -> Answer:
    journal, tail = context.journal, context.journal.tail
    numbers = [context.number(name) for name in asked.actuators]
    seq = journal.next_seq
    who_family, why_family = journal.family("who", who), journal.family("why", judgement.why)
    fields: dict[int, Any] = {
        8: [who_family.digest, seq],
        9: [why_family.digest, seq],
        13: [asked.action_classes[0], context.retention(asked.action_classes[0])],
        14: asked.stage,
        15: [request, judgement.nonce],
        16: judgement.decision,
        17: [judgement.not_after_mono_ns, judgement.max_commits, numbers, list(asked.action_classes)],
    }
    refs: dict[int, list[list[Any]]] = {}
    if predecessor is not None:
        refs[int(RefType.STAGE_PREDECESSOR)] = [[None, predecessor.carrier, predecessor.hash]]
    if asked.supersedes is not None:
        refs[int(RefType.SUPERSEDES)] = [[None, asked.supersedes, tail.cycles[asked.supersedes].hash]]
    if refs:
        fields[12] = refs
    journal.draft(Kind.CYCLE, fields, {8: who_family.claims, 9: why_family.claims}, bundle=context.table.digest)
    opened = tails.OpenCycle(
        seq, b"", who_family.digest, seq, why_family.digest, context.table.digest, judgement.not_after_mono_ns,
        judgement.max_commits, numbers, list(asked.action_classes), session.peer.uid,
        decision=judgement.decision, stage=asked.stage, chain=list(judgement.chain), budgets=list(judgement.budgets),
        act=None if asked.act is None else list(asked.act), deviate_to=judgement.deviate_to,
        truths=dict(judgement.truths),
    )  # fmt: skip
    journal.open_cycle(opened)
    journal.spend_time(judgement.timed, judgement.not_after_mono_ns)
    if judgement.nonce is not None:
        journal.move(Op.NONCE, judgement.nonce, judgement.not_after_mono_ns)
    if predecessor is not None:
        cycles.end(context, predecessor, f"stage: {Stage(asked.stage).name.lower()}")
    return Answer(Status.OK, cycles.opened(context, opened), seq)


def _reasons(context: Context, session: Session, asked: OpenCycle) -> list[str]:
    """Why it is refused whoever decides."""
    tail = context.journal.tail
    reasons = [f"not_permitted: {name}" for name in asked.actuators if name not in session.permissions.actuators]
    reasons += context.table.reasons_against(
        asked.who, asked.why, asked.action_classes, asked.max_commits, asked.valid_ms
    )
    if context.require_policy and context.table.signed is None and context.is_gated(asked.action_classes):
        reasons.append("policy_missing: this recorder opens no gated cycle before a policy is installed")
    reasons += [f"disk_full_halt: {name}" for name in asked.action_classes if name in context.halted]
    if asked.deadline_mono_ns is not None and context.journal.now.mono_ns > asked.deadline_mono_ns:
        reasons.append("deadline_passed")
    if asked.supersedes is not None and (asked.supersedes not in tail.cycles or not tail.cycles[asked.supersedes].hash):
        reasons.append(f"cycle_unknown: {asked.supersedes}")
    mine = sum(cycle.uid == session.peer.uid for cycle in tail.cycles.values())
    if len(tail.cycles) >= CYCLES_MAX or mine >= CYCLES_PER_UID_MAX:
        reasons.append(f"cycles_open: {mine} of yours and {len(tail.cycles)} in all; close some")
    return reasons
