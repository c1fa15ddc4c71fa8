"""Step 9: autonomy budgets of delegations, counted again."""

from __future__ import annotations

from recorder.core.credential import Credential
from recorder.core.delegation import Chain
from recorder.core.verify.found import Found

NS = 1_000_000_000
SPENT_KEPT = 65_536  # credentials; what was spent of the one longest known is forgotten beyond it


class _Spent:
    """What was done under one credential and under those delegated from it."""

    __slots__ = ("commits", "ns", "until_mono_ns")

    def __init__(self) -> None:
        self.commits = self.ns = self.until_mono_ns = 0


class Budgets:
    """By credential what was spent; an instant that several of its cycles cover is spent once."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._spent: dict[bytes, _Spent] = {}

    def boot(self) -> None:
        """CLOCK_BOOTTIME begins anew."""
        for spent in self._spent.values():
            spent.until_mono_ns = 0

    def open(self, seq: int, chain: Chain, opened_mono_ns: int, not_after_mono_ns: int) -> None:
        """Count the time that a cycle was granted for."""
        for link in chain.links:
            counts = link.terms.scope.counts
            if counts is None:
                continue
            spent = self._of(link)
            spent.ns += max(0, not_after_mono_ns - max(opened_mono_ns, spent.until_mono_ns))
            spent.until_mono_ns = max(spent.until_mono_ns, not_after_mono_ns)
            if spent.ns > counts.seconds * NS:
                detail = f"{link.terms.subject}: cycles of {spent.ns} ns in all, granted are {counts.seconds} s"
                self._found("budget_exceeded", seq, detail)

    def use(self, seq: int, chain: Chain, commits: int) -> None:
        """Count commits and rows."""
        for link in chain.links:
            counts = link.terms.scope.counts
            if counts is None:
                continue
            spent = self._of(link)
            spent.commits += commits
            if spent.commits > counts.commits:
                detail = f"{link.terms.subject}: {spent.commits} commits in all, granted are {counts.commits}"
                self._found("budget_exceeded", seq, detail)

    def _of(self, link: Credential) -> _Spent:
        spent = self._spent.setdefault(link.hash, _Spent())
        if len(self._spent) > SPENT_KEPT:
            del self._spent[next(iter(self._spent))]
        return spent
