"""What must hold of the mesh, with real processes on a network that does harm: 2 and 8 platforms, and 32 with --long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.node.meshes import needs_namespaces
from tests.node.scenarios import networks
from tests.node.scenarios.world import Told, World, world

pytestmark = [needs_namespaces, pytest.mark.alone]

COUNTS = [2, 8, pytest.param(32, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("scenario", [networks.rough, networks.parted, networks.flapping])
def test_scenario(scenario: Callable[[World], Told], count: int, tmp_path: Path) -> None:
    """The scenario's own docstring says what happens; it asserts what every honest platform holds afterwards."""
    with world(tmp_path, count) as here:
        told = scenario(here)
    print(f"| {count} | {told.done} | {told.held} |")
