"""The example firmware, cross-built, on the Cortex-M3 that QEMU has; its UART is a terminal."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Self

import pytest

from tests.bridge.device import C_DIR
from tests.frames import NAME

ROOT = C_DIR.parent.parent
MONOCYPHER = Path(os.environ.get("LINEAGE_MONOCYPHER") or ROOT / "build" / "monocypher")
EXAMPLE = C_DIR / "example"
MACHINE = ["qemu-system-arm", "-machine", "mps2-an385", "-display", "none", "-monitor", "none"]
SEMIHOSTING = ["-semihosting-config", "enable=on,target=native"]

needs_monocypher = pytest.mark.skipif(
    not (MONOCYPHER / "monocypher.c").exists(), reason="Monocypher's source is not here: sh configs/firmware.sh"
)
needs_arm = pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="gcc-arm-none-eabi is not here")
needs_qemu = pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not here")


@cache
def image(source: Path = EXAMPLE / "main.c") -> Path:
    """The program; a warning fails."""
    to = Path(mkdtemp(prefix="lineage-arm-")) / "firmware.elf"
    done = subprocess.run(
        ["sh", EXAMPLE / "build.sh", MONOCYPHER, to, source], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return to


class Emulated:
    """One board with the key of `tests.frames`; `port` leads to its UART, what stands for its flash stays."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = directory / "tty-qemu"
        (directory / "flash.bin").write_bytes(sha256(NAME.encode()).digest() + bytes(4))

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [*MACHINE, *SEMIHOSTING, "-kernel", image(), "-serial", "pty"],
            cwd=self.directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        said = ""
        while (found := re.search(r"redirected to (/dev/pts/\d+)", said)) is None:
            line = self._process.stdout.readline()
            assert line, said
            said += line
        self.port.unlink(missing_ok=True)
        self.port.symlink_to(found[1])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()


def program_output(source: Path, *options: str) -> str:
    """What a program says that runs to its end, by semihosting."""
    done = subprocess.run(
        [*MACHINE, *SEMIHOSTING, *options, "-kernel", image(source)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    return done.stdout + done.stderr
