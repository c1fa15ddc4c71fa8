"""Ending `demo` and `bench` from outside: neither their recorder nor their temporary files stay."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.processes import children, has_ended
from tests.cli.states import ENV, LINEAGE
from tests.running import wait_until

pytest.importorskip("numpy")

VERBS = [("demo", "--seconds", "60"), ("bench", "--seconds", "60", "--segment-mib", "4")]


class Started:
    """A verb whose recorder is up, with a directory of its own for temporary files."""

    def __init__(self, verb: tuple[str, ...], temporary: Path) -> None:
        self.temporary = temporary
        temporary.mkdir()
        self.process = subprocess.Popen(
            [*LINEAGE, *verb], env={**ENV, "TMPDIR": str(temporary)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def wait(self) -> None:
        """Until the recorder is up; a long directory's socket lies in another."""
        wait_until(self._is_up)

    def _is_up(self) -> bool:
        for pid, line in children(self.process.pid).items():
            if "--socket " in line and Path(line.split("--socket ")[1].split()[0]).exists():
                self.recorder = pid
                return True
        return False


@pytest.fixture(params=VERBS, ids=["demo", "bench"])
def started(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Started]:
    """Each of the two."""
    verb = Started(request.param, tmp_path / "t")
    try:
        verb.wait()
        yield verb
    finally:
        verb.process.kill()
        verb.process.wait()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_asked_to_end(started: Started, number: signal.Signals, status: int) -> None:
    """SIGTERM is taken as Ctrl-C is: the recorder ends, and what was temporary goes."""
    started.process.send_signal(number)
    assert started.process.wait(240) == status
    assert has_ended(started.recorder), "it was waited for"
    assert list(started.temporary.iterdir()) == []


def test_killed(started: Started) -> None:
    """SIGKILL leaves files, but no recorder."""
    started.process.kill()
    started.process.wait()
    wait_until(lambda: has_ended(started.recorder))
