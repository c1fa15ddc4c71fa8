"""A gated cycle that is asked for under a policy bundle, judged: what it may do, or why nothing, and the evidence.

1. The delegation: it stands, is this platform's, covers the act, and something is left of it.
2. Its bounds are cut to what is left, and to the end of the first of its links and of an evaluator's grant.
3. The policy is in force.
4. Inputs are taken, and the clauses decide; or an external evaluator has, and its grant is for just this.

All four are done whatever the others say, so that a refusal tells of everything at once and rests on the same evidence
as a grant would.  Nothing here reads a clock, draws a number or remembers anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from recorder.core import cbor, policy_issue
from recorder.core.decided import counterfactual
from recorder.core.delegation import Moment
from recorder.core.kinds import Decision, Stage
from recorder.core.limits import INT64_MAX
from recorder.core.policy import PolicyBundle
from recorder.core.policy_replay import Artefact, Situation, artefact_hash
from recorder.core.policy_terms import FACTS
from recorder.core.scope import Act
from recorder.core.spending import Spent
from recorder.gate import delegated, evidence, external, inputs
from recorder.gate.authorities import Authorities
from recorder.gate.decision import Decided
from recorder.gate.delegated import Delegated
from recorder.gate.evidence import Before
from recorder.gate.external import External
from recorder.gate.inputs import NS_PER_MS, Now
from recorder.gate.observed import Observers, Resolve
from recorder.gate.program import Program
from recorder.gate.reasons import bounded

Claims = Mapping[str, cbor.Value]

ARTEFACT_MAX_BYTES = 16_384  # what a decision consumed is stored a second time, beside the inputs that were sent
ACT_MAX_BYTES = 2048  # the contemplated one of every open cycle is in memory and in every snapshot of the tail

_CLAIMED = [(name, *name.split(".", 1)) for name in FACTS if name.partition(".")[0] in {"who", "what", "where"}]


class Asked(NamedTuple):
    """A gated cycle that is asked for."""

    action_class: str
    stage: Stage
    actuators: Sequence[str]
    max_commits: int
    valid_ms: int
    who: Claims
    why: Claims  # of the controller; its `inputs` and `alternatives` are taken up
    act: tuple[Claims, Claims] | None  # what and where, as contemplated
    delegation: bytes | None
    grant: bytes | None  # of an external evaluator
    before: Before | None = None  # of a stage that follows another one
    reasons: Sequence[str] = ()  # why it is refused already


class Ground(NamedTuple):
    """What the recorder judges by."""

    program: Program  # of the bundle
    bundle: PolicyBundle  # in force
    authorities: Authorities
    identity: bytes  # public key of the platform
    origin: str
    os_boot: bytes
    spent: Mapping[bytes, Spent]  # by hash of a credential
    nonces: Mapping[bytes, int]  # of the grants that were used, with the CLOCK_BOOTTIME after which they are nothing
    resolve: Resolve


class Judged(NamedTuple):
    """What became of it."""

    decision: Decision
    reasons: list[str]
    why: dict[str, cbor.Value]  # claims, over those of the controller
    encoded: dict[str, bytes]  # CBOR of some of these
    chain: tuple[bytes, ...]  # hashes of the links of the delegation, itself first
    budgets: tuple[tuple[bytes, int], ...]  # (link, commits under it in all)
    max_commits: int
    not_after_mono_ns: int
    deviate_to: str | None
    nonce: tuple[bytes, int] | None  # of the grant, and the CLOCK_BOOTTIME after which that is good for nothing


def judge(asked: Asked, ground: Ground, *, moment: Moment, now: Now, salt: bytes) -> Judged:
    """Judge a cycle of one class that the bundle gates.

    Args:
        asked: what is asked for.
        ground: what it is judged by.
        moment: of the opening (`core.moments`).
        now: the same by the recorder's clocks.
        salt: 16 random bytes, for the artefact.

    Raises:
        Misuse: the class is not gated by the bundle.

    """
    what, where = asked.act or ({}, {})
    reasons = [*asked.reasons]
    if asked.act is None:
        reasons.append("contemplated_missing: no act to decide about")
    elif (size := len(cbor.pack([what, where]))) > ACT_MAX_BYTES:
        reasons.append(f"contemplated_too_large: {size} bytes, over {ACT_MAX_BYTES}")
    # 1. The delegation
    act = Act(
        asked.action_class, asked.actuators, what.get("magnitude"), what.get("unit"), where.get("frame"),
        where.get("position_m"), now.utc_ns,
    )  # fmt: skip
    under = delegated.judge(
        asked.delegation, act, identity=ground.identity, authorities=ground.authorities, moment=moment,
        now_mono_ns=now.mono_ns, spent=ground.spent,
    )  # fmt: skip
    reasons += under.reasons
    granted = (
        None
        if asked.grant is None
        else external.read(asked.grant, ground.authorities, moment, ground.nonces, now.mono_ns)
    )
    # 2. Bounds
    max_commits, not_after = _bounds(asked, under, granted, now.mono_ns)
    # 3. The policy
    reasons += [f"{one.error}: {one.detail}" for one in policy_issue.window(ground.bundle, moment)[0]]
    # 4. The decision
    taken = inputs.read(asked.why.get("inputs", []), now, Observers(ground.authorities, moment, ground.resolve))
    reasons += taken.reasons
    facts = _facts(asked, under, max_commits, (not_after - now.mono_ns) // NS_PER_MS)
    situation = Situation(asked.action_class, taken.given, facts)
    if granted is None:
        decided = ground.program.decide(situation)
    else:
        decided = ground.program.defer(situation)
        reasons += granted.reasons_against(
            origin=ground.origin, os_boot=ground.os_boot, now_mono_ns=now.mono_ns, action_class=asked.action_class,
            actuators=asked.actuators, max_commits=max_commits, not_after_mono_ns=not_after,
            delegation=asked.delegation, act=(what, where), inputs=taken.recorded,
        )  # fmt: skip
    why: dict[str, cbor.Value] = {
        "policy": ground.bundle.hash,
        "clauses": evidence.of_clauses(decided),
        "inputs": taken.recorded,
        "contemplated": None if asked.act is None else {"what": what, "where": where},
        **evidence.alternatives(asked.why.get("alternatives")),
    }
    if granted is None:
        _add_replay(why, ground, decided, salt, reasons)
        without = partial(ground.program.without, decided)
        why["counterfactual"] = counterfactual(decided, without, refused_anyway=bool(reasons))
    else:
        why |= granted.claims
    decision = Decision.REFUSED if reasons else decided.decision
    if decision == Decision.DEVIATED and asked.delegation is not None:
        why["deviation"] = evidence.deviation(decided, what, asked.delegation)
    if asked.before is not None:
        why["post_evaluation"] = evidence.since(asked.before, decided)
    reasons = bounded(reasons)  # what the policy decided is told whole: replay compares it
    if not reasons or decided.decision == Decision.REFUSED:
        reasons += decided.reasons
    why["reasons"] = reasons
    return Judged(
        decision,
        reasons,
        why,
        {"clauses": evidence.encoded_clauses(decided)},
        under.chain,
        under.left.limits if under.left is not None else (),
        max_commits,
        not_after,
        decided.deviate_to if decision == Decision.DEVIATED else None,
        None if granted is None or granted.says is None else (granted.says.nonce, granted.says.not_after_mono_ns),
    )


def _bounds(asked: Asked, under: Delegated, granted: External | None, now_mono_ns: int) -> tuple[int, int]:
    """Commits and end of the cycle: what is asked for, cut to what is left; never nothing, which refuses elsewhere."""
    max_commits, not_after = asked.max_commits, now_mono_ns + asked.valid_ms * NS_PER_MS
    if under.left is not None and under.left.commits:
        max_commits = min(max_commits, under.left.commits)
    for end in (under.not_after_mono_ns, None if granted is None else granted.not_after_mono_ns):
        if end is not None and end < not_after:
            not_after = end
    return max_commits, max(now_mono_ns, not_after)


def _facts(asked: Asked, under: Delegated, max_commits: int, valid_ms: int) -> dict[str, Any]:
    """By the names of `policy_terms.FACTS`; bounds as they are granted."""
    what, where = asked.act or ({}, {})
    claims = {"who": asked.who, "what": what, "where": where}
    facts: dict[str, Any] = {name: claims[family].get(key) for name, family, key in _CLAIMED}
    facts["act.class"], facts["act.stage"] = asked.action_class, asked.stage.name.lower()
    facts["act.actuators"] = list(asked.actuators)
    facts["act.max_commits"], facts["act.valid_ms"] = max_commits, valid_ms
    if under.left is not None and under.left.commits is not None and under.left.ns is not None:
        # A budget may be a greater number than conditions know.
        facts["grant.commits_left"] = min(under.left.commits, INT64_MAX)
        facts["grant.ms_left"] = min(under.left.ns // NS_PER_MS, INT64_MAX)
    return facts


def _add_replay(why: dict[str, cbor.Value], ground: Ground, decided: Decided, salt: bytes, reasons: list[str]) -> None:
    """Who evaluated, and the bytes to do it again; the artefact is left out, and refuses, where it is too large."""
    engine = ground.program.engine
    why["evaluator"] = f"{engine.name} {engine.version}"
    artefact = Artefact(salt, ground.bundle.hash, engine.name, engine.version, decided.situation).encode()
    if len(artefact) > ARTEFACT_MAX_BYTES:
        reasons.append(f"artefact_too_large: {len(artefact)} bytes, over {ARTEFACT_MAX_BYTES}")
        return
    why["artefact"], why["replay"] = artefact, artefact_hash(artefact)
