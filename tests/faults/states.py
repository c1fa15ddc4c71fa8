"""Which of the pending changes arrived: the states that a power cut may leave, all of them or a sample."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.faults.disk import SECTOR_BYTES, Change, Data, Pending, sectors_of, torn

ALL_SUBSETS_OF = 8  # beyond this many pending changes, subsets are drawn
DRAWN = 64
PAGE_SECTORS = 4096 // SECTOR_BYTES


class Left(NamedTuple):
    """A choice: what arrived, and in words."""

    words: str
    kept: list[Change]


def left(pending: Sequence[Pending], chance: random.Random, *, journaled: bool, thorough: bool) -> Iterator[Left]:
    """What a power cut may leave of the pending changes.

    Always: nothing, everything, each beginning of them, each one alone, each one missing, and torn writes.  `thorough` takes
    every subset where there are few, and many more ways to tear.
    """
    seen: set[frozenset[int]] = set()
    for wanted in _subsets(len(pending), chance, thorough=thorough):
        chosen = _in_order(pending, wanted) if journaled else wanted
        if chosen not in seen:
            seen.add(chosen)
            yield Left(_words(pending, chosen), [pending[at].change for at in sorted(chosen)])
    yield from _torn(pending, chance, journaled=journaled, thorough=thorough)


def _subsets(count: int, chance: random.Random, *, thorough: bool) -> Iterator[frozenset[int]]:
    everything = frozenset(range(count))
    for first in range(count + 1):
        yield frozenset(range(first))
    for at in range(count):
        yield frozenset({at})
        yield everything - {at}
    if thorough and count <= ALL_SUBSETS_OF:
        for bits in range(1 << count):
            yield frozenset(at for at in range(count) if bits >> at & 1)
    else:
        for _ in range(DRAWN if thorough else 2):
            yield frozenset(at for at in range(count) if chance.random() < 0.5)


def _in_order(pending: Sequence[Pending], wanted: frozenset[int]) -> frozenset[int]:
    """Without the changes of names and modes that come after one that is lost."""
    kept, lost = set(), False
    for at, item in enumerate(pending):
        if item.is_metadata:
            lost |= at not in wanted
            if lost:
                continue
        if at in wanted:
            kept.add(at)
    return frozenset(kept)


def _torn(pending: Sequence[Pending], chance: random.Random, *, journaled: bool, thorough: bool) -> Iterator[Left]:
    """The newest write in parts, with all or nothing of what was pending before it; then every write in parts."""
    writes = [at for at, item in enumerate(pending) if isinstance(item.change, Data) and sectors_of(item.change) > 1]
    if not writes:
        return
    newest = writes[-1]
    write = pending[newest].change
    assert isinstance(write, Data)
    count = sectors_of(write)
    for sectors in _tears(count, chance, thorough=thorough):
        for others in (frozenset(range(len(pending))) - {newest}, frozenset[int]()):
            kept_others = _in_order(pending, others) if journaled else others
            kept = [
                part
                for at, item in enumerate(pending)
                if at in kept_others or at == newest
                for part in (torn(write, sectors) if at == newest else [item.change])
            ]
            yield Left(
                f"{len(sectors)} of {count} sectors of {pending[newest].label}, {_words(pending, kept_others)}", kept
            )
            if not thorough:
                break
    for _ in range(8 if thorough else 1):
        parts: list[Change] = []
        for item in pending:
            if isinstance(item.change, Data):
                parts.extend(torn(item.change, [at for at in range(sectors_of(item.change)) if chance.random() < 0.5]))
            else:
                parts.append(item.change)
        yield Left("every pending write torn", parts)


def _tears(count: int, chance: random.Random, *, thorough: bool) -> Iterator[list[int]]:
    """Sets of sectors: beginnings, sets of pages, any."""
    ends = (
        range(1, count)
        if thorough and count <= DRAWN
        else chance.sample(range(1, count), min(count - 1, 16 if thorough else 1))
    )
    for end in ends:
        yield list(range(end))
    for _ in range(8 if thorough else 1):
        pages = [page for page in range(-(-count // PAGE_SECTORS)) if chance.random() < 0.5]
        yield [at for page in pages for at in range(page * PAGE_SECTORS, min(count, (page + 1) * PAGE_SECTORS))]
        yield [at for at in range(count) if chance.random() < 0.5]


def _words(pending: Sequence[Pending], chosen: frozenset[int]) -> str:
    lost = [f"{type(item.change).__name__} {item.label}" for at, item in enumerate(pending) if at not in chosen]
    return f"{len(chosen)} of {len(pending)} kept" + (f", lost: {'; '.join(lost[:6])}" if lost else "")
