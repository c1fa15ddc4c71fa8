"""The decision of a signed policy about an opening: what the gate is asked, out of what the writer knows."""

from __future__ import annotations

from typing import Any

from recorder.core import ids
from recorder.core.errors import Misuse
from recorder.core.grant import CLAIM
from recorder.core.kinds import Decision, Stage
from recorder.core.limits import SALT_BYTES
from recorder.core.message_requests import OpenCycle
from recorder.gate.evidence import Before
from recorder.gate.inputs import Now
from recorder.gate.judging import Asked, Ground, Judged, judge
from recorder.store.open_cycle import OpenCycle as Open
from recorder.writer.context import Context

# What the recorder states of a decision, whatever a controller says of it.
STATED: dict[str, Any] = {"evaluator": None, "clauses": None, "inputs": [], "alternatives": []}
# What only the recorder states, whether it has something to state or not.
OURS = frozenset(
    {
        *STATED, "policy", "contemplated", "reasons", "artefact", "replay", "counterfactual", "deviation",
        "post_evaluation", "alternatives_truncated", "alternatives_total", CLAIM,
    }
)  # fmt: skip


def is_due(context: Context, asked: OpenCycle) -> bool:
    """Whether a signed policy decides: it is in force, and gates one of the classes."""
    return context.table.signed is not None and context.is_gated(asked.action_classes)


def judged(
    context: Context, asked: OpenCycle, who: dict[str, Any], predecessor: Open | None, reasons: list[str]
) -> Judged:
    """Ask the gate; `reasons` are those for which it is refused already."""
    signed = context.table.signed
    if signed is None:
        raise Misuse("no signed policy is in force")
    gated = [name for name in asked.action_classes if context.is_gated([name])]
    if len(gated) < len(asked.action_classes) or len(gated) > 1:
        reasons = [*reasons, f"class_mixed: {', '.join(asked.action_classes)}; a gated cycle is of one class"]
    journal, now = context.journal, context.journal.now
    delegation = asked.who.get("delegation")
    before = None
    if predecessor is not None:
        printed = str(ids.entry_id(predecessor.hash, predecessor.carrier))
        before = Before(printed, Decision(predecessor.decision), predecessor.truths)
    request = Asked(
        gated[0], Stage(asked.stage), asked.actuators, asked.max_commits, asked.valid_ms, who,
        {**STATED, **asked.why}, asked.act, delegation if isinstance(delegation, bytes) else None, asked.grant,
        before, reasons,
    )  # fmt: skip
    ground = Ground(
        signed.program, signed.source, context.authorities, journal.tail.identity_key, journal.tail.origin,
        journal.tail.os_boot, journal.tail.authority.spent, journal.tail.authority.nonces, context.readings.find,
    )  # fmt: skip
    return judge(
        request, ground, moment=journal.moment, now=Now(now.mono_ns, now.utc_ns if now.quality else None),
        salt=journal.randomness(SALT_BYTES),
    )  # fmt: skip
