"""Opening a cycle: what it needs whoever decides, then the decision, under the table or under a signed policy."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, NamedTuple

from recorder.core import cbor
from recorder.core.kinds import Decision, Kind, RefType, Stage
from recorder.core.message_requests import OpenCycle
from recorder.core.messages import Status
from recorder.core.protocol import request_id
from recorder.core.stages import end_reason, successor_error
from recorder.gate.judging import Judged
from recorder.gate.reasons import bounded
from recorder.store.open_cycle import OpenCycle as Open
from recorder.store.tail import Op
from recorder.writer import cycles, decision, families
from recorder.writer.context import Context
from recorder.writer.refusals import refuse
from recorder.writer.session import Answer, Session

CYCLES_MAX = 256  # open at once, all controllers together
CYCLES_PER_UID_MAX = 64


class _Granted(NamedTuple):
    """What an opening comes to, whoever decides."""

    decision: Decision
    why: dict[str, Any]
    max_commits: int
    not_after_mono_ns: int
    judged: Judged | None = None  # by a signed policy


def open_cycle(context: Context, session: Session, asked: OpenCycle) -> Answer:
    """Grant a cycle as the bundle in force says, or refuse it on record."""
    who = context.who(session, asked.who)
    predecessor, reasons = _predecessor(context, session, asked)
    is_due = decision.is_due(context, asked)
    reasons += _reasons(context, session, asked, {**decision.STATED, **asked.why} if is_due else asked.why)
    granted: _Granted | None = None
    why = {**asked.why, "policy": context.table.digest}
    if is_due:
        judged = decision.judged(context, asked, who, predecessor, reasons)
        why = {key: value for key, value in asked.why.items() if key not in decision.OURS} | judged.why
        reasons = judged.reasons if judged.decision == Decision.REFUSED else []
        granted = _Granted(judged.decision, why, judged.max_commits, judged.not_after_mono_ns, judged)
    request = request_id(session.id, asked.counter)
    if reasons:
        first = asked.action_classes[0]
        return refuse(
            context.journal, context.refusals, session, request, reasons if granted is not None else bounded(reasons),
            who=who, why=why, action_class=first, retention=context.retention(first), stage=asked.stage,
        )  # fmt: skip
    if granted is None:  # the controller's own decision
        not_after = context.journal.now.mono_ns + asked.valid_ms * 1_000_000
        granted = _Granted(Decision.EXTERNAL, why, asked.max_commits, not_after)
    return _opened(context, session, asked, who, granted, predecessor)


def _opened(
    context: Context,
    session: Session,
    asked: OpenCycle,
    who: dict[str, Any],
    granted: _Granted,
    predecessor: Open | None,
) -> Answer:
    journal, judged = context.journal, granted.judged
    numbers = [context.number(name) for name in asked.actuators]
    seq = journal.next_seq
    encoded = {} if judged is None else judged.encoded
    who_family = journal.family("who", who)
    why_family = families.make("why", granted.why, journal.randomness, known=encoded)
    nonce, nonce_until_ns = (None, 0) if judged is None or judged.nonce is None else judged.nonce
    fields: dict[int, Any] = {
        8: [who_family.digest, seq],
        9: [why_family.digest, seq],
        13: [asked.action_classes[0], context.retention(asked.action_classes[0])],
        14: asked.stage,
        15: [request_id(session.id, asked.counter), nonce],
        16: int(granted.decision),
        17: [granted.not_after_mono_ns, granted.max_commits, numbers, list(asked.action_classes)],
    }
    refs = _references(context, asked, predecessor)
    if refs:
        fields[12] = refs
    journal.draft(Kind.CYCLE, fields, {8: who_family.claims, 9: why_family.claims}, bundle=context.table.digest)
    opened = Open(
        seq, b"", who_family.digest, seq, why_family.digest, context.table.digest, granted.not_after_mono_ns,
        granted.max_commits, numbers, list(asked.action_classes), session.peer.uid,
        decision=int(granted.decision), stage=asked.stage, act_digest=_digest(asked),
    )  # fmt: skip
    if judged is not None and asked.act is not None:  # which is among the reasons else
        opened.act, opened.verbs = list(asked.act), sorted(context.table.classes[asked.action_classes[0]].verbs)
        opened.delegation, opened.budgets, opened.deviate_to = judged.chain[0], list(judged.budgets), judged.deviate_to
        opened.truths = {one["id"]: one["truth"] for one in granted.why["clauses"]}
        journal.spend_time(opened)
    journal.open_cycle(opened)
    if nonce is not None:
        journal.move(Op.NONCE, nonce, nonce_until_ns)  # a later cycle cannot use it either
    if predecessor is not None:
        cycles.end(context, predecessor, end_reason(Stage(asked.stage)))
    return Answer(Status.OK, cycles.opened(context, opened), seq)


def _references(context: Context, asked: OpenCycle, predecessor: Open | None) -> dict[int, list[list[Any]]]:
    refs: dict[int, list[list[Any]]] = {}
    if predecessor is not None:
        refs[int(RefType.STAGE_PREDECESSOR)] = [[None, predecessor.carrier, predecessor.hash]]
    if asked.supersedes is not None:
        refs[int(RefType.SUPERSEDES)] = [[None, asked.supersedes, context.journal.tail.cycles[asked.supersedes].hash]]
    return refs


def _predecessor(context: Context, session: Session, asked: OpenCycle) -> tuple[Open | None, list[str]]:
    """The cycle whose next stage is asked for, and why it cannot follow."""
    if asked.predecessor is None:
        wrong = successor_error(None, Stage(asked.stage))
        return None, [] if wrong is None else [f"stage_skipped: {wrong}"]
    found = context.journal.tail.cycles.get(asked.predecessor)
    if found is None or not found.hash or not cycles.may_end(context, session, found):
        return None, [f"stage_unknown: no open cycle {asked.predecessor} of yours"]
    reasons = []
    if wrong := successor_error(Stage(found.stage), Stage(asked.stage)):
        reasons.append(f"stage_skipped: {wrong}")
    names = {context.names[number] for number in found.actuators}
    if asked.action_classes != found.action_classes or not names.issuperset(asked.actuators):
        reasons.append("stage_changed: other classes or actuators than those of the stage before")
    if _digest(asked) != found.act_digest:
        reasons.append("stage_changed: another act than that of the stage before")
    return found, reasons


def _digest(asked: OpenCycle) -> bytes | None:
    return None if asked.act is None else sha256(cbor.pack(list(asked.act))).digest()


def _reasons(context: Context, session: Session, asked: OpenCycle, why: dict[str, Any]) -> list[str]:
    """Why it is refused whoever decides."""
    tail = context.journal.tail
    reasons = [f"not_permitted: {name}" for name in asked.actuators if name not in session.permissions.actuators]
    reasons += context.table.reasons_against(asked.who, why, asked.action_classes, asked.max_commits, asked.valid_ms)
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
