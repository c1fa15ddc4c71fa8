"""How long `event()` and `record()` keep a control loop at 1 kHz, whatever the recorder does meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from typing import NamedTuple

from recorder.cli.measure_commits import ACTUATOR, WHAT, opened
from recorder.cli.process import RecorderProcess
from recorder.client import Counts, Recorder, Unavailable

PERIOD_S = 0.001
FIELDS = [("position_rad", "<f4", 6, "rad"), ("torque_nm", "<f4", 6, "N.m")]
ROW = ((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), (1.0, 2.0, 3.0, 4.0, 5.0, 6.0))
SETTLE_S = 10.0
STATES = ("running", "killed", "stopped")


class Calls(NamedTuple):
    """One loop.

    Attributes:
        verb: event or record.
        recorder: what the recorder was doing: running, killed, stopped (SIGSTOP).
        took_s: each call, sorted.
        refused: calls that returned False: the client had no room, and declares the loss.
        after: where everything was once the recorder was back.

    """

    verb: str
    recorder: str
    took_s: list[float]
    refused: int
    after: Counts

    def percentile_us(self, percent: float) -> float:
        """Nearest rank."""
        return self.took_s[ceil(percent / 100 * len(self.took_s)) - 1] * 1e6


def measure(recorder: RecorderProcess, seconds: float, tell: Callable[[str], None]) -> list[Calls]:
    """Loop over both verbs with the recorder running, killed and stopped, `seconds` each; it runs before and after."""
    return [
        _one(recorder, verb, state, seconds, tell) for verb in ("event", "record") for state in STATES
    ]  # fmt: skip


def _one(recorder: RecorderProcess, verb: str, state: str, seconds: float, tell: Callable[[str], None]) -> Calls:
    tell(f"{verb}() at 1 kHz, recorder {state}")
    client = Recorder(recorder.path, client_name="bench", ring_ms=ceil(seconds * 1000) + 2000)
    try:
        cycle = opened(client)
        stream = cycle.stream(ACTUATOR, fields=FIELDS, what=WHAT, where={})

        def event() -> bool:
            return client.event("emergency_stop", actuators=[ACTUATOR], what=WHAT, reason="bench")

        def record() -> bool:
            return stream.record(ROW)

        call = event if verb == "event" else record
        _loop(call, min(0.2, seconds))
        if state == "killed":
            recorder.kill()
        elif state == "stopped":
            recorder.pause()
        took_s, refused = _loop(call, seconds)
        if state == "killed":
            recorder.start()
        elif state == "stopped":
            recorder.resume()
        _settle(client)
        return Calls(verb, state, sorted(took_s), refused, client.counts)
    finally:
        with suppress(Unavailable):
            client.close()


def _loop(call: Callable[[], bool], seconds: float) -> tuple[list[float], int]:
    took_s = []
    refused = 0
    due = time.perf_counter()
    end = due + seconds
    while due < end:
        due += PERIOD_S
        if (left := due - time.perf_counter()) > 0:
            time.sleep(left)
        began = time.perf_counter()
        taken = call()
        took_s.append(time.perf_counter() - began)
        refused += not taken
    return took_s, refused


def _settle(client: Recorder) -> None:
    with suppress(Unavailable):
        client.flush(SETTLE_S)
