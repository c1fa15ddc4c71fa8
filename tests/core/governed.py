"""Verification of a lineage under a signed policy, as the tests of steps 9 and 11 ask for it."""

from __future__ import annotations

from typing import Any

from recorder.audit.programs import programs
from recorder.core.verdict import Report
from recorder.core.verify import verify_lineage
from tests.gated_builder import GatedBuilder


def report(lineage: GatedBuilder, **changed: Any) -> Report:
    asked = {"roots": lineage.roots, "programs": programs(), **changed}
    return verify_lineage(lineage.origin, lineage.records, **asked)


def found(lineage: GatedBuilder, **changed: Any) -> list[tuple[int | None, str]]:
    return [(one.seq, one.error) for one in report(lineage, **changed).problems]


def outcome(of: Report, step: int) -> tuple[str, int]:
    return next((line.outcome, line.checked) for line in of.steps if line.step == step)
