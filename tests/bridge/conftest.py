"""The device's two implementations: whatever holds between it and the host holds with both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bridge.device import Device, needs_gcc
from tests.bridge.simulated import Simulated


@pytest.fixture(scope="module", params=[pytest.param("c", marks=needs_gcc), "simulated"])
def device(request: pytest.FixtureRequest) -> Iterator[Device | Simulated]:
    """One for all tests of a file: `World` boots it anew."""
    found = Device() if request.param == "c" else Simulated()
    yield found
    found.end()
