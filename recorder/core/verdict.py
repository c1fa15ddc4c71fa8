"""The verdicts of a verification, and the report that says what was found.

Verdicts are separate (FORMAT.md section 8): a lineage may be of full integrity and
yet incomplete.  What has no subject reports "nothing", never "pass"; where nothing failed and something could not be
decided, it is "indeterminate".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from recorder.core.findings import AUTHORITY_STEP, FINDINGS, TITLES, Problem, ProblemLog
from recorder.core.shownfork import ShownFork

Verdict = Literal["pass", "fail", "lossy", "indeterminate", "nothing"]
LEFT_OPEN = (
    "authority_indeterminate",
    "authority_unjudged",
    "acts_unjudged",
    "batches_unjudged",
)  # notes: what nobody can vouch for


class StepLine(NamedTuple):
    """One line of the report: a step and how many things it checked."""

    step: int
    title: str
    outcome: Verdict
    checked: int


class Deleted(NamedTuple):
    """Claims that are gone, and the deletion entry that accounts for them."""

    seq: int  # of the deletion entry
    retention_class: str
    first: int  # of the entries that lack them; some between may have theirs
    last: int


class Unwitnessed(NamedTuple):
    """An entry that asked for witnesses and did not have them in time."""

    seq: int
    wanted: int
    within_ms: int
    asked: int  # fewer than wanted where not as many could be
    signed: int  # by the end of what was verified
    in_time: int


class Tail(NamedTuple):
    """What lies after the last witnessed size: the holder of the identity key can still rewrite it."""

    entries: int
    seconds: float


class TailBound(NamedTuple):
    """How long a tail the verifier takes."""

    entries: int
    seconds: float | None = None

    def fault(self, tail: Tail) -> str | None:
        """What is too long."""
        if tail.entries > self.entries:
            return f"no witness vouches for the last {tail.entries:,} entries, {self.entries:,} were allowed"
        if self.seconds is not None and tail.entries and tail.seconds > self.seconds:
            return f"no witness vouches for the last {tail.seconds:,.0f} s, {self.seconds:,g} s were allowed"
        return None


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found."""

    integrity: Verdict
    completeness: Verdict
    authority: Verdict
    witnessing: Verdict
    entries: int
    commits: int
    head: str | None  # printed id of the last entry
    problems: list[Problem]
    problem_counts: dict[str, int]
    steps: list[StepLine]
    unwitnessed: Tail
    identity: Literal["pinned", "unpinned"]
    notes: dict[str, int] = field(default_factory=dict)  # what could not be checked, by name, with counts
    deleted: list[Deleted] = field(default_factory=list)  # the first 1,000; notes["deletions"] counts all
    roots: list[str] = field(default_factory=list)  # keys by which credentials were judged, as a trust file names them
    short: list[Unwitnessed] = field(default_factory=list)  # the first 100; notes count them all
    forks: list[ShownFork] = field(default_factory=list)  # brought by the verifier, then those of evidence entries

    def exit_status(self) -> int:
        """0 nothing failed, 1 a check failed, 3 declared loss only; "nothing" and "indeterminate" never change it."""
        severities = {FINDINGS[name].severity for name in self.problem_counts}
        return 1 if "failed" in severities else 3 if severities else 0

    def to_json(self) -> dict[str, Any]:
        """What `lineage verify --json` prints."""
        return {
            "integrity": self.integrity,
            "completeness": self.completeness,
            "authority": self.authority,
            "witnessing": self.witnessing,
            "entries": self.entries,
            "commits": self.commits,
            "head": self.head,
            "problems": [item._asdict() for item in self.problems],
            "problem_counts": self.problem_counts,
            "steps": [line._asdict() for line in self.steps],
            "unwitnessed": self.unwitnessed._asdict(),
            "identity": self.identity,
            "notes": self.notes,
            "deleted": [item._asdict() for item in self.deleted],
            "roots": self.roots,
            "short": [item._asdict() for item in self.short],
            "forks": [one.to_json() for one in self.forks],
        }


def make_report(
    found: ProblemLog,
    checked: dict[int, int],
    *,
    entries: int,
    commits: int,
    head: str | None,
    tail: Tail,
    pinned: bool,
    notes: dict[str, int],
    deleted: Sequence[Deleted] = (),
    roots: Sequence[str] = (),
    short: Sequence[Unwitnessed] = (),
    authority: Verdict = "nothing",
) -> Report:
    """Draw the verdicts out of what was found and how much was checked in each step.

    Authority is as given where nothing of it failed: a count does not tell whether anything was left open.
    """

    def of(verdict: str, without: Verdict) -> Verdict:
        worst = found.worst(verdict)
        if worst:
            return "fail" if worst == "failed" else "lossy"
        return without

    counted: Verdict = "pass" if entries else "nothing"
    steps = []
    for step, title in TITLES.items():
        outcome = _outcome(found, step, checked.get(step, 0))
        if step == AUTHORITY_STEP and outcome == "pass":
            outcome = authority
        steps.append(StepLine(step, title, outcome, checked.get(step, 0)))
    return Report(
        integrity=of("integrity", counted),
        completeness=of("completeness", counted),
        authority=of("authority", authority),
        # Who has cosigned is found elsewhere (recorder.audit.check): here only a failure can be said, never a pass.
        witnessing=of("witnessing", "nothing"),
        entries=entries,
        commits=commits,
        head=head,
        problems=found.kept,
        problem_counts=dict(sorted(found.counts.items())),
        steps=steps,
        unwitnessed=tail,
        identity="pinned" if pinned else "unpinned",
        notes=notes,
        deleted=list(deleted),
        roots=list(roots),
        short=list(short),
    )


def _outcome(found: ProblemLog, step: int, checked: int) -> Verdict:
    if found.failed_in(step):
        return "fail"
    if any(FINDINGS[name].step == step for name in found.counts):
        return "lossy"
    return "pass" if checked else "nothing"
