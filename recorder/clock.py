"""The recorder's clocks and how far they can be trusted."""

from __future__ import annotations

import ctypes
import struct
import time

_TIMEX_BYTES = 208  # struct timex on 64-bit Linux; modes = 0 only reads
_MAXERROR_AT, _STATUS_AT = 24, 40
_STA_UNSYNC = 0x40
_TIME_ERROR = 5
QUALITY_UNKNOWN, QUALITY_FREE, QUALITY_SYNCHRONISED = 0, 1, 2
REFRESH_NS = 1_000_000_000
STEP_NS = 100_000_000


class SystemClock:
    """UTC and CLOCK_BOOTTIME, with the kernel's own word on synchronisation (adjtimex, at most once a second)."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._quality: tuple[int, int | None] = (QUALITY_UNKNOWN, None)
        self._refreshed_ns: int | None = None

    def read(self) -> tuple[int, int, int, int | None]:
        """UTC ns, CLOCK_BOOTTIME ns, quality 0..3, estimated error in µs or None."""
        mono_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if self._refreshed_ns is None or mono_ns - self._refreshed_ns > REFRESH_NS:
            self._quality = self._adjtimex()
            self._refreshed_ns = mono_ns
        return time.time_ns(), mono_ns, *self._quality

    def _adjtimex(self) -> tuple[int, int | None]:
        timex = ctypes.create_string_buffer(_TIMEX_BYTES)
        state = self._libc.adjtimex(timex)
        if state < 0:  # a container or a seccomp filter that forbids reading too
            return QUALITY_UNKNOWN, None
        (max_error_us,) = struct.unpack_from("<q", timex, _MAXERROR_AT)
        (status,) = struct.unpack_from("<i", timex, _STATUS_AT)
        if state == _TIME_ERROR or status & _STA_UNSYNC:
            return QUALITY_FREE, None
        return QUALITY_SYNCHRONISED, max_error_us


class StepWatch:
    """Notices that UTC was set: it moved against CLOCK_BOOTTIME by more than 100 ms between two readings."""

    def __init__(self) -> None:
        self._offset_ns: int | None = None

    def step(self, utc_ns: int, mono_ns: int) -> tuple[int, int] | None:
        """What UTC would have been and what it is, where it was set since the last call."""
        before, self._offset_ns = self._offset_ns, utc_ns - mono_ns
        if before is None or abs(self._offset_ns - before) <= STEP_NS:
            return None
        return max(0, mono_ns + before), utc_ns
