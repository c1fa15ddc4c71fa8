"""Runs of a recorder whose crash states are built and judged."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tests.faults.judge import Outcome, Plan
from tests.faults.traced import Traced
from tests.running import make_state

LONG_PARTS = 12  # of the long form: all states, in as many tests
# All calls but those that fill the next segment with zeros, which are the most by far.
NO_FILLING = r"^(?!pwrite64 of 262144 |fdatasync of .*\.tmp/data\.mdb$)"
# Python that breaks a recorder: it does not sync; it applies an operation, by its name in Op, without storing it.
NO_SYNC = "import lmdb; opened = lmdb.open; lmdb.open = lambda *a, **k: opened(*a, **{**k, 'sync': False})"
FORGETS = """
from recorder.store.tail import Op
from recorder.writer.journal import Journal
move = Journal.move
def moved(self, *operation):
    if operation[0] == Op.{}:
        self.tail.apply(list(operation))
    else:
        move(self, *operation)
Journal.move = moved
"""


class Lives:
    """Runs of one state directory, each under strace."""

    def __init__(self, base: Path, **settings: str) -> None:
        self._base = base
        self.state = make_state(base / "state", checkpoint_s=3600, **settings)
        self._initial = base / "initial"
        self._traces: list[str] = []
        self.begin_here()

    def begin_here(self) -> None:
        """Take what is there now as durable, and forget the runs before."""
        shutil.rmtree(self._initial, ignore_errors=True)
        shutil.copytree(self.state, self._initial)
        self._traces.clear()

    def live(self, story: Callable[[Path], None], end: signal.Signals, *, prelude: str = "") -> None:
        """Run a recorder while `story` uses its socket, then end it."""
        trace = self._base / f"trace{len(self._traces)}"
        place = self._base / "run"
        place.mkdir(exist_ok=True)
        with Traced(self.state, place / "socket", trace, prelude=prelude) as traced:
            assert traced.records, traced.said
            story(place / "socket")
            assert traced.stop(end) == (-end if end == signal.SIGKILL else 0), traced.said
        self._traces.append(str(trace))

    def judged(self, **plan: Any) -> Outcome:
        """Build crash states and open them."""
        made = Plan(
            root=str(self.state),
            initial=str(self._initial),
            traces=self._traces,
            **{"thorough": False, "seed": 1} | plan,
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.judge"],
            input=msgspec.json.encode(made), capture_output=True, check=False, cwd=Path(__file__).parents[2], env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        outcome = msgspec.json.decode(done.stdout, type=Outcome)
        assert outcome.tried > 0, "no state was tried: the test shows nothing"
        return outcome


def said(outcome: Outcome) -> str:
    """For messages."""
    return (
        f"{outcome.tried} of {outcome.possible} crash states at {outcome.moments} moments, {outcome.failed} failed\n"
        + "\n".join(outcome.found)
    )
