"""What changed in what the process tells of itself, as lines for the journal: who reads only that has to hear of it.

Pure: one status after the other comes in.  What may be gone in a moment (a peer that is still starting, a network that
comes up) is told when it lasts, and of witnesses no more often than rounds are made: who comes and goes fills no disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

LASTS = 2  # rounds in a row
LASTS_ABSENT = 5  # statuses in a row, one a second
CLOCK = 'the clock is not trusted: nothing is cosigned here until NTP has set it, or mesh.toml says clock = "operator"'
NOWHERE = "on no network: no interface is up, or none of those that [discovery] interfaces in mesh.toml names"
COSIGNED, NOT_NOW = "cosigned", "not now"  # how what a witness did last begins (`submitting`)
UNASKED = "not asked yet"


class Journal:
    """Remembers what was told last."""

    def __init__(self, say: Callable[[str], None], *, has_quorum: bool) -> None:
        """Begin with nothing told: what is well from the start needs no line.

        Args:
            say: tells a person.
            has_quorum: whether the fleet list asks for one.

        """
        self._say = say
        self._has_quorum = has_quorum
        self._rounds = 0
        self._absent = 0  # statuses in a row without a network
        self._without = 0  # rounds in a row without a quorum
        self._failed: dict[str, int] = {}  # by witness, rounds in a row in which it did not cosign
        self._told: dict[str, str] = {}  # of each subject that is not well, what was told

    def take(self, status: Mapping[str, Any]) -> None:
        """Tell what is otherwise than it was."""
        self._tell("clock", None if status["clock_trusted"] else CLOCK, "the clock is trusted")
        discovery = status.get("discovery")
        if discovery is not None:
            self._absent = 0 if discovery["interfaces"] else self._absent + 1
            is_well = self._absent < LASTS_ABSENT
            self._tell("network", None if is_well else NOWHERE, f"on {', '.join(discovery['interfaces'])}")
        if status["rounds"] != self._rounds:
            self._rounds = status["rounds"]
            for one in status["peers"]:
                self._take_witness(one["name"], one["last"])
            if self._has_quorum and status["latest"] is not None:
                self._take_round(status["latest"])

    def _take_witness(self, name: str, last: str) -> None:
        if last == UNASKED:
            return
        is_well = last.startswith(COSIGNED)
        self._failed[name] = 0 if is_well else self._failed.get(name, 0) + 1
        if not is_well and last.startswith(NOT_NOW) and self._failed[name] < LASTS:
            return
        self._tell(name, None if is_well else f"{name} does not cosign: {last}", f"{name} cosigns again")

    def _take_round(self, latest: Mapping[str, Any]) -> None:
        self._without = 0 if latest["is_quorum"] else self._without + 1
        if 0 < self._without < LASTS:
            return
        size = f"{latest['size']:,} entries"
        trouble = f"no quorum: {latest['cosigned']} of {latest['asked']} witnesses that could be asked cosigned {size}"
        self._tell(
            "quorum",
            None if not self._without else f"{trouble}; `lineage mesh peers` says why",
            f"a quorum cosigned {size}",
        )

    def _tell(self, subject: str, trouble: str | None, well: str) -> None:
        """Say a trouble when it begins, and when it is over; what it says of sizes and reasons may change meanwhile."""
        told = self._told.get(subject)
        if trouble is None and told is not None:
            del self._told[subject]
            self._say(well)
        elif trouble is not None and told is None:
            self._told[subject] = trouble
            self._say(trouble)
