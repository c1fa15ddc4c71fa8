"""Claims that are not held, until a deletion entry accounts for them (step 8).

Claims of entries with key 13 belong to its retention class, all others to `UNCLASSED`.  Which deletion entry accounts
for what is part of the report.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from recorder.core.controls import Deletion
from recorder.core.header import Header
from recorder.core.kinds import UNCLASSED
from recorder.core.verdict import Deleted
from recorder.core.verify.found import Found

RANGES_MAX = 10_000  # at once; memory must not grow with the lineage
DELETED_MAX = 1_000  # deletion entries that are listed one by one; all of them count


class Range(NamedTuple):
    """Entries of one class, none of which has its claims."""

    first: int
    last: int


class MissingClaims:
    """By class, ranges in which no entry of that class has its claims."""

    __slots__ = ("_closed", "_found", "_open", "_ranges_count", "count", "deleted", "deletions")

    def __init__(self, found: Found) -> None:
        self._found = found
        self._open: dict[str, Range] = {}
        self._closed: dict[str, list[Range]] = {}
        self._ranges_count = 0
        self.count = 0
        self.deleted: list[Deleted] = []  # the first of those deletion entries that account for something
        self.deletions = 0  # all of them

    def note(self, header: Header, *, held: bool) -> None:
        """Note whether the claims of the next entry that has some are held."""
        name = header.classes.retention_class if header.classes is not None else UNCLASSED
        if held:
            if self._open and name in self._open:
                self._close(name)
            return
        self.count += 1
        last = self._open.get(name)
        self._open[name] = Range(last.first if last else header.seq, header.seq)

    def delete(self, seq: int, deletion: Deletion) -> None:
        """Take away what a deletion entry accounts for; `seq` is its own."""
        name = deletion.retention_class
        self._close(name)
        kept: list[Range] = []
        gone: list[Range] = []
        for part in self._closed.pop(name, ()):
            inside = Range(max(part.first, deletion.first), min(part.last, deletion.last))
            if inside.first > inside.last:
                kept.append(part)
                continue
            gone.append(inside)
            kept += [
                side
                for side in (Range(part.first, deletion.first - 1), Range(deletion.last + 1, part.last))
                if side.first <= side.last
            ]
        if kept:
            self._closed[name] = kept
        self._ranges_count = sum(map(len, self._closed.values()))
        if gone:
            self.deletions += 1
            if len(self.deleted) < DELETED_MAX:
                self.deleted.append(Deleted(seq, name, gone[0].first, gone[-1].last))

    def unaccounted(self) -> list[tuple[str, Range]]:
        """What no deletion entry accounts for, with its class, by seq."""
        for name in list(self._open):
            self._close(name)
        return sorted(((name, item) for name, held in self._closed.items() for item in held), key=lambda pair: pair[1])

    def _close(self, name: str) -> None:
        part = self._open.pop(name, None)
        if part is None:
            return
        if self._ranges_count >= RANGES_MAX:
            self._merge()
        if self._ranges_count >= RANGES_MAX:
            self._found("claims_missing", part.first, f"to {part.last}, after {RANGES_MAX} other ranges without claims")
            return
        self._ranges_count += 1
        self._closed.setdefault(name, []).append(part)

    def _merge(self) -> None:
        """Make one range of those that lie closest together, with what is held between them, until half are left.

        Erased rows leave thousands of gaps between commits that stay.  A merged range asks for more than is missing, so
        nothing passes by it that would not otherwise; deletions name whole segments, so an honest log has it covered.
        """
        gaps = sorted(after.first - before.last for parts in self._closed.values() for before, after in pairwise(parts))
        if not gaps:
            return
        narrow = gaps[len(gaps) // 2]
        for name, parts in self._closed.items():
            merged = parts[:1]
            for part in parts[1:]:
                last = merged[-1]
                if part.first - last.last <= narrow:
                    merged[-1] = Range(last.first, part.last)
                else:
                    merged.append(part)
            self._closed[name] = merged
        self._ranges_count = sum(map(len, self._closed.values()))
