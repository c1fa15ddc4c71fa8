"""Autonomy budgets: what was done under each credential, and what is left of a chain (FORMAT.md section 6).

Whatever is done under a credential is done under each one above it.  Commits are counted as they are made; time is that
of CLOCK_BOOTTIME during which a cycle could act, counted once however many cycles could, and when the cycle is opened:
nobody can tell later how long a controller thought that it had.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from recorder.core.delegation import NS, Chain


class Spent(NamedTuple):
    """What was done under one credential."""

    commits: int = 0  # and rows
    ns: int = 0
    until_mono_ns: int = 0  # CLOCK_BOOTTIME up to which `ns` has counted; 0 at the start of an OS boot

    def committing(self, commits: int) -> Spent:
        """Spent once so many commits and rows are made."""
        return Spent(self.commits + commits, self.ns, self.until_mono_ns)

    def opening(self, now_mono_ns: int, not_after_mono_ns: int) -> Spent:
        """Spent once a cycle from now on is opened."""
        begins = max(now_mono_ns, self.until_mono_ns)
        if not_after_mono_ns <= begins:
            return self
        return self._replace(ns=self.ns + not_after_mono_ns - begins, until_mono_ns=not_after_mono_ns)


NOTHING = Spent()


class Left(NamedTuple):
    """What is left of a chain; None where no link bounds it."""

    commits: int | None
    ns: int | None
    not_after_mono_ns: int | None  # up to which a cycle that begins now could act
    limits: tuple[tuple[bytes, int], ...]  # (link, commits under it in all), of each link that has some
    exhausted: bytes | None  # the first link of which nothing is left


def left(chain: Chain, spent: Mapping[bytes, Spent], now_mono_ns: int) -> Left:
    """What a cycle that is opened now may still do.

    Args:
        chain: of its delegation.
        spent: by hash of a link; one that is not there has spent nothing.
        now_mono_ns: CLOCK_BOOTTIME.

    """
    commits = ns = not_after = exhausted = None
    limits = []
    for link in chain.links:
        counts = link.terms.scope.counts
        if counts is None:
            continue
        done = spent.get(link.hash, NOTHING)
        limits.append((link.hash, counts.commits))
        of_commits, of_ns = max(0, counts.commits - done.commits), max(0, counts.seconds * NS - done.ns)
        until = max(now_mono_ns, done.until_mono_ns) + of_ns
        commits = of_commits if commits is None else min(commits, of_commits)
        ns = of_ns if ns is None else min(ns, of_ns)
        not_after = until if not_after is None else min(not_after, until)
        if exhausted is None and (of_commits == 0 or until <= now_mono_ns):
            exhausted = link.hash
    return Left(commits, ns, not_after, tuple(limits), exhausted)
