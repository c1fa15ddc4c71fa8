"""What the device is made to write for each byte of claims, with rows that wait 100 ms for company."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from recorder.bench import paced
from recorder.bench.acts import PATIENCE_MS, ROW_BYTES
from recorder.bench.figure import Figure
from recorder.bench.place import settle
from recorder.bench.process import RecorderProcess
from recorder.client import Recorder

WINDOW_MS = 100
RATE_HZ = 1000
MEASURE = "written"


def measure(
    recorder: RecorderProcess, names: Sequence[str], seconds: float, tell: Callable[[str], None]
) -> list[Figure]:
    """One actuator, then all of them, at 1 kHz.

    The zeros with which segments are filled ahead are written at another time, once for each byte of a segment: they
    are added in a figure of their own.

    Args:
        recorder: it is started and stopped; its rows window is WINDOW_MS.
        names: actuators.
        seconds: for both.
        tell: what is going on.

    """
    figures = []
    recorder.start()
    with Recorder(recorder.path, client_name="bench", timeout_ms=PATIENCE_MS) as client:
        settle(recorder, client)
    for chosen in dict.fromkeys((tuple(names[:1]), tuple(names))):
        tell(f"bytes written for rows of {len(chosen)} actuators at {RATE_HZ} Hz, window {WINDOW_MS} ms")
        found = paced.run(recorder, chosen, RATE_HZ, seconds / 2)
        claims = found.durable * ROW_BYTES
        name = f"1 kHz x {len(chosen)}, window {WINDOW_MS} ms"
        for more, written in (("", found.written_bytes), (", zeros too", found.written_bytes + found.used_bytes)):
            ratio = written / claims
            figures.append(
                Figure(MEASURE, name + more, "B/claim byte", ratio, floor=1.0, floor_name="the rows", ratio=ratio)
            )
    recorder.stop()
    return figures
