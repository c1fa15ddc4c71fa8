"""Loads and their floors in interleaved rounds: the machine's mood changes, so each is compared within its round."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from recorder.bench import floors
from recorder.bench.acts import PATIENCE_MS
from recorder.bench.figure import Figure, rates, times
from recorder.bench.floors import Bare, RawFile, Sample
from recorder.bench.loads import LOADS, Slice
from recorder.bench.place import settle
from recorder.bench.process import RecorderProcess
from recorder.client import Recorder
from recorder.store import prepare

WARM_UP_SHARE = 3  # of a slice
FLOOR_SHARE = 3
RAW_BYTES = 4 * 1024 * 1024
LMDB = "bare LMDB commit"
LMDB_ALONE = "LMDB alone, same records"
LONG = "raw_rows"  # once more, for so long that segments are used up faster than they are made
FILLS = 2
UNHURRIED_BYTES_S = prepare.CHUNK_BYTES / prepare.PAUSE_S  # how fast segments are made ahead while there is time


class _Rate(NamedTuple):
    measure: str
    name: str
    unit: str


SINGLE = "single"
_RATES = {
    "raw_whole": _Rate("pipelined", "whole-map claims, bare client", "commits/s"),
    "raw_fields": _Rate("pipelined", "field-level claims, bare client", "commits/s"),
    "submitted": _Rate("pipelined", "field-level claims, Python client", "commits/s"),
    "raw_rows": _Rate("rows-max", "messages of rows, bare client", "rows/s"),
    "recorded_rows": _Rate("rows-max", "record(), Python client", "rows/s"),
}
MEASURES = ("sync", "lmdb", "commit", "pipelined", "rows-max")  # as `--only` names them
_LOADS_OF = {
    "sync": (SINGLE,),  # the bytes that are written are those of a commit
    "lmdb": (SINGLE,),
    "commit": (SINGLE,),
    "pipelined": ("raw_whole", "raw_fields", "submitted"),
    "rows-max": ("raw_rows", "recorded_rows"),
}


class _Round(NamedTuple):
    sync_s: list[float]
    lmdb_s: list[float]
    slices: dict[str, Slice]
    floor_rates: dict[str, float]


def measure(
    recorder: RecorderProcess,
    place: Path,
    segment_bytes: int,
    wanted: Collection[str],
    rounds: int,
    seconds: float,
    tell: Callable[[str], None],
) -> list[Figure]:
    """Run the rounds.

    Args:
        recorder: not running yet; it runs on when this returns.
        place: a directory for what the floors write.
        segment_bytes: size of a segment of either.
        wanted: of MEASURES.
        rounds: how many.
        seconds: for all of them.
        tell: what is going on.

    """
    names = [name for name in LOADS if any(name in _LOADS_OF[one] for one in wanted if one in _LOADS_OF)]
    if not names:
        recorder.start()
        return []
    slice_s = seconds / rounds / (len(names) * (1 + 1 / FLOOR_SHARE) + 1)
    samples = _warmed_up(recorder, names, slice_s / WARM_UP_SHARE, tell)
    recorder.start()
    raw, bare = RawFile(place / "raw", RAW_BYTES), Bare(place / "bare", segment_bytes)
    done = []
    try:
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}: commits and rows")
            done.append(_round(recorder, raw, bare, samples, slice_s))
        figures = _figures(done)
        if LONG in names:
            tell("rows across segments")
            figures.append(_across_segments(recorder, segment_bytes, [one.floor_rates[LONG] for one in done]))
    finally:
        raw.close()
        bare.close()
    return [one for one in figures if one.measure in wanted]


def _warmed_up(
    recorder: RecorderProcess, names: list[str], seconds: float, tell: Callable[[str], None]
) -> dict[str, list[Sample]]:
    """Run each load once, stop the recorder and read back what it stored: the bytes to compare with."""
    tell("warming up, and reading back the bytes to compare with")
    recorder.start()
    spans = {}
    with Recorder(recorder.path, client_name="bench", timeout_ms=PATIENCE_MS) as client:
        for name in names:
            before = client.status()["entries"]
            LOADS[name](recorder.path, seconds)
            spans[name] = (before, client.status()["entries"])
    recorder.stop()
    return {name: floors.stored(recorder.state, *span) for name, span in spans.items()}


def _round(
    recorder: RecorderProcess, raw: RawFile, bare: Bare, samples: dict[str, list[Sample]], slice_s: float
) -> _Round:
    done = _Round([], [], {}, {})
    with Recorder(recorder.path, client_name="bench", timeout_ms=PATIENCE_MS) as client:
        for name, found in samples.items():
            settle(recorder, client)
            if name == SINGLE:
                done.sync_s.extend(floors.latencies(raw, found, slice_s / FLOOR_SHARE))
                done.lmdb_s.extend(floors.latencies(bare, found, slice_s))
            else:
                done.floor_rates[name] = floors.rate(bare, found, slice_s / FLOOR_SHARE)
            done.slices[name] = LOADS[name](recorder.path, slice_s)
    return done


def _across_segments(recorder: RecorderProcess, segment_bytes: int, bursts: Sequence[float]) -> Figure:
    """As fast as it goes for long: a burst ends in the segment that was made ahead.

    Args:
        recorder: that runs.
        segment_bytes: of its segments.
        bursts: what LMDB alone reached in bursts, with all its room made before, rows/s.

    """
    reached = LOADS[LONG](recorder.path, FILLS * segment_bytes / UNHURRIED_BYTES_S).rate
    return rates("rows-max", "messages of rows, across segments", "rows/s", [reached], LMDB_ALONE, [median(bursts)])


def _figures(done: list[_Round]) -> list[Figure]:
    figures = []
    if SINGLE in done[0].slices:
        sync_s, lmdb_s = [one.sync_s for one in done], [one.lmdb_s for one in done]
        each_s = [one.slices[SINGLE].each_s for one in done]
        figures = [
            times("sync", "write and fdatasync", sync_s),
            times("lmdb", LMDB, lmdb_s, "write and fdatasync", sync_s),
            times("commit", "one in flight, Python client", each_s, LMDB, lmdb_s),
        ]
    for name, said in _RATES.items():
        if name in done[0].slices:
            reached = [one.slices[name].rate for one in done]
            floor = [one.floor_rates[name] for one in done]
            figures.append(rates(*said, reached, LMDB_ALONE, floor))
    return figures
