"""Step 6: cycles, the bounds that a why is used within (FORMAT.md section 4, "Cycles")."""

from __future__ import annotations

from recorder.core.controls import Boot, CycleEnd
from recorder.core.header import Header
from recorder.core.kinds import Commit, Decision, Kind
from recorder.core.verify.found import Found

CYCLES_KEPT = 8_192  # beyond it those are dropped that have ended or expired, and late rows of theirs find no cycle

_OPEN = ""


class Cycle:
    """A cycle entry and how far it has been used; `closed_by` names the error of a use after its end."""

    __slots__ = ("actuators", "bundle", "classes", "closed_by", "digest", "made", "max_commits", "not_after_ns")

    def __init__(self, header: Header) -> None:
        assert header.why is not None
        assert header.policy_axis is not None
        assert header.bounds is not None
        self.digest = header.why.digest
        self.bundle = header.policy_axis.bundle
        self.not_after_ns, self.max_commits, actuators, classes = header.bounds
        self.actuators = frozenset(actuators)
        self.classes = frozenset(classes)
        self.made = 0
        self.closed_by = _OPEN


class Cycles:
    """The cycles of an origin, by the seq of their entry."""

    __slots__ = ("_bundle", "_cycles", "_found", "_os_boot", "_purge_at", "judged")

    def __init__(self, found: Found) -> None:
        self._found = found
        self._cycles: dict[int, Cycle] = {}
        self._os_boot = b""
        self._bundle: bytes | None = None  # in force: of the latest policy entry
        self._purge_at = CYCLES_KEPT
        self.judged = 0  # entries whose why was held against a cycle

    def check(self, header: Header) -> None:
        """Judge the next entry."""
        kind = header.kind
        if kind == Kind.ACTUATION:
            if header.decision == Decision.UNGATED:
                self._check_own_why(header)
            else:
                self._use(header)
        elif kind == Kind.CYCLE:
            self._open(header)
        elif kind == Kind.REFUSAL:
            self._refusal(header)
        elif kind == Kind.CYCLE_END:
            self._end(header.seq, header.control)
        elif kind == Kind.POLICY:
            self._bundle = header.control.digest
        elif kind == Kind.BOOT:
            self._boot(header.seq, header.control)

    def _check_own_why(self, header: Header) -> None:
        if header.why is not None and header.why.carrier != header.seq:
            self._found(
                "carrier_mismatch", header.seq, f"key 9 names entry {header.why.carrier}; this why carries itself"
            )

    def _check_in_force(self, header: Header) -> None:
        bundle = header.policy_axis.bundle if header.policy_axis is not None else None
        if bundle is None or bundle != self._bundle:
            self._found("cycle_policy", header.seq, f"opened under {_hex(bundle)}, in force is {_hex(self._bundle)}")

    def _open(self, header: Header) -> None:
        self._check_own_why(header)
        self._check_in_force(header)
        self._cycles[header.seq] = Cycle(header)
        if len(self._cycles) > self._purge_at:
            now_ns = header.time.mono_ns
            kept = {
                seq: item for seq, item in self._cycles.items() if not item.closed_by and item.not_after_ns >= now_ns
            }
            self._cycles = kept
            self._purge_at = max(CYCLES_KEPT, 2 * len(kept))  # else each opening would look through them all

    def _refusal(self, header: Header) -> None:
        if header.policy_axis is None or header.why is None or header.policy_axis.bundle is None:
            return
        if header.why.carrier == header.seq:
            self._check_in_force(header)
        else:
            self._named(header)  # what was refused may lie beyond the bounds, and counts nowhere

    def _named(self, header: Header) -> Cycle | None:
        """The cycle that key 9 names, if it is one and digest and bundle are its own."""
        assert header.why is not None
        assert header.policy_axis is not None
        self.judged += 1
        digest, carrier = header.why
        cycle = self._cycles.get(carrier)
        if cycle is None or carrier >= header.seq:
            self._found("cycle_unknown", header.seq, f"key 9 names entry {carrier}, which is no cycle known here")
            return None
        if cycle.digest != digest:
            self._found("cycle_digest", header.seq, f"the why of cycle {carrier} has digest {_hex(cycle.digest)}")
        if cycle.bundle != header.policy_axis.bundle:
            self._found("cycle_bundle", header.seq, f"cycle {carrier} was opened under {_hex(cycle.bundle)}")
        return cycle

    def _use(self, header: Header) -> None:
        cycle = self._named(header)
        if cycle is None or header.decision == Decision.OUTSIDE_GRANT:  # it happened, is stored and marked
            return
        assert header.why is not None
        assert header.classes is not None
        seq, carrier = header.seq, header.why.carrier
        if cycle.closed_by:
            self._found(cycle.closed_by, seq, f"cycle {carrier} was over ({cycle.closed_by})")
        not_after_ns = cycle.not_after_ns
        for commit in header.commits or ():
            if isinstance(commit, Commit):
                at_ns = header.time.mono_ns
                cycle.made += 1
            else:
                at_ns = commit.at_mono_ns[1]
                cycle.made += commit.count
            if at_ns > not_after_ns:
                self._found("cycle_expired", seq, f"at {at_ns} ns, cycle {carrier} ended at {not_after_ns} ns")
            if commit.actuator not in cycle.actuators:
                self._found("cycle_actuator", seq, f"actuator {commit.actuator} is not one of cycle {carrier}")
        if cycle.made > cycle.max_commits:
            self._found("cycle_commits", seq, f"{cycle.made} commits, cycle {carrier} admits {cycle.max_commits}")
        if header.classes.action_class not in cycle.classes:
            self._found("cycle_class", seq, f"class {header.classes.action_class!r} is not one of cycle {carrier}")

    def _end(self, seq: int, end: CycleEnd) -> None:
        cycle = self._cycles.get(end.carrier)
        if cycle is None:
            self._found("cycle_unknown", seq, f"the end of entry {end.carrier}, which is no cycle known here")
            return
        if cycle.closed_by == "cycle_ended":
            self._found("cycle_ended", seq, f"cycle {end.carrier} had ended before")
        if cycle.made != end.commits:
            self._found(
                "cycle_count", seq, f"cycle {end.carrier} made {cycle.made} commits, its end says {end.commits}"
            )
        cycle.closed_by = "cycle_ended"

    def _boot(self, seq: int, boot: Boot) -> None:
        same = boot.os_boot == self._os_boot
        self._os_boot = boot.os_boot
        carried = dict(boot.carried)
        for carrier, made in boot.carried:
            cycle = self._cycles.get(carrier)
            if not same or cycle is None or cycle.closed_by or cycle.made != made:
                have = f"{cycle.made} commits{' and is over' if cycle.closed_by else ''}" if cycle else "no such cycle"
                self._found(
                    "cycle_carried", seq, f"cycle {carrier} with {made} commits carried over, the log has {have}"
                )
        for carrier, cycle in self._cycles.items():
            if not cycle.closed_by and (not same or carrier not in carried):
                cycle.closed_by = "cycle_carried" if same else "cycle_os_boot"


def _hex(value: bytes | None) -> str:
    return "none" if value is None else value.hex()
