"""Scopes: what the holder of a credential may do, and whether one scope lies within another (FORMAT.md section 6).

Every part is there, and one that is empty grants nothing: what nobody thought of is not permitted.  The text "any" in
place of a part grants all of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta, Struct, ValidationError, convert
from msgspec.structs import asdict

from recorder.core import cbor
from recorder.core.errors import FormatError
from recorder.core.kinds import Name, Uint

Role = Literal[
    "authority",
    "platform",
    "operator",
    "actuator",
    "witness",
    "evaluator",
    "inspector",
    "technician",
    "redactor",
    "retention",
]
Any_ = Literal["any"]
ANY: Any_ = "any"
NO_UNIT = "none"  # what states no unit is in this one, and what states neither unit nor magnitude is 0 of it
DELEGATIONS_MAX = 15  # so that a chain has at most 16 links
DAY_S = 86_400

_NS = 1_000_000_000
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_FIRST_WEEKDAY = 3  # 1970-01-01 was a Thursday
_NUMBERS = frozenset({int, float})  # exact types: a bool is no magnitude
_NUMBER, _SEQUENCE = (int, float), (list, tuple)  # a union made anew costs more than asking for it

Number = int | float
Position = tuple[Number, Number, Number]


class Area(NamedTuple):
    """A box in a frame, its faces included."""

    frame: Name
    least_m: Position
    most_m: Position


class Times(NamedTuple):
    """From one second of the UTC day until before another, on some days of the week."""

    from_s: Annotated[int, Meta(ge=0, lt=DAY_S)]
    to_s: Annotated[int, Meta(ge=1, le=DAY_S)]
    days: Annotated[int, Meta(ge=1, le=127)]  # bit 0 Monday, bit 6 Sunday (ISO 8601)


class Counts(Struct, frozen=True, forbid_unknown_fields=True):
    """Autonomy budget of a delegation: what is done under it, and under what was delegated from it, in all."""

    commits: Uint
    seconds: Uint


class Scope(Struct, frozen=True, forbid_unknown_fields=True):
    """What a credential grants; as read, or made by whoever issues."""

    action_classes: Any_ | frozenset[Name] = frozenset()
    actuators: Any_ | frozenset[Name] = frozenset()  # by name
    limits: (
        Any_ | dict[Annotated[str, Meta(min_length=1, max_length=64)], tuple[Number, Number]]
    ) = {}  # unit: magnitude
    areas: Any_ | frozenset[Area] = frozenset()
    times: Any_ | frozenset[Times] = frozenset()
    counts: Counts | None = Counts(0, 0)  # None: not bounded here
    delegations: Annotated[int, Meta(ge=0, le=DELEGATIONS_MAX)] = 0  # links that may follow below
    roles: frozenset[Role] = frozenset()  # that the holder, an authority, may issue


class Act(NamedTuple):
    """What is about to be done.  What a controller claims may be of any type; None where it claims nothing."""

    action_class: str
    actuators: Collection[str]
    magnitude: object
    unit: object
    frame: object
    position_m: object
    utc_ns: int | None


_PARTS = Scope.__struct_fields__
_LISTS = ("action_classes", "actuators", "areas", "times", "roles")


def read(value: cbor.Value, error: str) -> Scope:
    """Check a decoded scope: its keys, their shapes, and the one order that its lists have.

    Raises:
        FormatError: `error`.

    """
    if not isinstance(value, dict) or value.keys() != set(_PARTS):
        raise FormatError(error, f"a scope is not a map of {', '.join(_PARTS)}")
    for part in _LISTS:
        if isinstance(value[part], list) and not _is_in_order(value[part]):
            raise FormatError(error, f"scope: {part} are not in the order of their encodings, each once")
    try:
        scope = convert(value, Scope, builtin_types=(bytes,))
    except ValidationError as failure:
        raise FormatError(error, f"scope: {failure}") from None
    if wrong := _turned_round(scope):
        raise FormatError(error, f"scope: {wrong} begins after its end")
    return scope


def to_value(scope: Scope) -> dict[str, cbor.Value]:
    """What `read` reads, for `cbor.encode`."""
    return {
        "action_classes": _listed(scope.action_classes),
        "actuators": _listed(scope.actuators),
        "limits": scope.limits if isinstance(scope.limits, str) else {u: [*span] for u, span in scope.limits.items()},
        "areas": _listed(scope.areas),
        "times": _listed(scope.times),
        "counts": None if scope.counts is None else asdict(scope.counts),
        "delegations": scope.delegations,
        "roles": _listed(scope.roles),
    }


def within(child: Scope, parent: Scope) -> list[str]:
    """Each part in which the child is wider than the parent, but for delegations, which a chain counts.

    An area or a time lies within the parent's if one of the parent's holds all of it; two that adjoin are not joined.
    """
    wider = []
    for part in ("action_classes", "actuators", "roles"):
        beyond = _beyond(getattr(child, part), getattr(parent, part))
        if beyond:
            wider.append(f"{part}: {', '.join(beyond)} beyond the parent's")
    if not isinstance(parent.limits, str):
        if isinstance(child.limits, str):
            wider.append("limits: any, the parent's are limited")
        else:
            for unit, (least, most) in sorted(child.limits.items()):
                span = parent.limits.get(unit)
                if span is None or least < span[0] or most > span[1]:
                    allowed = "none" if span is None else f"{span[0]} to {span[1]}"
                    wider.append(f"limits: {least} to {most} {unit}, the parent has {allowed}")
    if not isinstance(parent.areas, str):
        held = parent.areas
        if isinstance(child.areas, str) or not all(any(_encloses(box, area) for box in held) for area in child.areas):
            wider.append("areas: one lies in no single area of the parent")
    if not isinstance(parent.times, str):
        spans = parent.times
        if isinstance(child.times, str) or not all(any(_spans(span, time) for span in spans) for time in child.times):
            wider.append("times: one lies in no single time of the parent")
    if parent.counts is not None and (
        child.counts is None
        or child.counts.commits > parent.counts.commits
        or child.counts.seconds > parent.counts.seconds
    ):
        wider.append("counts: more than the parent's")
    return wider


def covers(scope: Scope, act: Act) -> list[str]:
    """Why the scope does not grant the act, part by part; an empty list grants it.  Budgets are counted elsewhere."""
    reasons = []
    classes, actuators = scope.action_classes, scope.actuators
    if not isinstance(classes, str) and act.action_class not in classes:
        reasons.append(f"action_classes: {act.action_class} is not granted")
    if not isinstance(actuators, str) and not actuators.issuperset(act.actuators):
        reasons += [f"actuators: {name} is not granted" for name in act.actuators if name not in actuators]
    if not isinstance(scope.limits, str):
        reasons += _beyond_limits(scope.limits, act.magnitude, act.unit)
    if not isinstance(scope.areas, str):
        reasons += _outside(scope.areas, act.frame, act.position_m)
    if not isinstance(scope.times, str):
        reasons += _untimely(scope.times, act.utc_ns)
    return reasons


def _beyond_limits(limits: dict[str, tuple[Number, Number]], magnitude: object, unit: object) -> list[str]:
    if unit is None:
        unit, magnitude = NO_UNIT, 0 if magnitude is None else magnitude
    span = limits.get(unit) if isinstance(unit, str) else None
    if span is None:
        return [f"limits: no limit is given in {_short(unit)}"]
    if isinstance(magnitude, bool) or not isinstance(magnitude, _NUMBER):
        return [f"limits: {_short(magnitude)} is no magnitude"]
    least, most = span
    if least <= magnitude <= most:
        return []
    if magnitude > most:
        return [f"limits: {magnitude} {unit} is over {most} {unit}"]
    return [f"limits: {magnitude} {unit} is not {least} {unit} or more"]


def _outside(areas: frozenset[Area], frame: object, position: object) -> list[str]:
    if not isinstance(position, _SEQUENCE) or len(position) != 3 or not _NUMBERS.issuperset(map(type, position)):
        return ["areas: no position_m is stated" if position is None else f"areas: {_short(position)} is no position"]
    x, y, z = position
    for area in areas:
        (x0, y0, z0), (x1, y1, z1) = area.least_m, area.most_m
        if area.frame == frame and x0 <= x <= x1 and y0 <= y <= y1 and z0 <= z <= z1:
            return []
    return [f"areas: {[*position]} in {_short(frame)} lies in no granted area"]


def _untimely(times: frozenset[Times], utc_ns: int | None) -> list[str]:
    if utc_ns is None:
        return ["times: the time is not known"]
    days, ns = divmod(utc_ns, DAY_S * _NS)
    weekday, second = (days + _FIRST_WEEKDAY) % 7, ns // _NS
    for time in times:
        if time.from_s <= second < time.to_s and time.days >> weekday & 1:
            return []
    clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    return [f"times: {_WEEKDAYS[weekday]} {clock} UTC lies in no granted time"]


def _beyond(child: Any_ | frozenset[str], parent: Any_ | frozenset[str]) -> list[str]:
    if isinstance(parent, str):
        return []
    return [child] if isinstance(child, str) else sorted(child - parent)


def _encloses(outer: Area, inner: Area) -> bool:
    return outer.frame == inner.frame and all(
        outer.least_m[axis] <= inner.least_m[axis] and inner.most_m[axis] <= outer.most_m[axis] for axis in range(3)
    )


def _spans(outer: Times, inner: Times) -> bool:
    return outer.from_s <= inner.from_s and inner.to_s <= outer.to_s and not inner.days & ~outer.days


def _turned_round(scope: Scope) -> str | None:
    """Name what has its end before its beginning, which grants nothing and was meant otherwise."""
    if not isinstance(scope.limits, str):
        for unit, (least, most) in scope.limits.items():
            if least > most:
                return f"the limit in {unit}"
    for area in () if isinstance(scope.areas, str) else scope.areas:
        if any(least > most for least, most in zip(area.least_m, area.most_m, strict=True)):
            return f"an area in {area.frame}"
    for time in () if isinstance(scope.times, str) else scope.times:
        if time.from_s >= time.to_s:
            return f"a time at second {time.from_s}"
    return None


def _listed(part: Any_ | Iterable[Any]) -> Any:  # noqa: ANN401 -- a CBOR value
    if isinstance(part, str):
        return part
    items = [[*map(_plain, item)] if isinstance(item, tuple) else item for item in part]
    return sorted(items, key=cbor.pack)


def _plain(value: object) -> object:
    return [*value] if isinstance(value, tuple) else value


def _is_in_order(items: list[Any]) -> bool:
    return all(one < other for one, other in pairwise(map(cbor.pack, items)))


def _short(value: object) -> str:
    return repr(value)[:40]
