"""What must hold of the mesh, with real processes on a network that does harm: 2 and 8 platforms, and 32 with --long."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.node.meshes import needs_namespaces
from tests.node.scenarios.all import PLATFORMS, SCENARIOS
from tests.node.scenarios.world import Scenario

pytestmark = [needs_namespaces, pytest.mark.alone, pytest.mark.timeout(300)]

LONG = [pytest.mark.slow, pytest.mark.timeout(1800)]
PLAYED = [
    pytest.param(scenario, count, marks=() if count in scenario.short else LONG, id=f"{scenario.name}-{count}")
    for scenario in SCENARIOS
    for count in PLATFORMS
]


@pytest.mark.parametrize(("scenario", "count"), PLAYED)
def test_scenario(scenario: Scenario, count: int, tmp_path: Path) -> None:
    """Its own docstring says what happens; it asserts what every honest platform holds afterwards."""
    assert scenario.play(tmp_path, count).held
