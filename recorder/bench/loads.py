"""Ways to drive a recorder as hard as they can: each runs for a slice of time and says what it reached."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

from recorder.bench.acts import ACTUATOR, FIELDS, PATIENCE_MS, ROW, ROW_BYTES, WHAT, WHERE, opened
from recorder.bench.place import FIELDS_CLASS, LONG_MS, MANY, WHOLE_CLASS
from recorder.bench.raw import RawClient
from recorder.client import Receipt, Recorder
from recorder.client.connection import boottime_ns
from recorder.client.session import HEAD_MAX_BYTES, Outgoing, outgoing
from recorder.core.limits import REQUEST_MAX_BYTES
from recorder.core.message_requests import Claims
from recorder.core.messages import Verb

SAMPLES_MIN = 20
IN_FLIGHT = 256
VARIANTS = 64  # requests with different numbers in them
ROWS_IN_FLIGHT = 64  # beyond what a transaction takes, so that none waits for its window
ROWS_HEAD_BYTES = HEAD_MAX_BYTES + 64
ROWS_A_MESSAGE = (REQUEST_MAX_BYTES - ROWS_HEAD_BYTES) // ROW_BYTES
RAW_STREAMS = 4
PYTHON_STREAMS = 4
FLUSH_S = 30.0


class Slice(NamedTuple):
    """What a load did in its time: how many acts became durable, and the seconds of each where it waited for each."""

    acts: int
    took_s: float
    each_s: list[float]

    @property
    def rate(self) -> float:
        """Acts a second."""
        return self.acts / self.took_s


Load = Callable[[Path, float], Slice]  # the recorder's socket, seconds


def single(path: Path, seconds: float) -> Slice:
    """Commits, one in flight, by the Python client."""
    each_s: list[float] = []
    with Recorder(path, client_name="bench", timeout_ms=PATIENCE_MS) as client, opened(client) as cycle:
        began = time.perf_counter()
        end = began + seconds
        while len(each_s) < SAMPLES_MIN or time.perf_counter() < end:
            before = time.perf_counter()
            cycle.commit(ACTUATOR, what=WHAT, where=WHERE)
            each_s.append(time.perf_counter() - before)
        return Slice(len(each_s), time.perf_counter() - began, each_s)


def submitted(path: Path, seconds: float) -> Slice:
    """Commits with field-level claims by the Python client, 256 in flight."""
    flying: deque[Future[Receipt]] = deque()
    count = 0
    with (
        Recorder(path, client_name="bench", timeout_ms=PATIENCE_MS) as client,
        opened(client, LONG_MS, action_class=FIELDS_CLASS, max_commits=MANY) as cycle,
    ):
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            flying.append(cycle.submit(ACTUATOR, what=WHAT, where=WHERE))
            while flying and (len(flying) >= IN_FLIGHT or flying[0].done()):
                flying.popleft().result()
                count += 1
        for future in flying:
            future.result()
        return Slice(count + len(flying), time.perf_counter() - began, [])


def raw_whole(path: Path, seconds: float) -> Slice:
    """Commits with whole-map claims by a bare client, 256 in flight."""
    return _raw_commits(path, WHOLE_CLASS, seconds)


def raw_fields(path: Path, seconds: float) -> Slice:
    """Commits with field-level claims by a bare client, 256 in flight."""
    return _raw_commits(path, FIELDS_CLASS, seconds)


def _raw_commits(path: Path, action_class: str, seconds: float) -> Slice:
    with (
        Recorder(path, client_name="bench", timeout_ms=PATIENCE_MS) as client,
        opened(client, LONG_MS, action_class=action_class, max_commits=MANY) as cycle,
        RawClient(path, "bench") as raw,
    ):
        number, now_ns = cycle.number_of(ACTUATOR), boottime_ns()
        requests = [
            outgoing(Verb.COMMIT, cycle.seq, None, number, _what(at), _where(at), now_ns, None)
            for at in range(VARIANTS)
        ]
        sent = raw.pipeline(requests, IN_FLIGHT, seconds)
        return Slice(sent.answered, sent.took_s, [])


def _what(at: int) -> Claims:
    return {**WHAT, "magnitude": 0.3 + at / 7}


def _where(at: int) -> Claims:
    return {**WHERE, "position_m": [0.41 + at / 11, -0.12, 0.73], "velocity_mps": [0.0, 0.1 + at / 13, 0.0]}


def raw_rows(path: Path, seconds: float) -> Slice:
    """Rows of several streams in messages as large as they may be, by a bare client."""
    with (
        Recorder(path, client_name="bench", timeout_ms=PATIENCE_MS) as client,
        opened(client, LONG_MS, action_class=FIELDS_CLASS, max_commits=MANY) as cycle,
        RawClient(path, "bench") as raw,
    ):
        streams = [
            raw.ask(Verb.DECLARE_STREAM, ACTUATOR, [list(field) for field in FIELDS], WHAT, {"frame": f"base {at}"})
            for at in range(RAW_STREAMS)
        ]
        sent = raw.pipeline([_rows(cycle.seq, stream) for stream in streams], ROWS_IN_FLIGHT, seconds)
        return Slice(sent.answered * ROWS_A_MESSAGE, sent.took_s, [])


def _rows(carrier: int, stream: int) -> Outgoing:
    time_bytes = boottime_ns().to_bytes(8, "little")
    packed = b"".join(time_bytes + os.urandom(ROW_BYTES - 8) for _ in range(ROWS_A_MESSAGE))
    return outgoing(Verb.ROWS, carrier, None, stream, packed)


def recorded_rows(path: Path, seconds: float) -> Slice:
    """Rows by the Python client, one `record` each, from one loop that does nothing else."""
    with (
        Recorder(path, client_name="bench", ring_ms=2000, timeout_ms=PATIENCE_MS) as client,
        opened(client, LONG_MS, action_class=FIELDS_CLASS, max_commits=MANY) as cycle,
    ):
        streams = [
            cycle.stream(ACTUATOR, fields=FIELDS, what=WHAT, where={"frame": f"base {at}"}, max_rate_hz=100_000)
            for at in range(PYTHON_STREAMS)
        ]
        began = time.perf_counter()
        end = began + seconds
        while time.perf_counter() < end:
            for stream in streams:
                for _ in range(16):
                    stream.record(ROW)
        client.flush(FLUSH_S)
        return Slice(client.counts.rows_acknowledged, time.perf_counter() - began, [])


LOADS: dict[str, Load] = {
    "single": single,
    "raw_whole": raw_whole,
    "raw_fields": raw_fields,
    "submitted": submitted,
    "raw_rows": raw_rows,
    "recorded_rows": recorded_rows,
}
