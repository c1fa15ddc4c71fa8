"""A mounted `slowfs`, for as long as a test needs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Self

from tests.faults.device import Device

PYTHON = "/usr/bin/python3"  # Debian's: python3-pyfuse3 is built for it


def unavailable() -> str | None:
    """Why nothing can be mounted here, or None."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "no /dev/fuse that may be opened"
    if shutil.which("fusermount3") is None:
        return "no fusermount3 (Debian: fuse3)"
    found = subprocess.run([PYTHON, "-c", "import pyfuse3, trio"], capture_output=True, check=False)
    return "no pyfuse3 for Debian's Python (python3-pyfuse3)" if found.returncode else None


class Mounted:
    """The file system at `path`; what it holds lies below `backing`."""

    def __init__(self, base: Path) -> None:
        self.backing, self.path = base / "backing", base / "mount"
        self.pauses: list[tuple[int, int]] = []  # as of the last `become`: CLOCK_BOOTTIME ns, first and last
        self.backing.mkdir()
        self.path.mkdir()
        self._process = subprocess.Popen(
            [PYTHON, "-m", "tests.faults.slowfs", str(self.backing), str(self.path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
            env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert self._answered() == "mounted"

    def become(self, device: Device) -> int:
        """Behave like this from now on; returns the syncs so far."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(device)) + "\n")
        self._process.stdin.flush()
        syncs, pauses = json.loads(self._answered())
        self.pauses = [(began_ns, ended_ns) for began_ns, ended_ns in pauses]
        return int(syncs)

    def _answered(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, f"slowfs ended with {self._process.poll()}"
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:  # something is open below it
            self._process.kill()
            self._process.wait()
        subprocess.run(["fusermount3", "-u", "-z", "-q", str(self.path)], check=False)
