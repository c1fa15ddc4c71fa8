"""A small lineage, and its verification that checks an entry once however many tests leave it alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from recorder.core.verdict import Report
from recorder.core.verify import Checked, Job, Verifier, check_jobs
from tests.lineage_builder import ORIGIN, LineageBuilder, Record


def small(*, transport: bool = False) -> LineageBuilder:
    """Every shape of claims and every key window in a dozen entries."""
    lineage = LineageBuilder(transport=transport, withhold=("operator",)).setup(1)
    cycle = lineage.cycle()
    lineage.commit(cycle)
    lineage.rows(cycle, lineage.schema(), 2)
    lineage.new_epoch()
    lineage.event()
    lineage.end(cycle)
    lineage.stop()
    return lineage


def verified(
    lineage: LineageBuilder, records: Sequence[Record], notes: Sequence[bytes] = (), origin: str = ORIGIN
) -> Report:
    verifier = Verifier(origin, trusted_identity=lineage.identity.public_key, checkpoints=notes)
    for record in records:
        job = verifier.feed(*record)
        if job is not None:
            verifier.take(checked(job))
    return verifier.finish()


@cache
def checked(job: Job) -> Checked:
    """A job's outcome hangs on nothing but the job: entries that a test leaves alone are checked once."""
    return check_jobs((job,))
