"""Whether claims were deleted within the rules in force, and clear of every hold (step 8)."""

from __future__ import annotations

from recorder.core import cbor
from recorder.core.claims import disclosed
from recorder.core.controls import Deletion, Hold
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.kinds import Kind, RefType
from recorder.core.retention import FOR_EVER, Rule, rules_in
from recorder.core.verify.disclosure import BODY
from recorder.core.verify.found import Found

NS = 1_000_000_000
TIMES_MAX = 4096  # times of entries that are kept: every n-th, so that memory does not grow with the lineage
HOLDS_MAX = 4096
_JUDGED = frozenset(map(int, (Kind.POLICY, Kind.HOLD, Kind.DELETION)))  # told from most entries by one look


class Deletions:
    """Judges each deletion entry when it passes.

    What can be judged later: a hold that touches the range, a class that is kept for ever, and claims of which not even
    the oldest in the range were of age.  That there were more than `max_bytes`, or that the disk was full, cannot be.
    """

    __slots__ = ("_found", "_holds", "_rules", "_step", "_times", "before_term", "unjudged")

    def __init__(self, found: Found) -> None:
        self._found = found
        self._rules: dict[str, Rule] | None = None
        self._holds: dict[int, Hold] = {}
        self._times: list[tuple[int, int]] = []  # seq and utc_ns of every `_step`-th entry
        self._step = 1
        self.before_term = 0  # deletions of what was not of age, in a class of which the rules let it go
        self.unjudged = 0  # deletions under rules that cannot be read or under an authorisation, holds beyond HOLDS_MAX

    def check(self, header: Header, claims: bytes | None) -> None:
        """Take the next entry, with its claims where they are held."""
        if not header.seq % self._step:
            self._remember(header)
        kind = header.kind
        if kind in _JUDGED:
            if kind == Kind.POLICY:
                self._rules = _rules_of(claims)
            elif kind == Kind.HOLD:
                self._hold(header)
            else:
                self._judge(header, header.control)

    def _remember(self, header: Header) -> None:
        self._times.append((header.seq, header.time.utc_ns))
        if len(self._times) > TIMES_MAX:
            self._step *= 2
            self._times = [one for one in self._times if not one[0] % self._step]

    def _hold(self, header: Header) -> None:
        hold: Hold = header.control
        if hold.action == "add":
            if len(self._holds) < HOLDS_MAX:  # more than a recorder takes
                self._holds[header.seq] = hold
            else:
                self.unjudged += 1
            return
        for ref in (header.refs or {}).get(RefType.SUPERSEDES, ()):
            if ref.origin is None:
                self._holds.pop(ref.seq, None)

    def _judge(self, header: Header, deletion: Deletion) -> None:
        seq = header.seq
        for held, hold in self._holds.items():
            if hold.first <= deletion.last and (hold.last is None or hold.last >= deletion.first):
                self._found(
                    "deletion_held", seq, f"entries {deletion.first} to {deletion.last}: hold {held} covers some"
                )
                break
        if deletion.authorisation is not None or self._rules is None:
            self.unjudged += 1
            return
        name = deletion.retention_class
        rule = self._rules.get(name, FOR_EVER)
        age_ns = header.time.utc_ns - self._oldest_utc_ns(deletion)
        if rule.keep_s is not None and age_ns >= rule.keep_s * NS:
            return
        if rule.max_bytes is not None or rule.rows_may_go:
            self.before_term += 1
            return
        kept = "for ever" if rule.keep_s is None else f"for {rule.keep_s} s"
        oldest = f"the oldest in the range was {age_ns // NS} s old"
        self._found("deletion_early", seq, f"class {name} is kept {kept} by the rules in force; {oldest}")

    def _oldest_utc_ns(self, deletion: Deletion) -> int:
        """At most the time of the oldest entry in the range; of the known times, the one just below counts too."""
        below = [utc_ns for seq, utc_ns in self._times if seq <= deletion.first][-1:]
        inside = [utc_ns for seq, utc_ns in self._times if deletion.first <= seq <= deletion.last]
        return min(below + inside, default=0)


def _rules_of(claims: bytes | None) -> dict[str, Rule] | None:
    """The rules of a policy entry's bundle; that it is the bundle of the digest is for the entry's job to say."""
    if claims is None:
        return None
    try:
        held = cbor.decode(claims)
        body = disclosed("body", held[BODY]) if isinstance(held, dict) and BODY in held else {}
    except FormatError:
        return None
    bundle = body.get("bundle")
    return rules_in(bundle) if isinstance(bundle, bytes) else None
