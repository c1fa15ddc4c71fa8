"""What the broken lineages among the vectors are made with; each is entered under the error that it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from recorder.core import cbor
from recorder.core.findings import FINDINGS
from tests.lineage_builder import Change, LineageBuilder, OpenCycle

OTHER_ORIGIN = "acme/arm-8/0123456789abcdef"


@dataclass
class Broken:
    """A lineage, what a verifier is told beside it, and where the error stands."""

    lineage: LineageBuilder
    seq: int | None
    checkpoints: list[bytes] = field(default_factory=list)
    trusted: bytes | None = None


BROKEN: dict[str, Callable[[], Broken]] = {}


def vector(make: Callable[[], Broken]) -> Callable[[], Broken]:
    """Enter a function as the vector of the error that is its name."""
    assert make.__name__ in FINDINGS
    BROKEN[make.__name__] = make
    return make


def setting(key: int, value: Any) -> Change:
    """Change one header key."""

    def change(header: dict[int, Any]) -> None:
        header[key] = value

    return change


def inside(key: int, *path: int, to: Any) -> Change:
    """Change something inside a header key; the rest of it stays."""

    def change(header: dict[int, Any]) -> None:
        copy = cbor.decode(cbor.encode(header[key]))
        at = copy
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = to
        header[key] = copy

    return change


def ruled(rules: dict[str, dict[str, Any]]) -> LineageBuilder:
    """A lineage whose policy bundle states these rules of retention."""
    lineage = LineageBuilder()
    lineage.boot()
    lineage.policy(cbor.encode({"lineage/retention/1": rules}))
    return lineage


def with_cycle(**bounds: Any) -> tuple[LineageBuilder, OpenCycle]:
    lineage = LineageBuilder().setup(1, 2)
    return lineage, lineage.cycle(**bounds)


def broken_commit(change: Change, **bounds: Any) -> Broken:
    """One good commit, and one that was changed before it was signed."""
    lineage, cycle = with_cycle(**bounds)
    lineage.commit(cycle)
    return Broken(lineage, lineage.breaking(change).commit(cycle))


def broken_claims(change: Callable[[dict[int, Any]], None]) -> Broken:
    """Claims of a commit changed after it was signed."""
    lineage, cycle = with_cycle()
    return change_claims(lineage, lineage.commit(cycle), change)


def change_claims(lineage: LineageBuilder, seq: int, change: Callable[[dict[int, Any]], None]) -> Broken:
    held = lineage.records[seq].claims
    assert held is not None
    claims = cbor.decode(held)
    change(claims)
    lineage.records[seq] = lineage.records[seq]._replace(claims=cbor.encode(claims))
    return Broken(lineage, seq)
