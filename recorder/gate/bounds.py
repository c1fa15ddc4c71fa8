"""Whether a commit is still the act that was decided about, and what its delegation grants: on each one's path."""

from __future__ import annotations

from collections.abc import Mapping

from recorder.core import cbor
from recorder.core.scope import Act, Scope, covers

Claims = Mapping[str, cbor.Value]

_WORSE = {"reversible": 0, "recoverable": 1, "irreversible": 2}  # FORMAT.md section 4


def beyond(
    contemplated: Claims,
    what: Claims,
    where: Claims,
    scope: Scope,
    action_class: str,
    actuator: str,
    utc_ns: int | None,
    deviate_to: str | None,
) -> list[str]:
    """Why a commit goes beyond the contemplated act or the delegation's scope; an empty list where it does neither.

    It takes 3 µs where there is nothing to say.

    Args:
        contemplated: the what that was decided about.
        what: of the commit.
        where: of the commit.
        scope: of the delegation.
        action_class: of the cycle.
        actuator: of the commit, by name.
        utc_ns: of the commit's entry, None where it is not known.
        deviate_to: the mode that a deviation asks for in place of the contemplated one, None where there is none.

    """
    said = what.get
    unit, magnitude = said("unit"), said("magnitude")
    mode = contemplated.get("mode") if deviate_to is None else deviate_to
    reasons = []
    if said("mode") != mode:
        reasons.append(f"beyond_contemplated: mode {_short(said('mode'))}, decided was {_short(mode)}")
    target = contemplated.get("target")
    if target is not None and said("target") != target:
        reasons.append(f"beyond_contemplated: target {_short(said('target'))}, decided was {_short(target)}")
    if unit != contemplated.get("unit"):
        reasons.append(f"beyond_contemplated: unit {_short(unit)}, decided was {_short(contemplated.get('unit'))}")
    most = contemplated.get("magnitude")
    if not _lies_within(magnitude, most):
        reasons.append(f"beyond_contemplated: magnitude {_short(magnitude)}, decided was up to {_short(most)}")
    worst, then = contemplated.get("reversibility"), said("reversibility")
    if then != worst and not _is_no_worse(then, worst):
        reasons.append(f"beyond_contemplated: {_short(then)}, decided was {_short(worst)}")
    act = Act(action_class, (actuator,), magnitude, unit, where.get("frame"), where.get("position_m"), utc_ns)
    for part in covers(scope, act):
        reasons.append(f"delegation_uncovered: {part}")  # noqa: PERF401 -- mostly there is none
    return reasons


def _lies_within(magnitude: object, most: object) -> bool:
    """Tell whether a magnitude lies between nothing and the decided one; null is 0, as in a scope."""
    asked, decided = (0 if magnitude is None else magnitude), (0 if most is None else most)
    if type(asked) not in _NUMBERS or type(decided) not in _NUMBERS:
        return False
    # NaN is in no range.
    return 0 <= asked <= decided or decided <= asked <= 0  # type: ignore[operator, no-any-return]


_NUMBERS = frozenset({int, float})  # exact types: a bool is no magnitude


def _is_no_worse(reversibility: object, decided: object) -> bool:
    """Tell whether both are known, and the one is no worse than the other."""
    if not isinstance(reversibility, str) or not isinstance(decided, str):
        return False
    return _WORSE.get(reversibility, 3) <= _WORSE.get(decided, -1)


def _short(value: object) -> str:
    return repr(value)[:40]
