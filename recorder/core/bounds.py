"""Whether a commit is still the act that was decided about, and what its delegation grants: on each one's path."""

from __future__ import annotations

from collections.abc import Mapping

from recorder.core import cbor
from recorder.core.scope import Act, Scope, covers

Claims = Mapping[str, cbor.Value]

_WORSE = {"reversible": 0, "recoverable": 1, "irreversible": 2}  # FORMAT.md section 4
_NUMBERS = frozenset({int, float})  # exact types: a bool is no magnitude


def beyond(
    decided: Claims,
    what: Claims,
    where: Claims,
    scope: Scope,
    action_class: str,
    actuator: str,
    utc_ns: int | None,
    deviate_to: str | None,
) -> list[str]:
    """Why a commit goes beyond the contemplated act or the delegation's scope; an empty list where it does neither.

    It takes 2 µs where there is nothing to say.

    Args:
        decided: the contemplated what.
        what: of the commit.
        where: of the commit.
        scope: of the delegation.
        action_class: of the cycle.
        actuator: of the commit, by name.
        utc_ns: of the commit's entry, None where it is not known.
        deviate_to: what a deviation asks for in place of the contemplated act, which the commit then says that it does,
            in its claim `committed`; None where there is none.

    """
    act = Act(
        action_class, (actuator,), what.get("magnitude"), what.get("unit"), where.get("frame"),
        where.get("position_m"), utc_ns,
    )  # fmt: skip
    other, uncovered = _beyond_act(decided, what, deviate_to), covers(scope, act)
    if not other and not uncovered:
        return other
    return [
        *(f"beyond_contemplated: {part}" for part in other),
        *(f"delegation_uncovered: {part}" for part in uncovered),
    ]


def _beyond_act(decided: Claims, what: Claims, deviate_to: str | None) -> list[str]:
    """In what a commit goes beyond the act that was decided about; an empty list where it does not."""
    said, was = what.get, decided.get
    reasons = []
    if deviate_to is not None and said("committed") != deviate_to:
        stated = "is not stated" if said("committed") is None else f"is {_short(said('committed'))}"
        reasons.append(f"what.committed {stated}, decided was {_short(deviate_to)}")
    if said("mode") != was("mode"):
        reasons.append(f"mode {_short(said('mode'))}, decided was {_short(was('mode'))}")
    if said("target") != was("target") and was("target") is not None:
        reasons.append(f"target {_short(said('target'))}, decided was {_short(was('target'))}")
    if said("unit") != was("unit"):
        reasons.append(f"unit {_short(said('unit'))}, decided was {_short(was('unit'))}")
    if not _lies_within(said("magnitude"), was("magnitude")):
        reasons.append(f"magnitude {_short(said('magnitude'))}, decided was up to {_short(was('magnitude'))}")
    then, worst = said("reversibility"), was("reversibility")
    if then != worst and not _is_no_worse(then, worst):
        reasons.append(f"reversibility {_short(then)}, decided was {_short(worst)}")
    return reasons


def _lies_within(magnitude: object, most: object) -> bool:
    """Tell whether a magnitude lies between nothing and the decided one; null is 0, as in a scope."""
    asked, decided = (0 if magnitude is None else magnitude), (0 if most is None else most)
    if type(asked) not in _NUMBERS or type(decided) not in _NUMBERS:
        return False
    # NaN is in no range.
    return 0 <= asked <= decided or decided <= asked <= 0  # type: ignore[operator, no-any-return]


def _is_no_worse(reversibility: object, decided: object) -> bool:
    """Tell whether both are known, and the one is no worse than the other."""
    if not isinstance(reversibility, str) or not isinstance(decided, str):
        return False
    return _WORSE.get(reversibility, 3) <= _WORSE.get(decided, -1)


def _short(value: object) -> str:
    return repr(value)[:60]
