"""The table of action classes: a policy bundle of its own kind, and the decision whether a cycle is within it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import NamedTuple

from recorder.core import cbor
from recorder.core.required import missing
from recorder.core.retention import RULES, Rule


class ActionClass(NamedTuple):
    """One row of the table."""

    gated: bool
    on_unavailable: str  # hold | continue_ungated
    retention: str
    claims: str  # fields | whole
    max_commits: int
    max_valid_ms: int
    disk_full_action: str  # refuse | notify | halt (writer.full)


class AtRisk(NamedTuple):
    """What rows may be lost with a power cut: promised to controllers in hello, and to auditors here."""

    rows_window_ms: int  # the recorder waits so long for more rows before it syncs
    at_risk_ms: int  # a controller hears of it when its rows have waited longer


class Table:
    """The bundle in force: canonical bytes, their digest, the classes, and the retention rules.

    The rules are a part of it, so that every deletion is under rules that the lineage itself states.
    """

    def __init__(self, classes: Mapping[str, ActionClass], at_risk: AtRisk, retention: Mapping[str, Rule]) -> None:
        self.classes = dict(classes)
        self.retention = dict(retention)
        self.bundle = cbor.encode(
            {
                "lineage/table/1": {name: row._asdict() for name, row in classes.items()},
                "at_risk": at_risk._asdict(),
                RULES: {name: rule._asdict() for name, rule in retention.items()},
            }
        )
        self.digest = sha256(self.bundle).digest()

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
