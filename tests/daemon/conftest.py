"""A recorder to talk to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import Running, make_state


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A recorder of its own for each test."""
    with Running(make_state(tmp_path / "s")) as started:
        yield started
