"""Step 9: whether what was committed lies within the act that was decided about, and within the delegation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

from recorder.core import cbor, scope
from recorder.core.bounds import beyond
from recorder.core.claims import disclosed, withheld
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.kinds import Commit, Decision
from recorder.core.scope import Act, Scope
from recorder.core.verify.disclosure import COMMITS
from recorder.core.verify.found import Found
from recorder.core.verify.under import Acting

Values = Mapping[str, Any]

_JUDGED = frozenset({"committed", "mode", "target", "magnitude", "unit", "reversibility", "frame", "position_m"})
ROWS_WAIT_NS = 1_000_000_000  # at most: they are admitted when they come, and written with those that follow
_UNTIMED = "times: "  # how `scope.covers` begins what it says of the hour


def contemplated(why: Values) -> tuple[Values, Values] | None:
    """What and where, as a why has them; None where they are not here, or are of another shape."""
    match why.get("contemplated"):
        case {"what": dict(what), "where": dict(where)}:
            return what, where
    return None


def deviate_to(header: Header, why: Values | None) -> str | None:
    """What a deviation asks for instead; None where the cycle is none, or its why does not say."""
    match None if why is None else why.get("deviation"):
        case {"committed": str(mode)} if header.decision == Decision.DEVIATED:
            return mode
    return None


def act_of(action_class: str, actuators: Collection[str], what: Values, where: Values, utc_ns: int | None) -> Act:
    """What a scope is asked about."""
    return Act(
        action_class, actuators, what.get("magnitude"), what.get("unit"), where.get("frame"), where.get("position_m"),
        utc_ns,
    )  # fmt: skip


def timely(reasons: Iterable[str], *, is_timed: bool) -> list[str]:
    """Reasons of a scope without those of the hour, where the clock did not tell it."""
    return [one for one in reasons if is_timed or _UNTIMED not in one]


def check_acts(header: Header, record: Mapping[int, Any], acting: Acting, found: Found) -> int:
    """Judge the commits of an entry whose claims were checked; return how many could not be judged."""
    assert header.classes is not None
    asked = None if acting.what is None else _values(acting.what)
    granted = None if acting.scope is None else _scope(acting.scope)
    names = dict(acting.names)
    utc_ns = header.time.utc_ns if acting.is_timed else None
    unjudged = 0
    items = record.get(COMMITS, [])
    for index, (commit, item) in enumerate(zip(header.commits or (), items, strict=False)):
        name = names.get(commit.actuator)
        if name is None or asked is None or granted is None or _is_hidden(item):
            unjudged += commit.count if not isinstance(commit, Commit) else 1
            continue
        what, where = disclosed("what", item[0]), disclosed("where", item[1])
        of = header.classes.action_class
        reasons = beyond(asked, what, where, granted, of, name, utc_ns, acting.deviate_to)
        is_timed = acting.is_timed and (isinstance(commit, Commit) or not _came_in_time(granted, header.time.utc_ns))
        for reason in timely(reasons, is_timed=is_timed):
            error, _, detail = reason.partition(": ")
            found(error, header.seq, f"commit {index}: {detail}")
    return unjudged


def confirm_by_ms(claims: bytes | None) -> list[object]:
    """Within what time each commit of an entry is to be confirmed; None where nothing here says it."""
    try:
        record = cbor.load(claims) if claims is not None else None
        items = record.get(COMMITS) if isinstance(record, dict) else None
        return [disclosed("what", item[0]).get("confirm_by_ms") for item in items or () if isinstance(item, list)]
    except (FormatError, IndexError):
        return []  # the job of this entry says so


def _came_in_time(granted: Scope, utc_ns: int) -> bool:
    """Whether rows that waited for company until this time had come within the hours of a scope."""
    act = Act("", (), None, None, None, None, utc_ns - ROWS_WAIT_NS)
    return not any(one.startswith(_UNTIMED) for one in scope.covers(granted, act))


def _is_hidden(item: list[Any]) -> bool:
    """Whether something that is judged is withheld, by itself or in a family that is one claim."""
    return any(not _JUDGED.isdisjoint(keys) or "*" in keys for keys in map(withheld, item[:2]))


@lru_cache(maxsize=64)
def _values(encoded: bytes) -> Values:
    values: Values = cbor.load(encoded)
    return values


@lru_cache(maxsize=64)
def _scope(encoded: bytes) -> Scope:
    return scope.read(cbor.load(encoded), "credential_malformed")
