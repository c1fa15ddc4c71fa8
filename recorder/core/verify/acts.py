"""Step 9: whether what was committed lies within the act that was decided about, and within the delegation."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from recorder.core import cbor, scope
from recorder.core.claims import disclosed, withheld
from recorder.core.entry import Header
from recorder.core.kinds import Commit
from recorder.core.scope import Act, Scope
from recorder.core.verify.disclosure import COMMITS
from recorder.core.verify.found import Found
from recorder.core.verify.under import Acting

Values = Mapping[str, Any]

_JUDGED = frozenset({"mode", "target", "magnitude", "unit", "reversibility", "frame", "position_m"})
_WORSE = ("reversible", "recoverable", "irreversible")
_UNTIMED = "times: "


def contemplated(why: Values) -> tuple[Values, Values] | None:
    """What and where, as a why has them; None where they are not here, or are of another shape."""
    match why.get("contemplated"):
        case {"what": dict(what), "where": dict(where)}:
            return what, where
    return None


def act_of(action_class: str, actuators: Collection[str], what: Values, where: Values, utc_ns: int | None) -> Act:
    """What a scope is asked about."""
    return Act(
        action_class, actuators, what.get("magnitude"), what.get("unit"), where.get("frame"), where.get("position_m"),
        utc_ns,
    )  # fmt: skip


def uncovered(granted: Scope, act: Act) -> list[str]:
    """Why a scope does not grant an act; the hour counts only where it is known."""
    reasons = scope.covers(granted, act)
    return reasons if act.utc_ns is not None else [one for one in reasons if not one.startswith(_UNTIMED)]


def beyond(what: Values, asked: Values, deviate_to: str | None) -> list[str]:
    """In what something committed goes beyond what was contemplated, part by part."""
    found = []
    mode = asked.get("mode") if deviate_to is None else deviate_to
    if what.get("mode") != mode:
        found.append(f"mode {_short(what.get('mode'))}, decided was {_short(mode)}")
    if asked.get("target") is not None and what.get("target") != asked["target"]:
        found.append(f"target {_short(what.get('target'))}, decided was {_short(asked['target'])}")
    if what.get("unit") != asked.get("unit"):
        found.append(f"unit {_short(what.get('unit'))}, decided was {_short(asked.get('unit'))}")
    if not _is_within(what.get("magnitude"), asked.get("magnitude")):
        found.append(f"magnitude {_short(what.get('magnitude'))}, decided was {_short(asked.get('magnitude'))}")
    if _rank(what.get("reversibility")) > _rank(asked.get("reversibility")):
        ours, theirs = what.get("reversibility"), asked.get("reversibility")
        found.append(f"reversibility {_short(ours)}, decided was {_short(theirs)}")
    return found


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
        for reason in beyond(what, asked, acting.deviate_to):
            found("beyond_contemplated", header.seq, f"commit {index}: {reason}")
        for reason in uncovered(granted, act_of(header.classes.action_class, (name,), what, where, utc_ns)):
            found("delegation_uncovered", header.seq, f"commit {index}: {reason}")
    return unjudged


def _is_hidden(item: list[Any]) -> bool:
    """Whether something that is judged is withheld, by itself or in a family that is one claim."""
    return any(not _JUDGED.isdisjoint(keys) or "*" in keys for keys in map(withheld, item[:2]))


def _is_within(magnitude: object, decided: object) -> bool:
    if not _is_number(magnitude) or not _is_number(decided):
        return magnitude is None or (magnitude == decided and type(magnitude) is type(decided))
    assert isinstance(magnitude, int | float)
    assert isinstance(decided, int | float)
    return min(0, decided) <= magnitude <= max(0, decided)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _rank(reversibility: object) -> int:
    """What says nothing that is known may be the worst."""
    return _WORSE.index(reversibility) if reversibility in _WORSE else len(_WORSE) - 1


def _short(value: object) -> str:
    return repr(value)[:60]


@lru_cache(maxsize=64)
def _values(encoded: bytes) -> Values:
    values: Values = cbor.load(encoded)
    return values


@lru_cache(maxsize=64)
def _scope(encoded: bytes) -> Scope:
    return scope.read(cbor.load(encoded), "credential_malformed")
