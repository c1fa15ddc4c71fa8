"""Ranges against sets of numbers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mesh.ranges import Range, with_range, without_range

ranges = st.tuples(st.integers(0, 30), st.integers(1, 10)).map(lambda drawn: (drawn[0], drawn[0] + drawn[1]))


@given(st.lists(st.tuples(st.booleans(), ranges), max_size=12))
def test_against_sets(steps: list[tuple[bool, Range]]) -> None:
    """Whatever is added and taken away, the ranges hold those numbers, in order, and never touch."""
    held: list[Range] = []
    numbers: set[int] = set()
    for is_more, one in steps:
        held = with_range(held, one) if is_more else without_range(held, one)
        numbers = numbers | set(range(*one)) if is_more else numbers - set(range(*one))
        assert [number for first, end in held for number in range(first, end)] == sorted(numbers)
        assert all(before[1] < after[0] for before, after in pairwise(held))
