"""Policies compiled for replay, in the process that needs them: an engine cannot be sent to another."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache

from recorder.core import policy
from recorder.core.errors import FormatError, Misuse
from recorder.core.verify import Checked, Job, check_jobs
from recorder.core.verify.replaying import Program, Programs
from recorder.gate.cel import Cel
from recorder.gate.engine import Unfit
from recorder.gate.program import Program as Compiled

PROGRAMS_KEPT = 8  # policies follow one another: more are not in use at once


class CelPrograms:
    """Programs of the CEL engine, which is loaded for the first decision."""

    def __init__(self) -> None:
        self.of = lru_cache(maxsize=PROGRAMS_KEPT)(self._compile)

    def _compile(self, bundle: bytes) -> Program | None:
        """The program of a bundle; None where no engine is installed, or it refuses the conditions."""
        engine = _engine()
        if engine is None:
            return None
        try:
            return Compiled(policy.read(bundle).policy, engine)
        except (FormatError, Unfit):
            return None


@cache
def programs() -> Programs:
    """Those of this process."""
    return CelPrograms()


@cache
def _engine() -> Cel | None:
    try:
        return Cel()
    except Misuse:  # not installed, which a note of the report says
        return None


def check(jobs: Iterable[Job]) -> Checked:
    """Check jobs in whatever process this is, with the engine of its own."""
    return check_jobs(jobs, programs())
