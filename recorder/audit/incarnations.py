"""The incarnations of a state directory: which there are, what names them, and how each is checked.

The lineage in force names the earlier ones in its first boot entry, by size and root, under the identity key's
signature.  So what cannot be read of one that is named is a declared loss, as a gap is: it is known and signed for, and
its size is stated.  Who damages a store to hide entries and runs `recover` leaves just this statement behind.  An
incarnation with entries that nothing names was put aside without a word: a finding, however sound it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from recorder.audit.check import Progress, check_source, damage_name, silent
from recorder.audit.forked import BroughtFork
from recorder.audit.source import LineageSource, entry_at, kind_of
from recorder.audit.state import StateSource
from recorder.core.controls import Boot, Previous
from recorder.core.entry import decode
from recorder.core.errors import FormatError
from recorder.core.findings import ProblemLog, problem
from recorder.core.kinds import Kind
from recorder.core.trust import Trust
from recorder.core.verdict import Report, Tail, TailBound, make_report
from recorder.store.errors import StoreDamagedError, StoreError
from recorder.store.layout import LINEAGES, lineage_dir, ordinals, segment_dir
from recorder.store.segment import Segment

# named: by the lineage in force, or by one that is named itself.  unfinished: a start or a recovery that was cut short
# before it was put in force; it never answered anyone.  unknown: what may have named it cannot be read.
Standing = Literal["named", "unfinished", "unnamed", "unknown"]

_INCARNATION = re.compile(r"[0-9a-f]{16}")
_BEGINNING = (Kind.BOOT, Kind.POLICY, Kind.STOP)  # what is written before an incarnation is put in force


class Outcome(NamedTuple):
    """What checking one incarnation gave."""

    origin: str | None  # None where not even that could be read
    report: Report | None = None
    previous: list[Previous] | None = None  # that its first boot entry names; None where that cannot be read
    standing: Standing | None = None  # None of the one in force
    error: str | None = None  # why it could not be checked at all: no permission, for example

    def exit_status(self) -> int:
        """As of `lineage verify`."""
        if self.error is not None:
            return 2
        return 0 if self.report is None else self.report.exit_status()


class Named(NamedTuple):
    """What a boot entry says of an earlier incarnation."""

    by: str  # origin of that boot entry
    size: int
    root: bytes | None


class Other(NamedTuple):
    """An incarnation that is not in force."""

    origin: str  # only its last part where that is all that is known
    named: list[Named]
    outcome: Outcome
    is_here: bool = True

    def to_json(self) -> dict[str, Any]:
        """What `lineage verify --json` prints of it."""
        report, root = self.outcome.report, "root"
        return {
            "origin": self.origin,
            "standing": self.outcome.standing,
            "here": self.is_here,
            "named": [{**one._asdict(), root: one.root and one.root.hex()} for one in self.named],
            "exit_status": self.outcome.exit_status(),
            "error": self.outcome.error,
            "report": None if report is None else report.to_json(),
        }


Check = Callable[[str, Standing, list[Previous]], Outcome]


def others_in(state: Path, current: str) -> list[str]:
    """Incarnations that lie in a state directory beside the one in force.

    Raises:
        OSError: they cannot be listed.

    """
    names = (path.name for path in (state / LINEAGES).iterdir())
    return sorted(name for name in names if name != current and _INCARNATION.fullmatch(name))


def check_others(in_force: Outcome, here: Sequence[str], check: Check) -> Iterator[Other]:
    """Check every other incarnation, those that are named from the newest on, so that each is known before its turn.

    Args:
        in_force: the outcome of the one in force, whose boot entry counts first.
        here: those that lie there.
        check: checks one, given its standing as far as it is known and what names it.

    """
    named: dict[str, list[Named]] = {}
    queue: list[str] = []
    left = set(here)
    is_all_known = True

    def note(outcome: Outcome) -> None:
        nonlocal is_all_known
        is_all_known = is_all_known and outcome.previous is not None
        for one in reversed(outcome.previous or ()):
            if one.origin not in named and one.origin != in_force.origin:
                queue.append(one.origin)
            named.setdefault(one.origin, []).append(Named(outcome.origin or "?", one.size, one.root))

    note(in_force)
    while queue:
        origin = queue.pop(0)
        incarnation = origin.rpartition("/")[2]
        if incarnation not in left:
            yield Other(origin, named[origin], Outcome(origin, standing="named"), is_here=False)
            continue
        left.discard(incarnation)
        outcome = check(incarnation, "named", [Previous(origin, one.size, one.root) for one in named[origin]])
        note(outcome)
        yield Other(origin, named[origin], outcome)
    for incarnation in sorted(left):
        outcome = check(incarnation, "unnamed" if is_all_known else "unknown", [])
        yield Other(outcome.origin or incarnation, [], outcome)


def check_in_force(
    source: LineageSource,
    trust: Trust | None,
    known: Sequence[bytes],
    progress: Progress,
    forks: Sequence[BroughtFork] = (),
    tail_max: TailBound | None = None,
) -> Outcome:
    """Check the incarnation in force; raises as `check_source`."""
    previous = previous_of(source)
    report = check_source(source, trust=trust, known=known, progress=progress, forks=forks, tail_max=tail_max)
    return Outcome(source.origin, report, previous)


def check_other(
    state: Path,
    incarnation: str,
    standing: Standing,
    previous: Sequence[Previous],
    *,
    trust: Trust | None = None,
    known: Sequence[bytes] = (),
    progress: Progress = silent,
    forks: Sequence[BroughtFork] = (),
) -> Outcome:
    """Check another incarnation; nobody writes it any more, so no lock is needed.

    Args:
        state: the state directory.
        incarnation: name of its directory.
        standing: as far as boot entries of others tell.
        previous: what these say of it.
        trust: what the verifier trusts.
        known: signed notes of its heads known from elsewhere.
        progress: called now and then.
        forks: proofs about it.

    Raises:
        LineageError, OSError: it may not be read.

    """
    lineage = lineage_dir(state, incarnation)
    try:
        if _holds_nothing(lineage):
            if standing == "named":
                return Outcome(None, unreadable(f"{lineage} holds no entries", previous), None, standing)
            return Outcome(None, standing="unfinished", previous=[])
        with closing(StateSource(lineage)) as source:
            problems = []
            if standing != "named" and _is_beginning(source):
                standing = "unfinished"
            elif standing == "unnamed":
                detail = "no boot entry of the lineage in force, or of those that it leads to, names this incarnation"
                problems.append(problem("incarnation_unnamed", None, detail))
            if source.origin.rpartition("/")[2] != incarnation:
                problems.append(problem("origin_mismatch", None, f"{lineage} holds a lineage of {source.origin}"))
            named = previous_of(source)
            report = check_source(
                source, trust=trust, known=known, progress=progress, previous=previous, known_problems=problems,
                forks=forks,
            )  # fmt: skip
            return Outcome(source.origin, report, named, standing)
    except StoreDamagedError as error:
        return Outcome(None, unreadable(str(error), previous), None, standing)


def unreadable(detail: str, previous: Sequence[Previous] = ()) -> Report:
    """The verdict on a store of which not even the beginning can be read."""
    log = ProblemLog()
    log.add(problem(damage_name(previous), None, detail))
    return make_report(log, {}, entries=0, commits=0, head=None, tail=Tail(0, 0.0), pinned=False, notes={})


def previous_of(source: LineageSource) -> list[Previous] | None:
    """Earlier incarnations that the first boot entry names; None where it cannot be read."""
    if not source.size:
        return []
    try:
        control = decode(entry_at(source, 0).raw).header.control
    except (FormatError, StoreError):
        return None
    return list(control.previous) if isinstance(control, Boot) else None


def _is_beginning(source: LineageSource) -> bool:
    """Whether it holds no more than what is written before an incarnation is put in force."""
    try:
        with closing(source.read(0)) as entries:
            kinds = [kind_of(held.raw) for held in islice(entries, len(_BEGINNING) + 1)]
    except StoreDamagedError:  # the check will say it
        return False
    return tuple(kinds) == _BEGINNING[: len(kinds)]


def _holds_nothing(lineage: Path) -> bool:
    """Whether no segment was ever begun."""
    for ordinal in ordinals(lineage):
        segment = Segment(segment_dir(lineage, ordinal), 0, live=False)
        try:
            if segment.head() is not None:
                return False
        finally:
            segment.close()
    return True
