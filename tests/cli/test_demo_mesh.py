"""`lineage demo --mesh`: four platforms, each a recorder and a mesh process, and what becomes of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.states import ENV, lineage, one_line
from tests.running import wait_until

pytest.importorskip("aiohttp")
pytestmark = pytest.mark.alone  # a commit wants three signatures within half a second

STATUSES = {
    "verify arm-1": 0,
    "verify arm-2": 3,
    "verify cart-1": 1,
    "mesh forks": 1,
    "mesh peers": 0,
    "order arm-1": 0,
}


def test_the_whole_story(tmp_path: Path) -> None:
    """Each part goes as told, and what it says to type next gives what it says."""
    state = tmp_path / "state"
    done = lineage("demo", "--mesh", "--state", state)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "expected was" not in done.stdout
    assert done.stdout.count("3 of 3 peers cosigned") == 4
    assert done.stdout.count(" ms after it was durable: entry ") == 3
    for part in (
        "peers hold what this recorder signed",
        "which names the old one",
        "FORK of demo/cart-1/",
        ": all agree",
    ):
        assert part in done.stdout
    assert not (state / "drone-1").exists()
    found = {}
    for text in done.stdout.splitlines():
        if not text.startswith("  lineage "):
            continue
        command = text.split("#")[0].split()[1:]
        about = (
            command[1] if command[0] == "mesh" else next(Path(one).parent.name for one in command if "/state" in one)
        )
        ran = lineage(*command)
        found[f"{command[0]} {about}"] = ran.returncode
        assert ran.stderr == "", ran.stderr
    assert found == STATUSES
    assert processes_of(state) == []


def test_an_interrupted_one_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C in the midst of it: its processes end with it, and so does the directory that it made."""
    process = subprocess.Popen(
        [sys.executable, "-m", "recorder.cli", "demo", "--mesh"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**ENV, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    try:
        wait_until(lambda: len(processes_of(tmp_path)) >= 4)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=240)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
    wait_until(lambda: processes_of(tmp_path) == [])


def test_without_the_extra(tmp_path: Path) -> None:
    """One line says what to install, and nothing is made."""
    program = "import sys; sys.modules['aiohttp'] = None; from recorder.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", program, "demo", "--mesh", "--state", str(tmp_path / "state")],
        capture_output=True, text=True, check=False, env=ENV,
    )  # fmt: skip
    assert "lineage-recorder[mesh]" in one_line(done)
    assert not (tmp_path / "state").exists()
    assert "name one" in one_line(lineage("demo", "--mesh", "--bridge"))


def processes_of(directory: Path) -> list[int]:
    """Processes whose command line names something below a directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                if os.fsencode(directory) in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended just now
    return found
