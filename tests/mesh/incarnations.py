"""Incarnations of the small fleet's first platform, and what they show a witness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mesh.succession import Succession
from mesh.witness import Outcome, add_incarnation
from recorder.core.keys import SeedSigner
from recorder.core.merkle import prove_inclusion
from tests.lineage_builder import Change, LineageBuilder
from tests.mesh.fleet import FLEET, IDENTITY, NEXT_ORIGIN, ORIGIN, TIME_S, Leaves, hashes, head_of, note_of
from tests.mesh.witnessing import COSIGNER, Memory

OLD = hashes(40)
HELD = 17


def born(
    previous: Sequence[Any],
    origin: str = NEXT_ORIGIN,
    identity: SeedSigner = IDENTITY,
    entries: int = 3,
    changed: Change | None = None,
) -> tuple[bytes, list[bytes]]:
    """The boot entry of an incarnation that names these, and its first entry hashes."""
    builder = LineageBuilder(origin=origin)
    builder.identity = identity

    def name(header: dict[int, Any]) -> None:
        header[15][4] = [list(one) for one in previous]

    builder.breaking(name)
    if changed is not None:
        builder.breaking(changed)
    builder.boot()
    for _ in range(entries - 1):
        builder.new_epoch()
    return builder.records[0].raw, [builder.hash_of(seq) for seq in range(entries)]


def shown(
    previous: Sequence[Any], origin: str = NEXT_ORIGIN, consistency: Sequence[bytes] = (), **more: Any
) -> Succession:
    boot, leaves = born(previous, origin, **more)
    inclusion = prove_inclusion(Leaves(leaves), 0, len(leaves))
    return Succession(boot, tuple(inclusion), tuple(consistency), note_of(leaves, origin))


def show(store: Memory, succession: Succession, time_s: int | None = TIME_S) -> Outcome:
    return add_incarnation(succession.encode(), FLEET, store, COSIGNER, time_s)


def named(size: int, leaves: list[bytes] = OLD) -> tuple[str, int, bytes]:
    return (ORIGIN, size, head_of(leaves[:size]).root)


EXACT = shown([named(HELD)])
