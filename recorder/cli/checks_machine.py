"""What `doctor` looks at of the machine: pages, file system, sync time, clock, power."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import NamedTuple

from recorder.cli.status import CLOCK
from recorder.clock import QUALITY_FREE, QUALITY_UNKNOWN, SystemClock
from recorder.store.layout import advice

OK, WARN, FAIL = "ok", "warn", "fail"
SYNCS = 50
SYNC_BYTES = 4096
SYNC_MIN_MS = 0.02
P99_WARN_MS = 100.0
MEDIAN_WARN_MS = 20.0
VOLATILE = {"tmpfs", "ramfs", "overlay"}
UNSURE = {"vfat", "exfat", "ntfs", "ntfs3", "fuseblk", "nfs", "nfs4", "cifs", "9p", "fuse"}
WITHOUT_BARRIERS = {"nobarrier", "barrier=0"}
UNDER_NOW, UNDER_BEFORE = 0x1, 0x10000  # bits of `vcgencmd get_throttled`
MADE_NS = 1_767_225_600_000_000_000  # 2026-01-01: no clock that is right stands before it
SUPPLY = "a stronger supply or a thicker cable"


class Finding(NamedTuple):
    """One line of the report."""

    name: str
    verdict: str
    fact: str
    advice: str = ""


def page_size(size_bytes: int) -> Finding:
    """LMDB writes whole pages."""
    fact = f"{size_bytes} bytes"
    if size_bytes <= 4096:
        return Finding("page size", OK, fact)
    return Finding("page size", OK, f"{fact}: a commit writes {size_bytes // 4096} times the bytes of 4096-byte pages")


def file_system(state: Path, mountinfo: str) -> Finding:
    """Its type and mount options (proc_pid_mountinfo(5)); the longest mount point that leads to the state."""
    place = state.resolve()
    best: tuple[int, str, str] = (-1, "unknown", "")
    for line in mountinfo.split("\n"):
        left, separator, right = line.partition(" - ")
        fields, more = left.split(" "), right.split(" ")
        if not separator or len(fields) < 6 or len(more) < 3:
            continue
        point = Path(fields[4].replace("\\040", " "))
        if place.is_relative_to(point) and len(point.parts) >= best[0]:
            given = dict.fromkeys([*fields[5].split(","), *more[2].split(",")])
            best = (len(point.parts), more[0], ",".join(given))
    kind, options = best[1], best[2].split(",")
    fact = f"{kind} ({best[2]})"
    if WITHOUT_BARRIERS.intersection(options):
        return Finding("file system", FAIL, fact, "mount it with barriers: a power cut loses what was acknowledged")
    if "ro" in options:
        return Finding("file system", FAIL, fact, "mount it for writing, or put the state on a data partition")
    if kind in VOLATILE:
        return Finding("file system", WARN, fact, "it forgets at power off: put the state on a disk")
    if kind in UNSURE:
        return Finding("file system", WARN, fact, "no promise of durable syncs: ext4 or f2fs on a local disk")
    return Finding("file system", OK, fact)


def sync_time(state: Path, count: int = SYNCS) -> Finding:
    """What a durable write costs here, in a file that is removed again."""
    try:
        took_ms = measure_syncs(state, count)
    except OSError as error:
        return Finding("sync", FAIL, f"cannot write to {state}: {error.strerror}", advice(error, "it"))
    median, high = took_ms[len(took_ms) // 2], took_ms[ceil(0.99 * len(took_ms)) - 1]
    fact = f"fdatasync {median:.2f} ms median, {high:.2f} ms p99, {took_ms[-1]:.2f} ms max; a commit takes two"
    if median < SYNC_MIN_MS:
        return Finding("sync", WARN, fact, "too fast to be true: a file system or a virtual disk that ignores syncs?")
    if median > MEDIAN_WARN_MS or high > P99_WARN_MS:
        return Finding("sync", WARN, fact, "give deadlines that fit, use record() in fast loops, or a better disk")
    return Finding("sync", OK, fact)


def measure_syncs(directory: Path, count: int) -> list[float]:
    """Milliseconds of each of `count` overwrites with fdatasync, sorted."""
    took_ms = []
    with tempfile.TemporaryFile(dir=directory) as file:
        descriptor = file.fileno()
        page = os.urandom(SYNC_BYTES)
        os.pwrite(descriptor, bytes(SYNC_BYTES * count), 0)
        os.fsync(descriptor)
        for at in range(count):
            os.pwrite(descriptor, page, at * SYNC_BYTES)
            began = time.perf_counter()
            os.fdatasync(descriptor)
            took_ms.append((time.perf_counter() - began) * 1000)
    return sorted(took_ms)


def clock() -> Finding:
    """What entries will say of the time."""
    utc_ns, _, quality, error_us = SystemClock().read()
    fact = CLOCK[quality] + ("" if error_us is None else f", within {error_us} µs")
    if utc_ns < MADE_NS:
        return Finding("clock", FAIL, f"{fact}; it stands before this program was made", "set it: NTP, GNSS or an RTC")
    if quality in (QUALITY_UNKNOWN, QUALITY_FREE):
        return Finding("clock", WARN, fact, "start chrony or systemd-timesyncd; until then entries say so")
    return Finding("clock", OK, fact)


def voltage(hwmon: Path, ask: Callable[[], str | None]) -> Finding:
    """Undervoltage, where the board tells: the firmware's own word, else the kernel's."""
    said = ask()
    if said is not None:
        flags = int(said.rpartition("=")[2], 0)
        if flags & UNDER_NOW:
            return Finding("power", FAIL, f"undervoltage now ({said})", SUPPLY)
        if flags & UNDER_BEFORE:
            return Finding("power", WARN, f"undervoltage since boot ({said})", SUPPLY)
        return Finding("power", OK, f"no undervoltage ({said})")
    for device in sorted(hwmon.glob("hwmon*")):
        try:
            if (device / "name").read_text("ascii").strip() != "rpi_volt":
                continue
            alarm = (device / "in0_lcrit_alarm").read_text("ascii").strip()
        except (OSError, ValueError):
            continue
        if alarm == "1":
            return Finding("power", FAIL, f"undervoltage ({device})", SUPPLY)
        return Finding("power", OK, f"no undervoltage ({device})")
    return Finding("power", OK, "this board does not tell")


def vcgencmd() -> str | None:
    """The firmware's word on throttling, where it can be asked."""
    found = shutil.which("vcgencmd")
    if found is None:
        return None
    try:
        done = subprocess.run([found, "get_throttled"], capture_output=True, text=True, timeout=5, check=False)  # noqa: S603 -- found on the PATH
        said = done.stdout.strip()
        int(said.rpartition("=")[2], 0)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return said
