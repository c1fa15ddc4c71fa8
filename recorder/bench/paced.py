"""Rows at the rate of a control loop: what of them is kept up with, how late they are durable, what they cost."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from recorder.bench import floors
from recorder.bench.acts import ACTUATOR, FIELDS, PATIENCE_MS, ROW, ROW_BYTES, WHAT, opened
from recorder.bench.figure import Figure, median_spread
from recorder.bench.place import FIELDS_CLASS, LONG_MS, MANY, settle, used_bytes, written_bytes
from recorder.bench.process import ProcessError, RecorderProcess
from recorder.client import Recorder, Stream
from recorder.client.pump import BATCH_MS

RATES_HZ = (1000, 2000, 4000)
WARM_UP_S = 1.0  # after the first rows are durable: streams are declared, and what waited for that is caught up with
LOOK_EVERY_S = 0.002
FLUSH_S = 30.0
HASHING_S = 0.2
MEASURE = "rows"


class Paced(NamedTuple):
    """One rate.

    Attributes:
        rate_hz: of each actuator.
        actuators: how many.
        seconds: measured.
        durable: rows that became durable in that time.
        lags_s: how late: from the time at which the k-th row was recorded until k rows were durable.
        cpu_s: of the recorder.
        anon_bytes: RssAnon of the recorder at the end.
        written_bytes: that the device is given to write, in whole pages.
        used_bytes: room taken in segments.

    """

    rate_hz: int
    actuators: int
    seconds: float
    durable: int
    lags_s: list[float]
    cpu_s: float
    anon_bytes: int
    written_bytes: int
    used_bytes: int

    @property
    def offered(self) -> int:
        """Rows a second."""
        return self.rate_hz * self.actuators

    @property
    def sustained(self) -> float:
        """Rows a second that became durable."""
        return self.durable / self.seconds

    @property
    def cpu_percent(self) -> float:
        """Of one core."""
        return 100 * self.cpu_s / self.seconds


def actuators(count: int) -> list[str]:
    """Their names; the first one is that of all other measures."""
    return [ACTUATOR, *(f"{ACTUATOR}.{at}" for at in range(1, count))]


def run(recorder: RecorderProcess, names: Sequence[str], rate_hz: int, seconds: float) -> Paced:
    """Record one row of each actuator at each tick of one loop, for so long.

    Args:
        recorder: running.
        names: actuators.
        rate_hz: of the loop.
        seconds: to measure; a warm-up comes before.

    Raises:
        ProcessError: nothing becomes durable.

    """
    with (
        Recorder(recorder.path, client_name="bench", timeout_ms=PATIENCE_MS) as client,
        opened(client, LONG_MS, *names, action_class=FIELDS_CLASS, max_commits=MANY) as cycle,
    ):
        settle(recorder, client)
        streams = [cycle.stream(name, fields=FIELDS, what=WHAT, where={}, max_rate_hz=rate_hz) for name in names]
        _loop(client, streams, rate_hz, 0)
        _loop(client, streams, rate_hz, WARM_UP_S)
        used, cpu_s, written = used_bytes(recorder, client), recorder.cpu_s(), written_bytes(recorder, client)
        began, before = time.perf_counter(), client.counts.rows_acknowledged
        lags_s = _loop(client, streams, rate_hz, seconds)
        took_s, durable = time.perf_counter() - began, client.counts.rows_acknowledged - before
        cpu_s, written = recorder.cpu_s() - cpu_s, written_bytes(recorder, client) - written
        anon_bytes = recorder.memory_kib()["RssAnon"] * 1024
        used = used_bytes(recorder, client) - used
        client.flush(FLUSH_S)
        return Paced(rate_hz, len(names), took_s, durable, lags_s, cpu_s, anon_bytes, written, used)


def _loop(client: Recorder, streams: list[Stream], rate_hz: int, seconds: float) -> list[float]:
    """Record for so long, and until something is durable; looks now and then what is, and returns how late it was."""
    marks: deque[tuple[int, float]] = deque()  # rows recorded so far, and when
    lags_s: list[float] = []
    counts = client.counts
    recorded, acknowledged = counts.rows_recorded + counts.rows_dropped, counts.rows_acknowledged + counts.rows_dropped
    due = look = time.perf_counter()
    end = due + seconds
    while due < end or (not lags_s and due < end + FLUSH_S):
        due += 1 / rate_hz
        if (left_s := due - time.perf_counter()) > 0:
            time.sleep(left_s)
        for stream in streams:
            stream.record(ROW)
        recorded += len(streams)
        now = time.perf_counter()
        if now < look:
            continue
        look = now + LOOK_EVERY_S
        marks.append((recorded, now))
        counts = client.counts
        acknowledged = counts.rows_acknowledged + counts.rows_dropped
        while marks and marks[0][0] <= acknowledged:
            lags_s.append(now - marks.popleft()[1])
    if not lags_s:
        raise ProcessError(f"no row became durable within {seconds + FLUSH_S:.0f} s: {counts}")
    return lags_s


def measure(
    recorder: RecorderProcess, names: Sequence[str], window_ms: int, seconds: float, tell: Callable[[str], None]
) -> tuple[list[Figure], list[Paced]]:
    """All rates, one after the other; each with what keeping up, both windows and hashing alone come to."""
    tell("hashing rows alone")
    hash_s = floors.row_hash_s(ROW_BYTES, HASHING_S)
    figures, done = [], []
    for rate_hz in RATES_HZ:
        tell(f"rows of {len(names)} actuators at {rate_hz} Hz")
        found = run(recorder, names, rate_hz, seconds / len(RATES_HZ))
        done.append(found)
        figures += _figures(found, window_ms, hash_s)
    return figures, done


def _figures(found: Paced, window_ms: int, hash_s: float) -> list[Figure]:
    name = f"{found.rate_hz // 1000} kHz x {found.actuators}"
    hash_percent = 100 * hash_s * found.offered
    windows_ms = float(window_ms + BATCH_MS)
    lag = median_spread(MEASURE, f"{name}: lag until durable", "ms", [one * 1e3 for one in found.lags_s])
    return [
        Figure(
            MEASURE, f"{name}: sustained", "rows/s", found.sustained, floor=float(found.offered),
            floor_name="what is recorded", ratio=found.sustained / found.offered,
        ),
        lag._replace(
            floor=windows_ms, floor_name="both windows", ratio=lag.value / windows_ms,
            ratio_p99=lag.percentiles["p99"] / windows_ms,
        ),
        Figure(
            MEASURE, f"{name}: CPU of the recorder", "% of a core", found.cpu_percent, floor=hash_percent,
            floor_name="hashing the rows alone", ratio=found.cpu_percent / hash_percent,
        ),
        Figure(MEASURE, f"{name}: RssAnon", "MiB", found.anon_bytes / 2**20),
    ]  # fmt: skip
