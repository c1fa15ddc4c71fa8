"""Compiles C against the client's header, with warnings as errors, and runs what comes out."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Self

import pytest

import recorder

HEADER_DIR = Path(recorder.__file__).parent / "c"
HERE = Path(__file__).parent
WARNINGS = [
    "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wcast-qual", "-Werror",
]  # fmt: skip
C99 = ["-std=c99", "-Wstrict-prototypes"]
SANITIZERS = {"asan": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"], "tsan": ["-fsanitize=thread"]}

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not here")


def compiled(source: Path, to: Path, *options: str, compiler: str = "gcc") -> Path:
    """Compile one source file to a program; a warning fails."""
    command = [compiler, *WARNINGS, "-g", "-O1", f"-I{HEADER_DIR}", *options, str(source), "-o", str(to), "-pthread"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return to


class Program:
    """A running C program; whatever a sanitizer reports fails the test that ends it."""

    def __init__(self, program: Path, *arguments: object) -> None:
        loud = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0", "TSAN_OPTIONS": "exitcode=66:halt_on_error=0"}
        self._process = subprocess.Popen(
            [program, *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **loud},
        )  # fmt: skip

    def do(self, command: str) -> str:
        """One line of a script; its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self.line()

    def line(self) -> str:
        """The next line that it says."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def wait_for(self, line: str) -> None:
        """Read on until it says this."""
        while (said := self.line()) != line:
            assert said, f"it ended without saying {line!r}"

    def settled(self) -> dict[str, int]:
        """What the client counts once all is delivered; and all of it is."""
        assert self.do("flush - 60000").startswith("flush ok")
        counts = self.counts()
        assert counts["rows_pending"] == counts["events_pending"] == counts["losses_pending"] == 0
        return counts

    def counts(self) -> dict[str, int]:
        """The counts, as of now."""
        name, value = self.do("counts").split()
        found = {name: int(value)}
        while (line := self.line()) != "end":
            name, value = line.split()
            found[name] = int(value)
        return found

    def end(self) -> dict[str, Any]:
        """Wait for its end; what it said last, numbers by name."""
        said, complained = self._process.communicate(timeout=240)
        assert self._process.returncode == 0, f"{self._process.returncode}\n{said[-2000:]}\n{complained[-6000:]}"
        assert "Sanitizer" not in complained, complained
        assert "runtime error" not in complained, complained
        parts = [line.split() for line in said.splitlines()]
        numbers: dict[str, Any] = {part[0]: int(part[1]) for part in parts if len(part) == 2}
        numbers["durable"] = [tuple(map(int, part[1:])) for part in parts if part[0] == "durable"]
        return numbers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
