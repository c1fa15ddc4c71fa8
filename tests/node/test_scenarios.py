"""What must hold of the mesh, with real processes on a network that does harm: 2 and 8 platforms, and 32 with --long."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.node.meshes import needs_namespaces
from tests.node.scenarios.all import SCENARIOS
from tests.node.scenarios.world import Scenario

pytestmark = [needs_namespaces, pytest.mark.alone]

COUNTS = [2, 8, pytest.param(32, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=[one.name for one in SCENARIOS])
def test_scenario(scenario: Scenario, count: int, tmp_path: Path) -> None:
    """Its own docstring says what happens; it asserts what every honest platform holds afterwards."""
    assert scenario.play(tmp_path, count).held
