"""The claims of every call, with the keys that FORMAT.md section 4 requires, as plain Python values.

The recorder adds `platform`, `uid`, `pid` and `exe` to who, and `policy` to why.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hwsim.ports import Claims

Reversibility = Literal["reversible", "recoverable", "irreversible"]


def who(operator: str, *, task: str, requested_by: str, delegation: str | None = None) -> Claims:
    """State who asks for the act; `delegation` None says that nothing was delegated."""
    return {"operator": operator, "delegation": delegation, "task": task, "requested_by": requested_by}


def what(
    mode: str,
    target: str,
    magnitude: float,
    unit: str,
    *,
    duration_ms: int,
    reversibility: Reversibility = "reversible",
    confirm_by_ms: int | None = None,
    **more: object,
) -> Claims:
    """State the act itself; `magnitude` is in `unit`."""
    return {
        "mode": mode,
        "target": target,
        "magnitude": finite(magnitude),
        "unit": unit,
        "duration_ms": duration_ms,
        "reversibility": reversibility,
        "confirm_by_ms": confirm_by_ms,
        **more,
    }


def why(
    evaluator: str,
    *,
    clauses: list[str],
    inputs: list[Claims],
    alternatives: list[Claims],
    deviation: Claims | None = None,
    counterfactual: str | None = None,
) -> Claims:
    """State why the act is admitted; the optional claims are left out when there is nothing to say."""
    claims: Claims = {"evaluator": evaluator, "clauses": clauses, "inputs": inputs, "alternatives": alternatives}
    if deviation is not None:
        claims["deviation"] = deviation
    if counterfactual is not None:
        claims["counterfactual"] = counterfactual
    return claims


def finite(value: float) -> float | None:
    """Return a Python float, or None where a sensor gave NaN or infinity, which no claim may hold."""
    number = float(value)
    return number if math.isfinite(number) else None


def floats(values: Iterable[float]) -> list[float | None]:
    """Return a vector as plain numbers (see `finite`)."""
    return [finite(value) for value in values]
