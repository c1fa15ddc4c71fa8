"""Recorded decisions made again, on all cores, in memory that does not grow with their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Any

from recorder.audit.describe import values_of
from recorder.audit.pool import JobPool
from recorder.audit.redecide import Recorded, Redecided, redecide
from recorder.audit.source import Held, LineageSource, kind_of
from recorder.audit.span import Span
from recorder.core.entry import Entry, decode, decode_in_order
from recorder.core.errors import FormatError, Misuse
from recorder.core.header import Header
from recorder.core.ids import entry_id
from recorder.core.kinds import Decision, Kind, RefType, Stage, kind_name
from recorder.core.stages import SUCCESSORS
from recorder.gate.evidence import Before

BUNDLES_KEPT = 8  # a cycle is opened under the bundle in force; more are kept for a lineage that breaks that rule
PROGRESS_ENTRIES = 1024
STAGED_KEPT = 1024  # a stage follows within the time of its cycle
UNREAD = "unread"  # beside the outcomes: entries of which nobody can tell what they are
ALONE_DECISIONS = 2048  # starting workers, each with an engine of its own, takes as long as replaying that many

Taken = Callable[[Redecided], None]
Progress = Callable[[int, int], None]


def decision_of(held: Held) -> int:
    """The seq of the entry with the decision that an entry stands on: its own, or that of its cycle.

    Raises:
        FormatError: it cannot be read.
        Misuse: it stands on none.

    """
    header = decode(held.raw).header
    if _decides(header):
        return header.seq
    is_under_a_cycle = header.why is not None and header.why.carrier != header.seq
    if not is_under_a_cycle or header.why is None:
        raise Misuse(
            f"entry {held.seq} ({kind_name(header.kind)}) stands on no decision of a policy: name a cycle, a refusal, "
            "or a commit of a cycle"
        )
    return header.why.carrier


def replay_decisions(
    source: LineageSource, span: Span, taken: Taken, progress: Progress, workers: int | None = None
) -> Counter[str]:
    """Make the decisions of a span again.

    Goes through all entries up to the end of the span once, for the policies.

    Args:
        source: where they lie.
        span: first and last seq.
        taken: called with each decision, in order.
        progress: called now and then with entries done and entries to do.
        workers: processes; as many as there are cores if left out.

    Returns:
        How many of each outcome, and `unread` entries.

    Raises:
        LineageError, OSError: the source cannot be read, or no engine is installed.

    """
    counts: Counter[str] = Counter()
    bundles: dict[bytes, bytes] = {}
    staged = _Staged()

    def take(batch: list[Redecided]) -> None:
        for one in batch:
            counts[one.outcome] += 1
            taken(one)

    with JobPool(redecide_all, take, workers, ALONE_DECISIONS) as pool, closing(source.read(0)) as entries:
        for done, held in enumerate(entries):
            if held.seq > span.last:
                break
            if not done % PROGRESS_ENTRIES:
                progress(held.seq, span.last + 1)
            kind = kind_of(held.raw)
            if kind == Kind.POLICY:
                _note_bundle(bundles, held)
            elif kind == Kind.CYCLE and held.seq < span.first:
                with suppress(FormatError):  # not asked about
                    staged.note(decode_in_order(held.raw), held)
            elif kind in (Kind.CYCLE, Kind.REFUSAL, None) and held.seq >= span.first:
                try:
                    job = _recorded(bundles, staged, held)
                except FormatError:
                    counts[UNREAD] += 1
                    continue
                if job is not None:
                    pool.give(job)
        pool.finish()
    progress(span.last + 1, span.last + 1)
    return counts


class _Staged:
    """Decisions about cycles that another stage may follow, the latest of them."""

    def __init__(self) -> None:
        self._held: dict[int, Before] = {}

    def note(self, entry: Entry, held: Held) -> None:
        """Take a cycle, or a refusal of one."""
        header = entry.header
        if header.kind != Kind.CYCLE or not SUCCESSORS.get(Stage(header.stage or 0)):
            return
        clauses: Any = (values_of(held.claims).get("why") or {}).get("clauses")
        try:
            truths = {one["id"]: one["truth"] for one in clauses}
        except (TypeError, KeyError):  # withheld, or no such thing; that is for its own replay to say
            return
        self._held[held.seq] = Before(str(entry_id(entry.hash, held.seq)), Decision(header.decision or 0), truths)
        if len(self._held) > STAGED_KEPT:
            del self._held[next(iter(self._held))]

    def before(self, header: Header) -> Before | None:
        """The decision about the stage before; None where there is none, or it is not here."""
        named = (header.refs or {}).get(RefType.STAGE_PREDECESSOR, [])
        return self._held.get(named[0].seq) if named and named[0].origin is None else None


def redecide_all(batch: Sequence[Recorded]) -> list[Redecided]:
    """Make several decisions again; a bundle is compiled once in a process."""
    return [redecide(one) for one in batch]


def _note_bundle(bundles: dict[bytes, bytes], held: Held) -> None:
    try:
        digest = decode_in_order(held.raw).header.control.digest
    except FormatError:
        return
    bundle = (values_of(held.claims).get("body") or {}).get("bundle")
    if isinstance(bundle, bytes):
        bundles.pop(digest, None)
        bundles[digest] = bundle
        if len(bundles) > BUNDLES_KEPT:
            del bundles[next(iter(bundles))]


def _recorded(bundles: dict[bytes, bytes], staged: _Staged, held: Held) -> Recorded | None:
    """A decision to make again; None where this is none.

    Raises:
        FormatError: it cannot be read, or stands in another's place.

    """
    entry = decode_in_order(held.raw)
    header = entry.header
    if header.seq != held.seq:
        raise FormatError("seq_mismatch", f"entry {held.seq} says that it is {header.seq}")
    if not _decides(header) or header.policy_axis is None:
        return None
    before = staged.before(header)
    staged.note(entry, held)
    bundle = bundles.get(header.policy_axis.bundle or b"")
    return Recorded(held.seq, held.raw, held.claims or None, bundle, before)


def _decides(header: Header) -> bool:
    is_own_why = header.why is not None and header.why.carrier == header.seq
    return header.kind in (Kind.CYCLE, Kind.REFUSAL) and is_own_why
