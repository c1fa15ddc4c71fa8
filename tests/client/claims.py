"""Claims with the required keys."""

from __future__ import annotations

from typing import Any

WHO: dict[str, Any] = {"operator": "op-1", "delegation": None}
WHY: dict[str, Any] = {"evaluator": "planner", "clauses": [], "inputs": [], "alternatives": []}
WHAT: dict[str, Any] = {
    "mode": "position",
    "target": "joint3",
    "magnitude": 0.5,
    "unit": "rad",
    "duration_ms": 100,
    "reversibility": "reversible",
    "confirm_by_ms": None,
}
FIELDS = [("position_rad", "<f4", 2, "rad"), ("tick", "<u4", 1, "1")]
