"""A real recorder in a real process, for tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from recorder.core import cbor
from recorder.core.entry import split
from recorder.core.verdict import Report
from recorder.core.verify import verify_lineage
from recorder.daemon import identity
from recorder.store.layout import lineage_dir, read_current
from recorder.store.segment import Segment
from recorder.store.view import View

ACTUATORS = ["arm", "arm.joint1", "arm.joint2"]
CONFIG = """
[platform]
fleet = "acme"
name = "arm-7"
[store]
segment_mib = 4
[recorder]
checkpoint_s = {checkpoint_s}
rows_window_ms = {rows_window_ms}
epoch_hours = {epoch_hours}
[class.motion]
gated = true
on_unavailable = "hold"
max_commits = 100000
{motion}
[class.fast]
gated = true
on_unavailable = "continue_ungated"
claims = "whole"
[class.emergency_stop]
gated = false
on_unavailable = "continue_ungated"
[[controller]]
uids = [{uid}]
actuators = ["arm", "arm.joint1", "arm.joint2"]
append = {append}
read = true
{more}
"""
_RUN = """
import sys
from pathlib import Path
from recorder.daemon import reads
from recorder.daemon.run import run
reads.SILENT_MAX_S = float(sys.argv[3])
sys.exit(run(Path(sys.argv[1]), Path(sys.argv[2])))
"""
PATIENT_S = 120.0  # for the process that reads sealed segments: it steps back, so on a busy machine it is slow to start


def make_state(state: Path, **settings: Any) -> Path:
    """Write a configuration and an identity key; `motion` goes into that class, `more` is TOML of other tables."""
    state.mkdir(mode=0o750, exist_ok=True)
    chosen = {
        "checkpoint_s": 60,
        "rows_window_ms": 20,
        "epoch_hours": 24,
        "uid": os.getuid(),
        "motion": "",
        "append": '["mark", "observation", "control_transition"]',
        "more": "",
    } | settings
    (state / "recorder.toml").write_text(CONFIG.format(**chosen))
    identity.make(state)
    return state


class Running:
    """One recorder process."""

    def __init__(
        self,
        state: Path,
        *,
        env: dict[str, str] | None = None,
        under: Sequence[str] = (),
        silent_max_s: float = PATIENT_S,
    ) -> None:
        self.state = state
        self._silent_max_s = silent_max_s
        self.under = list(under)
        self.socket = state / "recorder.sock"
        self._env = {**os.environ, **(env or {})}
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*self.under, sys.executable, "-c", _RUN, str(self.state), str(self.socket), str(self._silent_max_s)],
            stderr=subprocess.PIPE,
            text=True,
            env=self._env,
        )
        assert process.stderr is not None
        self.said = ""
        while "recording" not in self.said:
            line = process.stderr.readline()
            if not line:
                process.stderr.close()
                raise AssertionError(f"the recorder ended with {process.wait()}: {self.said}")
            self.said += line
        return process

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait()
        self._hang_up()

    def _hang_up(self) -> None:
        if self.process.stderr is not None:
            self.process.stderr.close()

    def restart(self) -> None:
        """Start again on the same state."""
        self.process = self._start()

    def stop(self) -> int:
        """SIGTERM and wait."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(240)
        assert self.process.stderr is not None
        self.said += self.process.stderr.read()
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._hang_up()


def lineage_of(state: Path) -> Path:
    """Directory of the incarnation in force."""
    current = read_current(state)
    assert current is not None
    return lineage_dir(state, current)


def origin_of(lineage: Path) -> str:
    """Origin of a stopped recorder's lineage."""
    segment = Segment(lineage / "segments" / "00000001", 0, live=False)
    try:
        found = segment.head()
        assert found is not None
        return str(found[1][0])
    finally:
        segment.close()


def records_of(state: Path) -> list[tuple[bytes, bytes | None]]:
    """Entries and claims of a stopped recorder."""
    view = View(lineage_of(state), with_live=True)
    return [(raw, claims or None) for _, raw, claims in view.read()]


def verified(state: Path) -> Report:
    """Verify a stopped recorder's lineage with the head that it remembers."""
    lineage = lineage_of(state)
    notes = [(lineage / "head").read_bytes()] if (lineage / "head").exists() else []
    return verify_lineage(origin_of(lineage), records_of(state), checkpoints=notes)


def kinds_of(state: Path) -> list[int]:
    """Kinds of all entries, in order."""
    return [cbor.decode(split(raw)[1])[2] for raw, _ in records_of(state)]


def let_others_reach(path: Path) -> None:
    """Let other users through the directories above a path: pytest makes them for its own user alone."""
    for above in path.parents:
        mode = above.stat().st_mode
        if mode & 0o005 != 0o005:
            above.chmod(mode | 0o055)


def wait_until(condition: Any, timeout_s: float = 240.0, every_s: float = 0.01) -> None:
    """Poll until something holds; the bound is for what never comes, not for what comes late."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(every_s)
