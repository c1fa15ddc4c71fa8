"""Ticks at absolute deadlines."""

from __future__ import annotations

import time

import pytest

from hwsim.pacing import SystemClock, Ticker
from tests.hwsim.port import SimulatedClock


@pytest.mark.parametrize("rate_hz", [50, 333, 1000])
def test_ticks_do_not_drift(rate_hz: int) -> None:
    """After many ticks that each took a while the next is still due at start + n periods, to the nanosecond."""
    clock = SimulatedClock()
    start_ns = clock.now_ns
    ticker = Ticker(clock, rate_hz)
    for tick in range(3 * rate_hz):
        assert ticker.wait() == 1
        assert clock.now_ns == start_ns + tick * 1_000_000_000 // rate_hz
        clock.now_ns += 300_000
    assert ticker.overrun_count == 0


def test_missed_ticks_are_skipped_and_counted() -> None:
    """A stall of ten and a half periods skips ten ticks, says so, and the schedule goes on as before."""
    clock = SimulatedClock()
    start_ns = clock.now_ns
    ticker = Ticker(clock, 100)
    ticker.wait()
    clock.now_ns += 105_000_000
    assert ticker.wait() == 10
    assert (ticker.tick, ticker.overrun_count) == (10, 9)
    assert ticker.latest_ns == 5_000_000
    assert ticker.wait() == 1
    assert clock.now_ns == start_ns + 110_000_000


def test_the_system_clock_sleeps_until_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sleeping ends at or after the deadline, and there is none when it is past."""
    clock = SystemClock()
    deadline_ns = clock.monotonic_ns() + 20_000_000
    clock.sleep_until_ns(deadline_ns)
    assert time.monotonic_ns() >= deadline_ns
    with monkeypatch.context() as patched:
        patched.setattr(time, "sleep", lambda seconds: pytest.fail(f"it sleeps for {seconds} s"))
        clock.sleep_until_ns(deadline_ns)
    assert clock.boottime_ns() >= clock.monotonic_ns() - 1_000_000_000
