"""Verification of a lineage under a signed policy, as the tests of steps 9 and 11 ask for it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
import pytest
from msgspec.structs import replace
from recorder.audit.programs import programs
from recorder.core import ids, matrix, observation
from recorder.core.credential import Credential
from recorder.core.kinds import Kind
from recorder.core.matrix import Issuer
from recorder.core.observation import Observation
from recorder.core.policy_replay import artefact_hash, decode
from recorder.core.scope import Counts, Times
from recorder.core.verdict import Report
from recorder.core.verify import readings, verify_lineage
from tests.credential_builder import (
    BEGIN_S,
    DAY_S,
    DEPOT,
    NS,
    ROOT,
    delegated,
    from_root,
    issued,
    rescoped,
    signer,
    terms,
)
from tests.gated_builder import SCOPE, GatedBuilder, cell, evaluator
from tests.lineage_builder import MS
from tests.vectors.broken_authority import observed_by


def report(lineage: GatedBuilder, **changed: Any) -> Report:
    asked = {"roots": lineage.roots, "programs": programs(), **changed}
    return verify_lineage(lineage.origin, lineage.records, **asked)


def found(lineage: GatedBuilder, **changed: Any) -> list[tuple[int | None, str]]:
    return [(one.seq, one.error) for one in report(lineage, **changed).problems]


def outcome(of: Report, step: int) -> tuple[str, int]:
    return next((line.outcome, line.checked) for line in of.steps if line.step == step)
