"""Clocks that jump, and what the kernel says of them: of a process that is preloaded with what a test changes while it runs."""

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
#include <sys/timex.h>
#include <time.h>
static volatile long long *offsets;  /* seconds: of CLOCK_REALTIME, of CLOCK_BOOTTIME; 1 synchronised, 2 not, 0 as it is */
static int (*real)(clockid_t, struct timespec *);
static int (*real_adjtimex)(struct timex *);
__attribute__((constructor)) static void begin(void) {
    int fd = open(getenv("CLOCK_OFFSETS"), O_RDONLY);
    if (fd >= 0) offsets = mmap(NULL, 24, PROT_READ, MAP_SHARED, fd, 0);
    real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    real_adjtimex = (int (*)(struct timex *))dlsym(RTLD_NEXT, "adjtimex");
}
int adjtimex(struct timex *asked) {
    int status = real_adjtimex(asked);
    if (status < 0 || !offsets || offsets == MAP_FAILED || !offsets[2]) return status;
    asked->status = offsets[2] == 1 ? STA_PLL : STA_UNSYNC;
    return offsets[2] == 1 ? TIME_OK : TIME_ERROR;
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
    """What a process started with `environment` sees on top of the real clocks."""

    def __init__(self, base: Path) -> None:
        (base / "clocks.c").write_text(_SHIM)
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", base / "clocks.so", base / "clocks.c", "-ldl"], check=True)
        (base / "offsets").write_bytes(bytes(24))
        with (base / "offsets").open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 24)
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": str(base / "clocks.so"),
            "CLOCK_OFFSETS": str(base / "offsets"),
        }

    def jump(self, *, utc_s: int = 0, boottime_s: int = 0, is_synchronised: bool | None = None) -> None:
        """Set the offsets, in seconds of each clock, and what the kernel is to say of UTC; None leaves it its own word."""
        said = 0 if is_synchronised is None else 1 if is_synchronised else 2
        self._map[:] = struct.pack("<qqq", utc_s, boottime_s, said)
