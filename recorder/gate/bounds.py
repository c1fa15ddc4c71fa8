"""Whether a commit is still the act that was decided about, and what its delegation grants: on each one's path."""

from __future__ import annotations

from recorder.core import contemplated
from recorder.core.contemplated import Claims
from recorder.core.scope import Act, Scope, covers


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

    It takes 3 µs where there is nothing to say.

    Args:
        decided: the contemplated what.
        what: of the commit.
        where: of the commit.
        scope: of the delegation.
        action_class: of the cycle.
        actuator: of the commit, by name.
        utc_ns: of the commit's entry, None where it is not known.
        deviate_to: what a deviation asks for in place of the contemplated act, None where there is none.

    """
    reasons = [f"beyond_contemplated: {part}" for part in contemplated.beyond(decided, what, deviate_to)]
    act = Act(
        action_class, (actuator,), what.get("magnitude"), what.get("unit"), where.get("frame"),
        where.get("position_m"), utc_ns,
    )  # fmt: skip
    return reasons + [f"delegation_uncovered: {part}" for part in covers(scope, act)]
