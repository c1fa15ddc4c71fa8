"""The why of a decision, as the recorder states it over whatever a controller claims (FORMAT.md section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from recorder.core import cbor
from recorder.core.decided import name_of
from recorder.core.kinds import Decision
from recorder.gate.decision import Decided, Weighed

ALTERNATIVES_MAX = 200


class Before(NamedTuple):
    """The decision about the stage before."""

    id: str  # printed id of its cycle entry
    decision: Decision
    clauses: Mapping[str, str]  # truth by id, as its why has them


def of_clauses(decided: Decided) -> list[cbor.Value]:
    """The claim `clauses`."""
    return [{"id": one.id, "effect": one.effect, "truth": one.truth} for one in decided.clauses]


def encoded_clauses(decided: Decided) -> bytes:
    """CBOR of the claim `clauses`: most of what a decision says, and the same from one to the next."""
    return cbor.head(4, len(decided.clauses)) + b"".join(map(_encoded, decided.clauses))


@lru_cache(maxsize=1024)
def _encoded(one: Weighed) -> bytes:
    return cbor.pack(one._asdict())


def alternatives(claimed: cbor.Value) -> dict[str, cbor.Value]:
    """The claims about alternatives: at most so many, and how many there were."""
    if not isinstance(claimed, list) or len(claimed) <= ALTERNATIVES_MAX:
        return {"alternatives": claimed}
    return {
        "alternatives": claimed[:ALTERNATIVES_MAX],
        "alternatives_truncated": True,
        "alternatives_total": len(claimed),
    }


def deviation(decided: Decided, what: Mapping[str, cbor.Value], delegation: bytes) -> dict[str, cbor.Value]:
    """The claim `deviation`: what conformed and what is done instead, by which clause, under which credential."""
    clause = next(one.id for one in decided.clauses if (one.effect, one.truth) == ("deviate", "true"))
    return {
        "conformant": what, "committed": decided.deviate_to, "clause": clause, "credential": delegation,
    }  # fmt: skip


def since(before: Before, decided: Decided) -> dict[str, cbor.Value]:
    """The claim `post_evaluation`: what the stage before was decided on, and which clauses are otherwise now."""
    now = {one.id: one.truth for one in decided.clauses}
    changed = [id_ for id_ in {**now, **before.clauses} if now.get(id_) != before.clauses.get(id_)]
    return {"predecessor": before.id, "decision": name_of(before.decision), "changed": changed}
