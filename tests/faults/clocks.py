"""Clocks that jump: a recorder whose clock_gettime(2) adds offsets that a test changes while it runs."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

_SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
static volatile long long *offsets;  /* seconds: of CLOCK_REALTIME, of CLOCK_BOOTTIME */
static int (*real)(clockid_t, struct timespec *);
__attribute__((constructor)) static void begin(void) {
    int fd = open(getenv("CLOCK_OFFSETS"), O_RDONLY);
    if (fd >= 0) offsets = mmap(NULL, 16, PROT_READ, MAP_SHARED, fd, 0);
    real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
}
int clock_gettime(clockid_t id, struct timespec *found) {
    int status = real(id, found);
    if (status == 0 && offsets && offsets != MAP_FAILED) {
        if (id == CLOCK_REALTIME) found->tv_sec += offsets[0];
        if (id == CLOCK_BOOTTIME) found->tv_sec += offsets[1];
    }
    return status;
}
"""


def unavailable() -> str | None:
    """Why it can't be built, or None."""
    return None if shutil.which("gcc") else "no compiler"


class Offsets:
    """What a recorder started with `environment` sees on top of the real clocks."""

    def __init__(self, base: Path) -> None:
        (base / "clocks.c").write_text(_SHIM)
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", base / "clocks.so", base / "clocks.c", "-ldl"], check=True)
        (base / "offsets").write_bytes(bytes(16))
        with (base / "offsets").open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 16)
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": str(base / "clocks.so"),
            "CLOCK_OFFSETS": str(base / "offsets"),
        }

    def jump(self, *, utc_s: int = 0, boottime_s: int = 0) -> None:
        """Set the offsets, in seconds of each clock."""
        self._map[:] = struct.pack("<qq", utc_s, boottime_s)
