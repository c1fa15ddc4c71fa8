"""Whether what belongs together is there on both sides: commits and their why, cycles and their use, stages.

Step 6 of verification judges each use of a cycle by its bounds; this asks what is left alone. Kept are the cycles that
are open, the seqs of all others, the stages of those that have one, and the latest actuations.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from recorder.audit.source import Held, LineageSource, entry_at, groups_of
from recorder.core.controls import Boot, CycleEnd
from recorder.core.entry import Entry, decode_in_order
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.kinds import ABSENT, Commit, Decision, Kind, Ref, RefType, Stage
from recorder.store.errors import StoreError

NS = 1_000_000_000
CLOSING_NS = 60 * NS  # after its bound a recorder ends a cycle within seconds
RECENT_MAX = 8_192  # actuations that a confirmation finds without a search

Found = Callable[["Finding"], None]


class Finding(NamedTuple):
    """A link that does not close."""

    seq: int  # of the entry that it was found at
    error: str
    detail: str


class Closed(NamedTuple):
    """What was looked at; findings went to the caller as they came."""

    acts: int  # actuations and refused commits
    cycles: int
    ended: int  # by an entry, or by a start that did not carry them over
    open: int
    confirmations: int  # commits that were named
    elsewhere: int  # references into other logs, or to what a selection leaves out
    unread: int
    findings: int
    stages: int  # that took over from a predecessor


class _Open:
    """A cycle that may be used yet."""

    __slots__ = ("digest", "made", "not_after_ns", "used")

    def __init__(self, header: Header) -> None:
        assert header.why is not None
        assert header.bounds is not None
        self.digest = header.why.digest
        self.not_after_ns = header.bounds.not_after_mono_ns
        self.made = 0  # as a cycle end counts
        self.used = False


def check_links(source: LineageSource, found: Found) -> Closed:
    """Go through all entries once; a commit that is confirmed late is looked up.

    Args:
        source: where they lie. Of a selection it is not judged what may have been left out.
        found: called with each finding, in order.

    """
    check = _Check(source, found)
    for group in groups_of(source, 0, source.size - 1):
        for held in group:
            check.take(held)
    return check.finish()


class _Check:
    def __init__(self, source: LineageSource, found: Found) -> None:
        self._source = source
        self._tell = found
        self._open: dict[int, _Open] = {}
        self._over: set[int] = set()
        self._stages: dict[int, Stage] = {}  # of cycles that are not direct
        self._taken_over: dict[int, int] = {}  # predecessor to what took over from it, while it is open
        self._recent: OrderedDict[int, tuple[bytes, int]] = OrderedDict()  # hash, and how many commits
        self._now_ns = 0
        self._acts = self._cycles = self._ended = self._confirmed = self._elsewhere = self._unread = self._findings = 0
        self._followed = 0

    def take(self, held: Held) -> None:
        """Judge the next entry."""
        try:
            entry = decode_in_order(held.raw)
        except FormatError:
            self._unread += 1
            return
        header = entry.header
        if header.seq != held.seq:  # who stands in another's place must not speak for it
            self._unread += 1
            return
        self._now_ns = header.time.mono_ns
        if header.kind in (Kind.ACTUATION, Kind.CYCLE):
            self._stage(header)
        if header.kind in (Kind.ACTUATION, Kind.REFUSAL):
            self._act(entry)
        elif header.kind == Kind.CYCLE:
            self._cycles += 1
            self._open[header.seq] = _Open(header)
        elif isinstance(header.control, CycleEnd):
            self._end(header.seq, header.control)
        elif isinstance(header.control, Boot):
            self._boot(header.control)
        elif header.kind == Kind.CONFIRMATION:
            for ref in (header.refs or {}).get(RefType.CONFIRMS, ()):
                self._confirm(header.seq, ref)

    def finish(self) -> Closed:
        """Judge what is left open."""
        for seq, cycle in self._open.items() if self._source.is_whole else ():
            if not cycle.used and cycle.not_after_ns + CLOSING_NS < self._now_ns:
                self._found(seq, "cycle_left", "its time is over, and it has neither commits nor an end")
        for seq, successor in self._taken_over.items() if self._source.is_whole else ():
            self._found(successor, "stage_open", f"it takes over from cycle {seq}, which has no end")
        return Closed(
            self._acts, self._cycles, self._ended, len(self._open), self._confirmed, self._elsewhere, self._unread,
            self._findings, self._followed,
        )  # fmt: skip

    def _stage(self, header: Header) -> None:
        """A predecessor is a cycle of a stage, and ends when its successor takes over."""
        if header.kind == Kind.CYCLE and header.stage:
            self._stages[header.seq] = Stage(header.stage)
        own = header.why is not None and header.why.carrier == header.seq
        for ref in (header.refs or {}).get(RefType.STAGE_PREDECESSOR, ()) if own else ():
            if ref.origin is not None:
                self._elsewhere += 1
            elif ref.seq not in self._stages:
                self._missing(header.seq, "stage_missing", ref.seq, "which is no cycle of a stage")
            else:
                self._followed += 1
                if ref.seq in self._open:
                    self._taken_over[ref.seq] = header.seq

    def _found(self, seq: int, error: str, detail: str) -> None:
        self._findings += 1
        self._tell(Finding(seq, error, detail))

    def _act(self, entry: Entry) -> None:
        header = entry.header
        if header.kind == Kind.ACTUATION:
            self._recent[header.seq] = entry.hash, len(header.commits or ())
            if len(self._recent) > RECENT_MAX:
                self._recent.popitem(last=False)
        if header.commits is None or header.why is None:
            return  # a refused opening: its why stands in it
        self._acts += 1
        seq, carrier = header.seq, header.why.carrier
        if header.decision == Decision.UNGATED:
            if carrier != seq:
                self._found(seq, "why_missing", f"ungated, and its why is said to lie beside entry {carrier}")
            return
        cycle = self._open.get(carrier)
        if cycle is None:
            if carrier not in self._over:
                self._missing(seq, "why_missing", carrier, "which is no cycle below")
            return
        if cycle.digest != header.why.digest:
            self._found(seq, "why_missing", f"cycle {carrier} has another why than the one that it names")
        if header.kind == Kind.ACTUATION:
            cycle.used = True
            if header.decision != Decision.OUTSIDE_GRANT:
                cycle.made += sum(1 if isinstance(one, Commit) else one.count for one in header.commits)

    def _end(self, seq: int, end: CycleEnd) -> None:
        cycle = self._open.pop(end.carrier, None)
        self._taken_over.pop(end.carrier, None)
        if cycle is None:
            if end.carrier in self._over:
                self._found(seq, "end_again", f"cycle {end.carrier} was over before")
            else:
                self._missing(seq, "cycle_missing", end.carrier, "which is no cycle below")
            return
        self._ended += 1
        self._over.add(end.carrier)
        if cycle.made != end.commits and self._source.is_whole:
            self._found(seq, "commits_missing", f"it says {end.commits} commits, {cycle.made} name cycle {end.carrier}")

    def _boot(self, boot: Boot) -> None:
        """A cycle that a start does not carry over has its end there (FORMAT.md section 4)."""
        carried = {carrier for carrier, _ in boot.carried}
        over = self._open.keys() - carried
        self._ended += len(over)
        self._over |= over
        self._open = {seq: cycle for seq, cycle in self._open.items() if seq in carried}
        self._taken_over = {seq: by for seq, by in self._taken_over.items() if seq in carried}

    def _confirm(self, seq: int, ref: Ref) -> None:
        if ref.origin is not None:
            self._elsewhere += 1
            return
        target = self._recent.get(ref.seq) or self._look_up(ref.seq)
        if target is None:
            self._missing(seq, "commit_missing", ref.seq, "which is no actuation")
        elif target[0] != ref.hash:
            self._found(
                seq, "commit_missing", f"it confirms {ref.seq}-{ref.hash.hex()[:8]}, which is not the entry here"
            )
        elif ref.index != ABSENT and ref.index >= target[1]:
            self._found(seq, "commit_missing", f"it confirms commit {ref.seq}.{ref.index}, of {target[1]}")
        else:
            self._confirmed += 1

    def _look_up(self, seq: int) -> tuple[bytes, int] | None:
        try:
            entry = decode_in_order(entry_at(self._source, seq).raw)
        except (StoreError, FormatError):
            return None
        return (entry.hash, len(entry.header.commits or ())) if entry.header.kind == Kind.ACTUATION else None

    def _missing(self, seq: int, error: str, named: int, what: str) -> None:
        """A link to what is not there; of a selection only what lies within it is judged."""
        if not self._source.is_whole:
            try:
                entry_at(self._source, named)
            except StoreError:
                self._elsewhere += 1
                return
        self._found(seq, error, f"it names entry {named}, {what}")
