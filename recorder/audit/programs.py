"""Policies compiled for verification, in the process that needs them: an engine cannot be sent to another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from recorder.audit.redecide import own_programs
from recorder.core.errors import FormatError, Misuse
from recorder.core.verify import Checked, Job, check_jobs
from recorder.core.verify.replaying import Program, Programs
from recorder.gate.engine import Unfit


class OwnPrograms:
    """Programs by the engine that the recorder decides by, which is loaded for the first decision."""

    def __init__(self) -> None:
        self._is_installed = True

    def of(self, bundle: bytes) -> Program | None:
        """The program of a bundle; None where no engine is installed, or it refuses the conditions."""
        if not self._is_installed:
            return None
        try:
            return own_programs().of(bundle)[1]
        except Misuse:  # a note of the report says so
            self._is_installed = False
            return None
        except (FormatError, Unfit):
            return None


@cache
def programs() -> Programs:
    """Those of this process."""
    return OwnPrograms()


def check(jobs: Sequence[Job]) -> Checked:
    """Check jobs in whatever process this is, with the engine of its own."""
    return check_jobs(jobs, programs())
