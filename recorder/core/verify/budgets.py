"""Step 9: autonomy budgets of delegations, counted again."""

from __future__ import annotations

from collections.abc import Iterator

from recorder.core.credential import Credential
from recorder.core.delegation import NS, Chain
from recorder.core.scope import Counts
from recorder.core.spending import NOTHING, Spent
from recorder.core.verify.found import Found

SPENT_KEPT = 65_536  # credentials; what was spent of the one longest known is forgotten beyond it


class Budgets:
    """What was spent of each credential."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._spent: dict[bytes, Spent] = {}

    def boot(self) -> None:
        """CLOCK_BOOTTIME begins anew."""
        self._spent = {digest: spent._replace(until_mono_ns=0) for digest, spent in self._spent.items()}

    def open(self, seq: int, chain: Chain, opened_mono_ns: int, not_after_mono_ns: int) -> None:
        """Count the time that a cycle was granted for."""
        for link, counts in _bounded(chain):
            spent = self._spent.get(link.hash, NOTHING).opening(opened_mono_ns, not_after_mono_ns)
            self._set(link, spent)
            if spent.ns > counts.seconds * NS:
                detail = f"{link.terms.subject}: cycles of {spent.ns} ns in all, granted are {counts.seconds} s"
                self._found("budget_exceeded", seq, detail)

    def use(self, seq: int, chain: Chain, commits: int) -> None:
        """Count commits and rows."""
        for link, counts in _bounded(chain):
            before = self._spent.get(link.hash, NOTHING)
            spent = before._replace(commits=before.commits + commits)
            self._set(link, spent)
            if spent.commits > counts.commits:
                detail = f"{link.terms.subject}: {spent.commits} commits in all, granted are {counts.commits}"
                self._found("budget_exceeded", seq, detail)

    def _set(self, link: Credential, spent: Spent) -> None:
        self._spent[link.hash] = spent
        if len(self._spent) > SPENT_KEPT:
            del self._spent[next(iter(self._spent))]


def _bounded(chain: Chain) -> Iterator[tuple[Credential, Counts]]:
    for link in chain.links:
        if link.terms.scope.counts is not None:
            yield link, link.terms.scope.counts
