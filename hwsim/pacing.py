"""Absolute-deadline pacing: tick n is due at start + n periods, however late tick n-1 was."""

from __future__ import annotations

import time
from typing import Protocol

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Clock(Protocol):
    """The two clocks that a controller needs, as an argument, so that tests can run without waiting."""

    def monotonic_ns(self) -> int:
        """Return CLOCK_MONOTONIC: it paces, and is the clock that sleeping uses."""

    def boottime_ns(self) -> int:
        """Return CLOCK_BOOTTIME: it judges the bounds of cycles, and goes on through suspend."""

    def sleep_until_ns(self, deadline_ns: int) -> None:
        """Return at CLOCK_MONOTONIC `deadline_ns`, at once when that is past."""


class SystemClock:
    """The machine's clocks."""

    def monotonic_ns(self) -> int:
        """Return CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def boottime_ns(self) -> int:
        """Return CLOCK_BOOTTIME."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def sleep_until_ns(self, deadline_ns: int) -> None:
        """Sleep what is left; the remainder comes from an absolute deadline, so errors don't add up."""
        left_ns = deadline_ns - time.monotonic_ns()
        if left_ns > 0:
            time.sleep(left_ns / NS_PER_S)


class Ticker:
    """Ticks of a control loop.

    A tick that is missed is skipped and counted, not made up for: a burst of stale setpoints is worse for a motor
    than the one that is missing.

    Attributes:
        tick: number of the tick that `wait` returned last; the first is 0.
        overrun_count: ticks skipped so far.
        latest_ns: the greatest lateness of a tick that was not skipped.

    """

    def __init__(self, clock: Clock, rate_hz: int) -> None:
        self._clock = clock
        self._rate_hz = rate_hz
        self._start_ns = clock.monotonic_ns()
        self.tick = -1
        self.overrun_count = 0
        self.latest_ns = 0

    def due_ns(self, tick: int) -> int:
        """Return when a tick is due; from the start and not from a rounded period, so 333 Hz does not drift."""
        return self._start_ns + tick * NS_PER_S // self._rate_hz

    def wait(self) -> int:
        """Sleep until the next tick that is not missed already; return how many ticks have passed (at least 1)."""
        behind_ns = self._clock.monotonic_ns() - self._start_ns
        due = self.tick + 1
        # A tick may start up to one period late before the next one takes its place.
        current = max(due, behind_ns * self._rate_hz // NS_PER_S)
        self.overrun_count += current - due
        passed = current - self.tick
        self.tick = current
        deadline_ns = self.due_ns(current)
        self._clock.sleep_until_ns(deadline_ns)
        self.latest_ns = max(self.latest_ns, self._clock.monotonic_ns() - deadline_ns)
        return passed
