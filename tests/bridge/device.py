"""The device's C part as a peer: compiled once with sanitizers, driven over a pipe, without a clock of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

import firmware_bridge
from tests.c.building import C99, SANITIZERS, WARNINGS
from tests.frames import DEVICE

C_DIR = Path(firmware_bridge.__file__).parent / "c"
HERE = Path(__file__).parent
SOURCE = C_DIR / "lineage_device.c"

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not here")


@cache
def program(ring: int = 8) -> Path:
    """The driver with the device in it; a ring of 8 is full soon."""
    to = Path(mkdtemp(prefix="lineage-device-")) / "device"
    command = ["gcc", *WARNINGS, *C99, "-g", "-O1", *SANITIZERS["asan"], f"-DLINEAGE_RING={ring}", f"-I{C_DIR}"]
    done = subprocess.run(
        [*command, str(HERE / "device.c"), str(SOURCE), "-o", str(to)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return to


class Device:
    """One microcontroller: what it does is in `out`, `granted` and `receipts`; `boot` begins it anew."""

    def __init__(self, ring: int = 8) -> None:
        self._process = subprocess.Popen(
            [program(ring)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
        )  # fmt: skip
        self.signer = DEVICE
        self.boot(1)

    def boot(self, number: int) -> None:
        """A reset: all but the key and the boot number is forgotten."""
        self.out: list[bytes] = []  # whole frames of the line
        self.granted: list[list[int]] = []
        self.receipts: list[list[int]] = []
        self.hashes: list[bytes] = []  # of the commit of each receipt
        self.do(f"init {number} {self.signer.public_key.hex()}")

    def do(self, command: str) -> int:
        """One command; its result."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        while True:
            word, _, rest = self._process.stdout.readline().partition(" ")
            if word == "ok":
                return int(rest)
            if word == "out":
                self.out.append(bytes.fromhex(rest))
            elif word == "sign":
                self._process.stdin.write(self.signer.sign(bytes.fromhex(rest)).hex() + "\n")
                self._process.stdin.flush()
            elif word == "hash":
                self.hashes.append(bytes.fromhex(rest))
            elif word in {"granted", "receipt"}:
                (self.granted if word == "granted" else self.receipts).append([int(part) for part in rest.split()])
            else:
                raise AssertionError(self._process.communicate()[1] or f"it said {word!r}")

    def received(self, line: bytes) -> int:
        """Bytes from the line; how many pieces were noise so far."""
        return self.do(f"in {line.hex()}") if line else 0

    def poll(self, now_us: int) -> list[bytes]:
        """What it sends now."""
        self.do(f"poll {now_us}")
        out, self.out = self.out, []
        return out

    def end(self) -> None:
        """It goes; a sanitizer's report fails."""
        _, complained = self._process.communicate(timeout=240)
        assert (self._process.returncode, complained) == (0, "")
