"""The broken lineages among the vectors: one for each named error that a lineage can show."""

from __future__ import annotations

from tests.vectors import broken_authority, broken_devices, broken_held, broken_place, broken_use
from tests.vectors.breaking import BROKEN, Broken

PARTS = (
    broken_place,
    broken_use,
    broken_held,
    broken_authority,
    broken_devices,
)  # importing them enters their vectors in BROKEN

__all__ = ["BROKEN", "PARTS", "Broken"]
