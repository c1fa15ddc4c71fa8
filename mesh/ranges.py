"""Ranges of entries: sorted, apart from each other, each as its first and the one after its last."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

Range: TypeAlias = tuple[int, int]


def joined(ranges: Iterable[Range]) -> list[Range]:
    """These in order, joined where they touch; empty ones count for nothing."""
    several: list[Range] = []
    for first, end in sorted(one for one in ranges if one[0] < one[1]):
        if several and first <= several[-1][1]:
            several[-1] = (several[-1][0], max(end, several[-1][1]))
        else:
            several.append((first, end))
    return several


def with_range(ranges: Iterable[Range], more: Range) -> list[Range]:
    """These and one more, joined where they touch."""
    return joined([*ranges, more])


def without_range(ranges: Iterable[Range], less: Range) -> list[Range]:
    """What is left of these outside of one."""
    pieces = [piece for first, end in ranges for piece in ((first, min(end, less[0])), (max(first, less[1]), end))]
    return [(first, end) for first, end in pieces if first < end]
