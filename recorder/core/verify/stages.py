"""Step 6: stages of cycles and of what is done under them (FORMAT.md section 4, "Stages").

Kept are the cycles of a stage other than direct, as long as they may be used, each with the act that its why
contemplates, where that is here: what follows is about the same one.
"""

from __future__ import annotations

from recorder.core.controls import Boot, CycleEnd
from recorder.core.grant import contemplated_hash
from recorder.core.header import Header
from recorder.core.kinds import Decision, Kind, Ref, RefType, Stage
from recorder.core.stages import end_reason, successor_error
from recorder.core.verify.acts import contemplated
from recorder.core.verify.found import Found
from recorder.core.verify.held import why_of

STAGED_KEPT = 8_192  # beyond it those are dropped that are over, and what names one of them finds no cycle

ERROR = "stage_order"
CHANGED = "stage_changed"
_ACTUATION = int(Kind.ACTUATION)  # compared with each entry, and a member of an enum takes longer to look up


class _Staged:
    """A cycle of a stage, and what became of it."""

    __slots__ = ("act", "actuators", "classes", "end", "not_after_ns", "predecessor", "stage", "successor")

    def __init__(self, header: Header, stage: Stage, predecessor: int | None, act: bytes | None) -> None:
        assert header.bounds is not None
        self.stage = stage
        self.predecessor = predecessor
        self.act = act  # hash of what and where; None where the why does not say, or is not here
        self.not_after_ns = header.bounds.not_after_mono_ns
        self.actuators = frozenset(header.bounds.actuators)
        self.classes = frozenset(header.bounds.action_classes)
        self.successor: int | None = None  # seq of the entry that took over
        self.end = ""  # reason of its end

    @property
    def is_over(self) -> bool:
        return self.successor is not None or bool(self.end)


class Stages:
    """The staged cycles of an origin, by the seq of their entry."""

    __slots__ = ("_cycles", "_found", "_os_boot", "_purge_at")

    def __init__(self, found: Found) -> None:
        self._found = found
        self._cycles: dict[int, _Staged] = {}
        self._os_boot = b""
        self._purge_at = STAGED_KEPT

    def check(self, header: Header, claims: bytes | None) -> None:
        """Judge the next entry, with the claims beside it."""
        kind = header.kind
        if kind == _ACTUATION:  # most entries are one, and most of those direct, under a cycle that is
            assert header.why is not None
            if header.stage or header.refs is not None or header.why.carrier in self._cycles:
                self._do(header)
        elif kind == Kind.CYCLE:
            self._open(header, claims)
        elif kind == Kind.CYCLE_END:
            self._end(header.control)
        elif kind == Kind.BOOT:
            self._boot(header.control)

    def _wrong(self, seq: int, detail: str) -> None:
        self._found(ERROR, seq, detail)

    def _open(self, header: Header, claims: bytes | None) -> None:
        stage = Stage(header.stage or 0)
        named = _predecessors(header)
        act = None if stage == Stage.DIRECT else _act_hash(header, claims)
        if stage == Stage.ABORTED:
            self._wrong(header.seq, "a cycle of stage aborted: what aborts is an actuation of its own")
        elif not named:
            self._need(header.seq, None, stage)
        elif (before := self._predecessor(header.seq, named, stage)) is not None:
            self._follow(header, before, act)
        if stage != Stage.DIRECT:
            self._keep(header, _Staged(header, stage, named[0].seq if named else None, act))

    def _ungated(self, header: Header) -> None:
        """An abort names what it aborts; anything else without a cycle is direct."""
        stage, named = Stage(header.stage or 0), _predecessors(header)
        if stage not in (Stage.DIRECT, Stage.ABORTED):
            self._wrong(header.seq, f"stage {stage.name.lower()} of an ungated actuation: it has no cycle")
        elif not named:
            self._need(header.seq, None, stage)
        elif (before := self._predecessor(header.seq, named, stage)) is not None:
            before.successor = header.seq

    def _do(self, header: Header) -> None:
        if header.decision == Decision.UNGATED:
            self._ungated(header)
        else:
            self._act(header)

    def _act(self, header: Header) -> None:
        assert header.why is not None
        seq, carrier, stage = header.seq, header.why.carrier, Stage(header.stage or 0)
        cycle = self._cycles.get(carrier)
        of = Stage.DIRECT if cycle is None else cycle.stage
        if stage != of:
            self._wrong(seq, f"stage {stage.name.lower()} under cycle {carrier} of stage {of.name.lower()}")
        own = None if cycle is None else cycle.predecessor
        if any(ref.origin is not None or ref.seq != own for ref in _predecessors(header)):
            self._wrong(seq, f"names another stage predecessor than its cycle {carrier}")
        is_used_on = cycle is not None and cycle.successor is not None and not cycle.end
        if cycle is not None and is_used_on and header.decision != Decision.OUTSIDE_GRANT:
            self._wrong(seq, f"under cycle {carrier}, from which entry {cycle.successor} had taken over")

    def _predecessor(self, seq: int, named: list[Ref], stage: Stage) -> _Staged | None:
        """The one cycle that an entry of this stage takes over from; None where that was found to be wrong."""
        ref = named[0]
        if len(named) > 1:
            self._wrong(seq, f"{len(named)} stage predecessors; a stage takes over from one")
            return None
        cycle = None if ref.origin is not None else self._cycles.get(ref.seq)
        if cycle is None:
            self._wrong(seq, f"entry {ref.seq} is no cycle of a stage that anything follows, of this OS boot")
            return None
        if not self._need(seq, cycle.stage, stage):
            return None
        if cycle.successor is not None:
            self._wrong(seq, f"entry {cycle.successor} had taken over from cycle {ref.seq}")
            return None
        return cycle

    def _need(self, seq: int, before: Stage | None, after: Stage) -> bool:
        wrong = successor_error(before, after)
        if wrong is not None:
            self._wrong(seq, wrong)
        return wrong is None

    def _follow(self, header: Header, before: _Staged, act: bytes | None) -> None:
        assert header.bounds is not None
        seq, stage = header.seq, Stage(header.stage or 0)
        if before.end not in ("", end_reason(stage)):
            self._wrong(seq, f"its predecessor was over: {before.end}")
        if header.time.mono_ns > before.not_after_ns:
            self._wrong(seq, f"at {header.time.mono_ns} ns, its predecessor ended at {before.not_after_ns} ns")
        if before.classes != set(header.bounds.action_classes):
            self._wrong(seq, f"classes {header.bounds.action_classes}, its predecessor has {sorted(before.classes)}")
        if more := set(header.bounds.actuators) - before.actuators:
            self._wrong(seq, f"actuators {sorted(more)} are none of its predecessor")
        if act is not None and before.act is not None and act != before.act:
            self._found(CHANGED, seq, "its why contemplates another act than that of its predecessor")
        before.successor = seq

    def _keep(self, header: Header, cycle: _Staged) -> None:
        self._cycles[header.seq] = cycle
        if len(self._cycles) > self._purge_at:
            now_ns = header.time.mono_ns
            kept = {seq: one for seq, one in self._cycles.items() if not one.is_over and one.not_after_ns >= now_ns}
            self._cycles = kept
            self._purge_at = max(STAGED_KEPT, 2 * len(kept))  # else each opening would look through them all

    def _end(self, end: CycleEnd) -> None:
        cycle = self._cycles.get(end.carrier)
        if cycle is not None and not cycle.end:
            cycle.end = end.reason

    def _boot(self, boot: Boot) -> None:
        if boot.os_boot != self._os_boot:
            self._os_boot = boot.os_boot
            self._cycles.clear()
            return
        carried = {carrier for carrier, _ in boot.carried}
        for carrier, cycle in self._cycles.items():
            if carrier not in carried and not cycle.end:
                cycle.end = "not carried over by a restart"


def _predecessors(header: Header) -> list[Ref]:
    return [] if header.refs is None else header.refs.get(RefType.STAGE_PREDECESSOR, [])


def _act_hash(header: Header, claims: bytes | None) -> bytes | None:
    why = why_of(header, claims)
    act = None if why is None else contemplated(why.values)
    return None if act is None else contemplated_hash(*act)
