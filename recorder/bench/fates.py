"""What became of what the loops gave: counted in the store once the recorder has stopped, not by what it answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from recorder.audit.axis import actuator_number
from recorder.audit.source import kind_of
from recorder.audit.state import open_state
from recorder.bench.acts import ACTUATOR
from recorder.bench.calls import Calls
from recorder.core.entry import decode
from recorder.core.header import Header
from recorder.core.kinds import Commit, Kind, Rows


class Fate(NamedTuple):
    """What became of one loop's events or rows: stored, or within the count of a stored gap."""

    given: int
    stored: int
    declared_lost: int

    @property
    def adds_up(self) -> bool:
        """Nothing is missing, and nothing is there twice."""
        return self.given == self.stored + self.declared_lost


def fates(loops: Sequence[Calls]) -> list[Fate]:
    """Look them up, in the order of the loops.

    Args:
        loops: one after the other in time; no recorder runs on their state directories any more.

    Raises:
        StoreError, FormatError: a store cannot be read.

    """
    stored: Counter[int | None] = Counter()
    lost: Counter[int | None] = Counter()
    for state in dict.fromkeys(one.state_dir for one in loops):
        spans = {at: one.span_mono_ns for at, one in enumerate(loops) if one.state_dir == state}
        for header, number in _entries(state, min(loops[at].from_seq for at in spans)):
            if header.kind == Kind.GAP:
                gap = header.control
                if number in gap.actuators and gap.count is not None and gap.at_mono_ns is not None:
                    lost[_within(spans, gap.at_mono_ns[0])] += gap.count
                continue
            for commit in header.commits or []:
                if commit.actuator == number:
                    at_mono_ns, count = _when(commit)
                    stored[_within(spans, at_mono_ns)] += count
    return [Fate(one.given, stored[at], lost[at]) for at, one in enumerate(loops)]


def _when(commit: Commit | Rows) -> tuple[int, int]:
    """Time of the first, and how many there are."""
    if isinstance(commit, Rows):
        return commit.at_mono_ns[0], commit.count
    return commit.at_mono_ns, 1


def _within(spans: dict[int, tuple[int, int]], at_mono_ns: int) -> int | None:
    """Which loop it was; None of what came about between them."""
    return next((at for at, (began, ended) in spans.items() if began <= at_mono_ns <= ended), None)


def _entries(state: Path, from_seq: int) -> Iterator[tuple[Header, int]]:
    """Headers of actuations and gaps, and the number that the loops' actuator has there."""
    with closing(open_state(state)) as source:
        number = actuator_number(source, ACTUATOR)
        with closing(source.read(from_seq)) as entries:
            for held in entries:
                if kind_of(held.raw) in (Kind.ACTUATION, Kind.GAP):
                    yield decode(held.raw).header, number
