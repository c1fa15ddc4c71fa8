"""Claims of a valid request, and the fields of a stream."""

from __future__ import annotations

from typing import Any

WHO: dict[str, Any] = {"operator": "ann", "delegation": None}
WHY: dict[str, Any] = {"evaluator": "planner", "clauses": [], "inputs": [], "alternatives": []}
WHAT: dict[str, Any] = {
    "mode": "position",
    "target": 1.5,
    "magnitude": 1.0,
    "unit": "rad",
    "duration_ms": 10,
    "reversibility": "reversible",
    "confirm_by_ms": None,
}
FIELDS = [("position_rad", "<f4", 2, "rad"), ("tick", "<u4", 1, "1")]
