"""Signals that come before a mesh process serves: none ends it, and a list that was brought by then is in force."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mesh.fleetlist import make_fleet_list
from mesh.node.founding import found
from tests.mesh.fleet import ROOT, ROOT_KEY, policy
from tests.node.test_server import free_port

# As each step of a start begins, signals come; before the second one a newer list is brought.
_SIGNALLED = """
import os, signal, sys
from pathlib import Path
from mesh.node import run
state = Path(sys.argv[1])
def before(name, act=lambda: None):
    call = getattr(run, name)
    def calling(*arguments):
        found = call(*arguments) if name == "fleet_to_start" else None
        act()
        for number in (signal.SIGUSR1, signal.SIGHUP):
            os.kill(os.getpid(), number)
        return found or call(*arguments)
    setattr(run, name, calling)
before("load")
if sys.argv[2] == "after":
    before("fleet_to_start", lambda: (state / "newer").rename(state / "fleet"))
sys.exit(run.run(state, state / "no-recorder.sock"))
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_signals_before_it_serves(tmp_path: Path, when: str) -> None:
    """By default they would end it; a list that came after the first was read is read as soon as it serves."""
    state = tmp_path / "m"
    found(state, "arm-7.acme", [f"127.0.0.1:{free_port()}"], f"root {ROOT_KEY}\nquorum none\n".encode())
    (state / "mesh.toml").write_text(
        f'[witness]\nlisten = ["127.0.0.1:{free_port()}"]\n[discovery]\nenabled = false\n[digest]\nenabled = false\n'
    )
    for name, version in (("fleet", 1), ("newer", 2)):
        (state / name).write_bytes(make_fleet_list("acme", version, policy(), ROOT_KEY.name, ROOT))
    command = [sys.executable, "-c", _SIGNALLED, str(state), when]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stderr is not None
        until = "fleet list 1 is in force already" if when == "before" else "fleet list 2 is in force"
        said = ""
        while until not in said:
            line = process.stderr.readline()
            assert line, f"{process.wait()}: {said}"
            said += line
        process.terminate()
        process.stderr.read()
        assert process.wait() == 0
