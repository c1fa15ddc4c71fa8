"""Verification of a lineage in the steps of FORMAT.md section 8: pure, streaming, in memory that does not grow.

`Verifier.feed` goes through the entries in order and hands out jobs, the costly part of each entry, with what it needs
of the others; `check_jobs` runs them, on any core; `Verifier.take` gets what they found; `Verifier.finish` reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from recorder.core.note import VerifierKey
from recorder.core.verdict import Report
from recorder.core.verify.job import Checked, Job, check_job, check_jobs
from recorder.core.verify.lineage import Verifier
from recorder.core.verify.replaying import Programs
from recorder.core.verify.selection import SelectionVerifier

__all__ = ["Checked", "Job", "SelectionVerifier", "Verifier", "check_job", "check_jobs", "verify_lineage"]


def verify_lineage(
    origin: str,
    records: Iterable[tuple[bytes, bytes | None]],
    *,
    trusted_identity: bytes | None = None,
    checkpoints: Sequence[bytes] = (),
    roots: Sequence[VerifierKey] = (),
    programs: Programs | None = None,
) -> Report:
    """Verify a whole lineage on this core: entries in order, each with its claims (None: not held)."""
    verifier = Verifier(origin, trusted_identity=trusted_identity, checkpoints=checkpoints, roots=roots)
    for raw, claims in records:
        job = verifier.feed(raw, claims)
        if job is not None:
            verifier.take(check_jobs((job,), programs))
    return verifier.finish()
