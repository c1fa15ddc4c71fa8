"""States for the CLI's tests: made by `init`, run by `lineage run`, compared byte by byte."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import pytest

from tests.claims import WHAT, WHO, WHY

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")
OTHER_UID = 65534
LINEAGE = (sys.executable, "-m", "recorder.cli")
ROOT = Path(__file__).resolve().parent.parent.parent
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}


def lineage(
    *arguments: str | Path, prefix: tuple[str, ...] = (), timeout_s: float = 300.0
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*prefix, *LINEAGE, *map(str, arguments)], capture_output=True, text=True, check=False, env=ENV, timeout=timeout_s,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


# Everything is imported before the user changes: another one may not be able to read this interpreter's packages.
_AS_ANOTHER = """
import encodings.ascii, encodings.cp437, importlib, os, sys, recorder.cli
for verb in recorder.cli.VERBS.values():
    importlib.import_module(verb.module)
os.setgroups(eval(sys.argv[1])); os.setgid({uid}); os.setuid({uid})
recorder.cli.main(sys.argv[2:])
"""


def as_another(*arguments: str | Path, groups: tuple[int, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run the command as user OTHER_UID, who is in these groups."""
    command = [sys.executable, "-c", _AS_ANOTHER.format(uid=OTHER_UID), repr(groups), *map(str, arguments)]
    # Another user cannot write the tracer's data file, and the tracer says so at length.
    environment = {name: value for name, value in ENV.items() if not name.startswith("COVERAGE_")}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)


def made(state: Path, *more: str, segment_mib: int = 4) -> Path:
    """A state by `init`, with small segments."""
    done = lineage(
        *("init", "--state", state, "--fleet", "acme", "--platform", "arm-7", "--yes", "--on-unavailable", "hold"),
        *("--actuator", "arm", *more),
    )
    assert done.returncode == 0, done.stderr
    path = state / "recorder.toml"
    path.write_text(path.read_text().replace("segment_mib = 64", f"segment_mib = {segment_mib}"))
    return state


class Running:
    """`lineage run` until the block ends."""

    def __init__(self, state: Path, *more: str) -> None:
        self.socket = state / "recorder.sock"
        self.process = subprocess.Popen(
            [*LINEAGE, "run", "--state", str(state), *more], stderr=subprocess.PIPE, text=True, env=ENV
        )
        assert self.process.stderr is not None
        said = ""
        while "recording" not in said:
            line = self.process.stderr.readline()
            assert line, f"ended with {self.process.wait()}: {said}"
            said += line

    def stop(self) -> int:
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(240)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop()
        assert self.process.stderr is not None
        self.process.stderr.close()


def ran(state: Path, commits: int = 3) -> Path:
    """A state on which a recorder ran, took some commits and stopped cleanly."""
    from recorder.client import Recorder

    with Running(state) as running:
        with (
            Recorder(running.socket, timeout_ms=60_000) as client,
            client.open_cycle(who=WHO, why=WHY, actuators=["arm"], action_classes=["motion"], valid_ms=60_000) as cycle,
        ):
            for _ in range(commits):
                cycle.commit("arm", what=WHAT)
        assert running.stop() == 0
    return state


def copied(state: Path, to: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(state, to)
    return to


def tree(path: Path) -> dict[str, tuple[str, int, str]]:
    """Type, mode, owner and content of all that lies below a path.

    Of lock.mdb only that it is there: LMDB writes its own table of readers into it whenever it opens an environment.
    """
    found = {}
    for item in sorted([path, *path.rglob("*")]):
        status = item.lstat()
        content = (
            sha256(item.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) and item.name != "lock.mdb" else ""
        )
        found[str(item.relative_to(path))] = (stat.filemode(status.st_mode), status.st_uid, content)
    return found


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """What a command said that could not do its work: one line on standard error, status 2, no more."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("lineage: ")
    return lines[0].removeprefix("lineage: ")


def parsed(done: subprocess.CompletedProcess[str], status: int = 0) -> Any:
    """The JSON that a command printed."""
    assert done.returncode == status, (done.returncode, done.stderr)
    return json.loads(done.stdout)
