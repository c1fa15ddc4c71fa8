"""A scripted recorder and a client of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from recorder.client import Recorder, Unavailable
from tests.client.peer import Peer


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """Short enough for AF_UNIX, wherever pytest keeps its own."""
    with TemporaryDirectory(prefix="lin") as directory:
        yield Path(directory) / "recorder.sock"


@pytest.fixture
def peer(socket_path: Path) -> Iterator[Peer]:
    served = Peer(socket_path)
    yield served
    served.stop()


@pytest.fixture
def connect(socket_path: Path) -> Iterator[Callable[..., Recorder]]:
    """Make recorders that are closed at the end, whatever is left in them."""
    made: list[Recorder] = []

    def make(**settings: object) -> Recorder:
        # Not a second, as by default: a test that is descheduled is not a recorder that is away.
        made.append(Recorder(socket_path, **({"timeout_ms": 60_000} | settings)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for recorder in made:
        with contextlib.suppress(Unavailable):
            recorder.close(0)
