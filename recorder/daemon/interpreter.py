"""Ourselves in another process: the same interpreter and the same package, and nothing of the working directory."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # prctl(2)
_PACKAGES = str(Path(__file__).resolve().parent.parent.parent)  # where `recorder` lies


def command(program: str, *arguments: Path | str) -> list[str]:
    """The command line that runs a program of ours.  -P: what lies in the working directory is not imported."""
    return [sys.executable, "-P", "-c", program, *map(str, arguments)]


def environment() -> dict[str, str]:
    """Ours, with this very package first in the search path, and nothing there that depends on where one stands."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([_PACKAGES, *filter(os.path.isabs, given)])}


def end_with(parent: int) -> bool:
    """Have the kernel kill this process when the one that started it ends; returns whether that one still lives."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return os.getppid() == parent
