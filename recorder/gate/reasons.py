"""Reasons of a refusal, of no more than an entry and its reply have room for: who asks chooses much of their text."""

from __future__ import annotations

from collections.abc import Iterable

REASON_MAX = 256  # code points
REASONS_MAX_BYTES = 4096  # of all; they stand in the header and in the why


def bounded(reasons: Iterable[str]) -> list[str]:
    """The first reasons, each cut to `REASON_MAX`, and how many were left out."""
    kept: list[str] = []
    size = left_out = 0
    for reason in reasons:
        cut = reason[:REASON_MAX]
        size += len(cut.encode())
        if size > REASONS_MAX_BYTES:
            left_out += 1
        else:
            kept.append(cut)
    return [*kept, f"reasons_left_out: {left_out}"] if left_out else kept
