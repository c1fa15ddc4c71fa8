"""The example loop, as its reader builds and runs it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.c.building import C99, HEADER_DIR, SANITIZERS, compiled, needs_gcc
from tests.running import Running, make_state, records_of, verified

pytestmark = [needs_gcc, pytest.mark.alone]
LOOP = HEADER_DIR / "examples" / "loop.c"


@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_the_loop_records_every_tick(tmp_path: Path, sanitizer: str) -> None:
    """Eight joints, a second, an emergency stop: all durable, all within their cycles, and it verifies."""
    loop = compiled(LOOP, tmp_path / "loop", *C99, *SANITIZERS[sanitizer])
    state = make_state(tmp_path / "s")
    with Running(state) as recorder:
        done = subprocess.run(
            [loop, recorder.socket, "1", "1000", "arm", "arm.joint1"],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "Sanitizer" not in done.stderr
        assert recorder.stop() == 0
    assert "rows recorded 8000 durable 8000 dropped 0 pending 0, events durable 1" in done.stdout
    assert re.search(r"^push_us p50 \d", done.stdout, re.MULTILINE)
    report = verified(state)
    assert (report.integrity, report.completeness, report.exit_status()) == ("pass", "pass", 0)
    assert report.commits >= 8001
    assert records_of(state)


def test_the_loop_runs_without_a_recorder(tmp_path: Path) -> None:
    """The one to compare with; and a line about arguments that it lacks."""
    loop = compiled(LOOP, tmp_path / "loop", *C99)
    done = subprocess.run([loop, "-", "1", "100", "arm"], capture_output=True, text=True, timeout=300, check=True)
    assert re.search(r"^tick_us p50 \d", done.stdout, re.MULTILINE)
    assert subprocess.run([loop], capture_output=True, check=False).returncode == 2
