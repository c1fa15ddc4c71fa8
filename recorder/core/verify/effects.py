"""Step 10: commits of a class that asks for a confirmation, and whether one came (FORMAT.md section 8)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from recorder.core.header import Header
from recorder.core.kinds import Commit, Decision, RefType
from recorder.core.policy import PolicyBundle
from recorder.core.verify.found import Found

PENDING_MAX = 65_536  # beyond it the oldest is reported as it stands
NAMED_MAX = 65_536  # commits of which it is known that they were confirmed before
NS_PER_MS = 1_000_000
_DONE = frozenset({int(one) for one in (Decision.ADMITTED, Decision.DEVIATED, Decision.EXTERNAL)})


class _Due(NamedTuple):
    request: bytes
    due_ns: int  # by CLOCK_BOOTTIME of its OS boot


class Effects:
    """Commits whose confirmation is due, until it comes or their controller gives up."""

    def __init__(self, found: Found) -> None:
        self.confirmed = 0  # commits that a confirmation names
        self.again = 0  # confirmations of one that another names already
        self._found = found
        self._open: OrderedDict[tuple[int, int], _Due] = OrderedDict()
        self._requests: dict[bytes, list[tuple[int, int]]] = {}
        self._past: set[tuple[int, int]] = set()  # of OS boots that are over
        self._named: OrderedDict[tuple[int, int], None] = OrderedDict()

    def acted(self, header: Header, within_ms: Sequence[object], bundle: PolicyBundle | None) -> None:
        """Take an actuation.

        Args:
            header: of it.
            within_ms: `confirm_by_ms` of each of its commits, as its claims have it; None where it has none.
            bundle: the signed policy that it is under.

        """
        if not is_due(header, bundle):
            return
        for place, commit in enumerate(header.commits or ()):
            if isinstance(commit, Commit):
                said = within_ms[place] if place < len(within_ms) else None
                wait_ms = said if isinstance(said, int | float) and said >= 0 else 0
                self._open[header.seq, place] = _Due(commit.request, header.time.mono_ns + int(wait_ms * NS_PER_MS))
                self._requests.setdefault(commit.request, []).append((header.seq, place))
        while len(self._open) > PENDING_MAX:
            self._report(next(iter(self._open)))

    def confirmed_by(self, header: Header, *, is_here: bool) -> None:
        """Take a confirmation; one whose claims are gone may have been one, and confirms nothing that can be shown."""
        for ref in (header.refs or {}).get(int(RefType.CONFIRMS), ()):
            if ref.origin is None:
                self._count((ref.seq, ref.index), is_here=is_here)
                self._close((ref.seq, ref.index))

    def abandoned(self, requests: Sequence[bytes]) -> None:
        """Nobody acted on these."""
        for request in requests:
            for place in self._requests.get(request, ())[:]:
                self._close(place)

    def boot(self) -> None:
        """The machine has started anew: whatever was due is."""
        self._past.update(self._open)

    def finish(self, mono_ns: int) -> None:
        """Report what was due by the last entry's clock, and what of earlier OS boots never came."""
        for place, due in list(self._open.items()):
            if place in self._past or due.due_ns <= mono_ns:
                self._report(place)

    def _count(self, place: tuple[int, int], *, is_here: bool) -> None:
        if is_here and place in self._named:
            self.again += 1
        elif is_here:
            self.confirmed += 1
            self._named[place] = None
            if len(self._named) > NAMED_MAX:
                self._named.popitem(last=False)

    def _report(self, place: tuple[int, int]) -> None:
        seq, index = place
        self._close(place)
        self._found("unconfirmed", seq, f"commit {seq}.{index} was due to be confirmed, and its effect is not known")

    def _close(self, place: tuple[int, int]) -> None:
        due = self._open.pop(place, None)
        self._past.discard(place)
        if due is not None:
            left = self._requests[due.request]
            left.remove(place)
            if not left:
                del self._requests[due.request]


def is_due(header: Header, bundle: PolicyBundle | None) -> bool:
    """Whether what an actuation commits is to be confirmed."""
    if bundle is None or header.classes is None or header.decision not in _DONE:
        return False
    rules = bundle.policy.classes.get(header.classes.action_class)
    return rules is not None and rules.confirmation is not None
