"""Claims that are not held, until a deletion entry accounts for them (step 8).

Claims of entries with key 13 belong to its retention class, all others to `UNCLASSED`.
"""

from __future__ import annotations

from typing import NamedTuple

from recorder.core.entry import Header
from recorder.core.kinds import Deletion
from recorder.core.verify.found import Found

UNCLASSED = "unclassed"  # names the class of entries that have no key 13 in a deletion entry
RANGES_MAX = 10_000  # a deletion is by segment, class and range, so an honest log has few


class Range(NamedTuple):
    """Entries of one class, none of which has its claims."""

    first: int
    last: int


class MissingClaims:
    """By class, ranges in which no entry of that class has its claims."""

    __slots__ = ("_closed", "_found", "_open", "_ranges_count", "count")

    def __init__(self, found: Found) -> None:
        self._found = found
        self._open: dict[str, Range] = {}
        self._closed: dict[str, list[Range]] = {}
        self._ranges_count = 0
        self.count = 0

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

    def delete(self, deletion: Deletion) -> None:
        """Take away what a deletion entry accounts for."""
        name = deletion.retention_class
        self._close(name)
        kept: list[Range] = []
        for first, last in self._closed.pop(name, ()):
            kept += [
                part
                for part in (Range(first, min(last, deletion.first - 1)), Range(max(first, deletion.last + 1), last))
                if part.first <= part.last
            ]
        if kept:
            self._closed[name] = kept
        self._ranges_count = sum(map(len, self._closed.values()))

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
            self._found("claims_missing", part.first, f"to {part.last}, after {RANGES_MAX} other ranges without claims")
            return
        self._ranges_count += 1
        self._closed.setdefault(name, []).append(part)
