"""Lineages with observations in them, and observers with credentials."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from recorder.core.credential import Credential
from recorder.core.kinds import Kind
from recorder.core.observation import Observation
from tests.credential_builder import BEGIN_S, NS, from_root
from tests.lineage_builder import ORIGIN, LineageBuilder
from tests.vectors.observations import made

OTHER = "acme/arm-8/fedcba9876543210"
MS = 1_000_000
BEGIN_NS = BEGIN_S * NS
Said = tuple[Observation, str] | dict[str, Any]


def observer(name: str, **changed: Any) -> Credential:
    """The credential of an observer of this name, signed by the root."""
    return from_root(name, role="platform", **changed)


def reading(value: Any, at_ms: float = 0, name: str = "lidar.nearest_m", **changed: Any) -> Observation:
    """A distance to pallet 12, `at_ms` after credentials begin."""
    plain = Observation(name, value, "m", None, BEGIN_NS + int(at_ms * MS), None, 1, "pallet 12", None)
    return plain._replace(**changed)


def recorded(*observed: Said, origin: str = ORIGIN, **how: Any) -> LineageBuilder:
    """A lineage of observations: each with the name of the key that signs it, or unsigned as body claims."""
    lineage = LineageBuilder(origin=origin, seed=origin, **how).setup(1)
    for one in observed:
        if isinstance(one, dict):
            lineage.control(Kind.OBSERVATION, body=one)
            continue
        signed = made(*one)
        lineage.control(Kind.OBSERVATION, sha256(signed).digest(), body={"observation": signed})
    lineage.stop()
    return lineage
