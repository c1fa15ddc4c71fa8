"""Autonomy budgets: what was done counts for each link, time once however many cycles share it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core.delegation import NS, Chain, trace
from recorder.core.scope import Counts
from recorder.core.spending import NOTHING, Left, Spent, left
from tests.credential_builder import ARM, ROOT, delegated, from_root, rescoped

ANN = from_root("ann")  # 1000 commits, 3600 s
BOB = delegated(ANN, "bob", scope=rescoped(ARM, counts=Counts(10, 60), delegations=1))
FREE = from_root("free", scope=rescoped(ARM, counts=None))
NOW = 500 * NS


def chain() -> Chain:
    return trace(BOB, {ANN.hash: ANN}, None, [ROOT])


def test_the_least_of_all_links_is_left() -> None:
    """Each link that has a budget bounds what is left, and what is done under one is done under those above it."""
    assert left(chain(), {}, NOW) == Left(10, 60 * NS, NOW + 60 * NS, ((BOB.hash, 10), (ANN.hash, 1000)), None)
    spent = {ANN.hash: Spent(997, 3590 * NS, 0), BOB.hash: Spent(2, 3 * NS, 0)}
    assert left(chain(), spent, NOW) == Left(3, 10 * NS, NOW + 10 * NS, ((BOB.hash, 10), (ANN.hash, 1000)), None)


def test_no_budget_bounds_nothing() -> None:
    """Where no link has one, nothing is left out."""
    assert left(trace(FREE, {}, None, [ROOT]), {}, NOW) == Left(None, None, None, (), None)


@pytest.mark.parametrize(
    ("spent", "exhausted"),
    [
        ({BOB.hash: Spent(9, 0, 0)}, None),
        ({BOB.hash: Spent(10, 0, 0)}, BOB.hash),
        ({ANN.hash: Spent(1000, 0, 0)}, ANN.hash),
        ({BOB.hash: Spent(0, 60 * NS - 1, 0)}, None),
        ({BOB.hash: Spent(0, 60 * NS, 0)}, BOB.hash),
        ({BOB.hash: Spent(0, 60 * NS, NOW)}, BOB.hash),
        ({BOB.hash: Spent(0, 60 * NS, NOW + 1)}, None),
        ({BOB.hash: Spent(11, 61 * NS, 0)}, BOB.hash),
    ],
)
def test_exhausted(spent: dict[bytes, Spent], exhausted: bytes | None) -> None:
    """At the last commit and at the last nanosecond, for the first link of which nothing is left; covered time can be shared."""
    found = left(chain(), spent, NOW)
    assert found.exhausted == exhausted
    assert found.commits is not None
    assert found.ns is not None
    assert min(found.commits, found.ns) >= 0


def test_time_counts_once() -> None:
    """A cycle adds only what no earlier one has covered, however they overlap."""
    first = NOTHING.opening(100, 200)
    assert first == Spent(0, 100, 200)
    assert first.opening(150, 180) == first
    assert first.opening(150, 230) == Spent(0, 130, 230)
    assert first.opening(300, 310) == Spent(0, 110, 310)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=8))
def test_time_is_what_the_cycles_cover(cycles: list[tuple[int, int]]) -> None:
    """Opened in order of time, they have spent as many nanoseconds as lie in any of them."""
    spent, covered = NOTHING, set[int]()
    for begins, lasts in sorted(cycles, key=lambda cycle: cycle[0]):
        spent = spent.opening(begins, begins + lasts)
        covered |= {*range(begins, begins + lasts)}
    assert spent.ns == len(covered)
