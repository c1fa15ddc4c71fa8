"""The jobs of a verification: how many are out, and what those that came back have checked."""

from __future__ import annotations

from recorder.core.errors import Misuse
from recorder.core.verify.job import Checked


class Tally:
    """Counts; the problems that jobs found go elsewhere."""

    def __init__(self) -> None:
        self.handed = 0
        self.signatures = 0
        self.families = 0
        self._taken = 0

    def take(self, checked: Checked) -> None:
        """Count what jobs have checked."""
        self._taken += checked.jobs
        self.signatures += checked.signatures
        self.families += checked.families

    def finish(self) -> None:
        """Nothing more comes.

        Raises:
            Misuse: results of jobs are still out; a report without them would pass what nobody checked.

        """
        if self._taken != self.handed:
            raise Misuse(f"{self.handed - self._taken} of {self.handed} jobs were not taken back")
