"""Which of two entries of different lineages came first, without a clock: from heads of each other that they log.

A head is a hash over all entries below its size.  A lineage that logs the head of another one therefore knew of them:
they are older than the entry that logs it.  Chains of such knowledge order entries of lineages that never met.  Nothing
else orders: where no head leads from one entry to the other, either may be the older one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any, Literal, NamedTuple

from recorder.audit.source import LineageSource, kind_of
from recorder.core.checkpoint import Checkpoint, parse_checkpoint
from recorder.core.entry import decode, entry_hash
from recorder.core.errors import FormatError
from recorder.core.kinds import Kind
from recorder.core.note import parse_note
from recorder.core.peerheads import CLAIM, notes_in
from recorder.core.tiles import TileTree
from recorder.core.verify.held import body_of

_CLAIM = CLAIM.encode()

Order = Literal["before", "after", "not known"]


class Logged(NamedTuple):
    """A head of another log, and the entry that holds it."""

    seq: int
    head: Checkpoint


class Side(NamedTuple):
    """What a lineage says of others, and what it is itself."""

    origin: str
    entries: int
    logged: list[Logged]  # rising
    roots: dict[int, bytes]  # of its tree at the sizes that others log of it


class Step(NamedTuple):
    """An entry that is known to be younger than one of another lineage, since it logs a head that covers that one."""

    origin: str
    seq: int
    of: str  # the other lineage
    covers: int  # seq in it
    size: int  # of the head


class Found(NamedTuple):
    """How two entries lie to each other, and by what that is known."""

    order: Order
    steps: list[Step]  # from the older one to the younger one; empty within one lineage


def logged_in(source: LineageSource) -> list[Logged]:
    """Heads of other logs that a lineage holds; what is none is left out, as verification counts it.

    Raises:
        LineageError, OSError: the lineage cannot be read.

    """
    found = []
    with closing(source.read(0)) as entries:
        for held in entries:
            # A glance first: an observation of another thing is decoded by nobody here.
            if kind_of(held.raw) != Kind.OBSERVATION or _CLAIM not in held.claims:
                continue
            for note in heads_of(held.raw, held.claims):
                try:
                    found.append(Logged(held.seq, parse_checkpoint(parse_note(note).text)))
                except FormatError:
                    continue
    return found


def heads_of(raw: bytes, claims: bytes) -> list[bytes]:
    """Notes of peers' heads in an observation entry; none where they are not here, or are not such a list."""
    try:
        body: Mapping[str, Any] = body_of(decode(raw).header, claims) or {}
        return notes_in(body)
    except FormatError:
        return []


def side(source: LineageSource, logged: list[Logged], others: Iterable[Logged]) -> Side:
    """Read the roots of a whole lineage at the sizes that others log of it; raises as `logged_in`."""
    wanted = {one.head.size for one in others if one.head.origin == source.origin}
    roots: dict[int, bytes] = {}
    tree = TileTree()
    with closing(source.read(0)) as entries:
        for held in entries:
            tree.append(entry_hash(held.raw))
            if tree.size in wanted:
                roots[tree.size] = tree.root()
    return Side(source.origin, tree.size, logged, roots)


def order(sides: Sequence[Side], a: tuple[str, int], b: tuple[str, int]) -> Found:
    """Say how entry `a` lies to entry `b`, each an origin and a seq.

    Args:
        sides: lineages, those of `a` and `b` among them; more may lie between the two.
        a: an entry.
        b: another one.

    """
    if a[0] == b[0]:
        return Found("before" if a[1] < b[1] else "after" if a[1] > b[1] else "not known", [])
    if steps := _path(sides, a, b):
        return Found("before", steps)
    if steps := _path(sides, b, a):
        return Found("after", steps)
    return Found("not known", [])


def _path(sides: Sequence[Side], older: tuple[str, int], younger: tuple[str, int]) -> list[Step]:
    """How an entry is known to be older than another one; empty where it is not.

    For each lineage the first entry that is known to be younger, found from the nearest on: who logs a head that covers
    an entry which is younger than `older` is younger itself.
    """
    reached: dict[str, tuple[int, Step | None]] = {older[0]: (older[1], None)}
    is_moving = True
    while is_moving:
        is_moving = False
        for one in sides:
            for logged in one.logged:
                found = _step(one, logged, sides, reached)
                if found is not None:
                    reached[one.origin] = (found.seq, found)
                    is_moving = True
                    break  # the first entry that does is the one that counts
    at, last = reached.get(younger[0], (younger[1] + 1, None))
    if at > younger[1] or last is None:
        return []
    steps: list[Step] = []
    step: Step | None = last
    while step is not None:
        steps.insert(0, step)
        step = reached[step.of][1]
    return steps


def _step(one: Side, logged: Logged, sides: Sequence[Side], reached: dict[str, tuple[int, Step | None]]) -> Step | None:
    """Whether this head says more of a lineage than is known."""
    if one.origin in reached and logged.seq >= reached[one.origin][0]:
        return None
    other = next((side for side in sides if side.origin == logged.head.origin), None)
    if other is None or other.origin == one.origin or other.origin not in reached:
        return None
    covered = reached[other.origin][0]
    if logged.head.size <= covered or other.roots.get(logged.head.size) != logged.head.root:
        return None  # it does not cover the entry, or it is of another history than the one that lies here
    return Step(one.origin, logged.seq, other.origin, covered, logged.head.size)
