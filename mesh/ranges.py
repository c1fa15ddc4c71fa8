"""Ranges of entries: sorted, apart from each other, each as its first and the one after its last."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

Range: TypeAlias = tuple[int, int]


def with_range(ranges: Iterable[Range], more: Range) -> list[Range]:
    """These and one more, joined where they touch."""
    joined: list[Range] = []
    for first, end in sorted([*ranges, more]):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((first, end))
    return joined


def without_range(ranges: Iterable[Range], less: Range) -> list[Range]:
    """What is left of these outside of one."""
    pieces = [piece for first, end in ranges for piece in ((first, min(end, less[0])), (max(first, less[1]), end))]
    return [(first, end) for first, end in pieces if first < end]
