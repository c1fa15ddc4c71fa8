"""A state to damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.states import copied, made, ran


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state on which a recorder ran and stopped; not to be changed."""
    return ran(made(tmp_path_factory.mktemp("sound") / "state"))


@pytest.fixture
def state(sound: Path, tmp_path: Path) -> Path:
    """A copy of the sound one."""
    return copied(sound, tmp_path / "state")
