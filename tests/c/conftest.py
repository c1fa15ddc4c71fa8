"""The driver, compiled once for each file of tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.c.building import C99, HERE, SANITIZERS, compiled


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(HERE / "driver.c", tmp_path_factory.mktemp("c") / "driver", *C99, *SANITIZERS["asan"])
