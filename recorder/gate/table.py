"""The table of action classes in force, configured or of a signed policy, and what a cycle may ask of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from recorder.core import cbor
from recorder.core.policy import AtRisk, Policy, PolicyBundle
from recorder.core.policy_classes import WitnessRule
from recorder.core.required import missing
from recorder.core.retention import RULES, Rule
from recorder.gate.engine import Engine
from recorder.gate.program import Program

ALL_VERBS = ("commit", "record", "event")
COMMIT, RECORD, EVENT = ALL_VERBS
_POLICY_ONLY = frozenset({"verbs", "witnesses"})  # columns that the configured table does not have


class ActionClass(NamedTuple):
    """One row of the table."""

    gated: bool
    on_unavailable: str  # hold | continue_ungated
    retention: str
    claims: str  # fields | whole
    max_commits: int
    max_valid_ms: int
    disk_full_action: str  # refuse | notify | halt (writer.full)
    verbs: Collection[str] = ALL_VERBS  # of the client, that this class may be recorded by
    witnesses: WitnessRule | None = None  # that its commits and events ask for, whatever the client says


class Signed(NamedTuple):
    """A signed policy that decides."""

    policy: Policy
    program: Program
    source: PolicyBundle


@dataclass(frozen=True)
class Table:
    """The bundle in force: its bytes, their digest, the classes, what may be lost, and the retention rules.

    The rules are a part of the bundle, so that every deletion is under rules that the lineage itself states.
    """

    bundle: bytes
    digest: bytes
    classes: Mapping[str, ActionClass]
    at_risk: AtRisk
    retention: dict[str, Rule]
    signed: Signed | None = None  # None: the configured table, under which controllers bring their own decisions

    def reasons_against(
        self,
        who: Mapping[str, cbor.Value],
        why: Mapping[str, cbor.Value],
        classes: Collection[str],
        max_commits: int,
        valid_ms: int,
    ) -> list[str]:
        """Why a cycle cannot be opened as asked; empty where it can."""
        reasons = [f"class_unknown: {name}" for name in classes if name not in self.classes]
        reasons += [f"claim_missing: who.{key}" for key in missing("who", {"platform": None, **who})]
        reasons += [f"claim_missing: why.{key}" for key in missing("why", why)]
        for name in classes:
            row = self.classes.get(name)
            if row is None:
                continue
            if max_commits > row.max_commits:
                reasons.append(f"max_commits: {max_commits} is over the {row.max_commits} of class {name}")
            if valid_ms > row.max_valid_ms:
                reasons.append(f"valid_ms: {valid_ms} is over the {row.max_valid_ms} of class {name}")
        return reasons


def configured(classes: Mapping[str, ActionClass], at_risk: AtRisk, retention: Mapping[str, Rule]) -> Table:
    """The table that `recorder.toml` states."""
    bundle = cbor.encode(
        {
            "lineage/table/1": {
                name: {key: value for key, value in row._asdict().items() if key not in _POLICY_ONLY}
                for name, row in classes.items()
            },
            "at_risk": {"rows_window_ms": at_risk.rows_window_ms, "at_risk_ms": at_risk.at_risk_ms},
            RULES: {name: rule._asdict() for name, rule in retention.items()},
        }
    )
    return Table(bundle, sha256(bundle).digest(), dict(classes), at_risk, dict(retention))


def of_policy(read: PolicyBundle, engine: Engine) -> Table:
    """The table of a signed policy, ready to decide.

    Raises:
        Unfit: the engine refuses a condition.

    """
    policy = read.policy
    classes = {
        name: ActionClass(
            *(rules.gated, rules.on_unavailable, rules.retention, rules.claims),
            *(rules.max_commits, rules.max_valid_ms, rules.disk_full_action, frozenset(rules.verbs)),
            rules.witnesses,
        )
        for name, rules in policy.classes.items()
    }
    retention = {name: Rule(rule.keep_s, rule.max_bytes, rule.rows_may_go) for name, rule in policy.retention.items()}
    signed = Signed(policy, Program(policy, engine), read)
    return Table(read.signed.raw, read.hash, classes, policy.at_risk, retention, signed)
