"""`lineage bench`."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from math import ceil
from pathlib import Path
from typing import Any

import click

from recorder.cli import measure_calls, measure_commits, measure_starts, output
from recorder.cli.measure_commits import ACTUATOR, Comparison
from recorder.cli.options import json_option
from recorder.cli.process import RecorderProcess, Telling, short_socket
from recorder.core.errors import Misuse
from recorder.daemon.founding import Answers, found

ROUNDS_MIN = 5
CALLS_SHARE = 6  # two verbs, three states of the recorder


@click.command("bench", epilog="Example: lineage bench --state /var/lib/bench --seconds 60 --json")
@click.option("--state", type=click.Path(path_type=Path), metavar="DIR", help="A new directory on the disk to measure.")
@click.option("--seconds", type=click.FloatRange(min=0.5), default=30.0, show_default=True, help="For the loops.")
@click.option("--rounds", type=click.IntRange(min=ROUNDS_MIN), default=ROUNDS_MIN, show_default=True)
@click.option("--segment-mib", type=click.IntRange(4, 1024), default=64, show_default=True)
@click.option("--segments", type=click.IntRange(min=2), default=3, show_default=True, help="Of the long start.")
@json_option
def command(*, state: Path | None, seconds: float, rounds: int, segment_mib: int, segments: int, as_json: bool) -> None:
    """Measure what a durable commit costs on this machine.

    Durable commits, one in flight, against bare LMDB; event() and record() at 1 kHz with the recorder running, killed
    and stopped; memory; start time.  Uses a real recorder in a process of its own and removes what it wrote.
    """
    if state is not None and state.exists():
        raise Misuse(f"{state} exists; name a directory to make, on the disk to measure")
    logging.getLogger("recorder.client").setLevel(logging.CRITICAL)  # that the recorder goes away is the measurement
    root = state or Path(tempfile.mkdtemp(prefix="lineage-bench-"))
    try:
        root.mkdir(mode=0o750, parents=True, exist_ok=True)
        with Telling() as tell, short_socket(root) as socket:
            result = _measure(root, socket, seconds, rounds, segment_mib, segments, tell)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    if as_json:
        output.json_text(result)
    else:
        _print(result)


def _measure(
    root: Path, socket: Path, seconds: float, rounds: int, segment_mib: int, segments: int, tell: Telling
) -> dict[str, Any]:
    answers = Answers("bench", "bench", "hold", [os.getuid()], [ACTUATOR], segment_mib)
    found(root / "state", answers)
    log = root / "recorder.log"
    with RecorderProcess(root / "state", socket, log) as recorder:
        commits = measure_commits.compare(
            recorder, root / "bare", segment_mib * 1024 * 1024, rounds, seconds / 2, tell
        )  # fmt: skip
        before = recorder.memory_kib()
        calls = measure_calls.measure(recorder, seconds / 2 / CALLS_SHARE, tell)
        after = recorder.memory_kib()
        recorder.stop()
    found(root / "starts", answers)
    starts = measure_starts.measure(root / "starts", socket, log, segments, tell)
    return {
        "commit": _commit_facts(commits),
        "calls": [
            {
                "verb": one.verb,
                "recorder": one.recorder,
                "count": len(one.took_s),
                "p50_us": round(one.percentile_us(50), 1),
                "p99_us": round(one.percentile_us(99), 1),
                "p999_us": round(one.percentile_us(99.9), 1),
                "max_us": round(one.percentile_us(100), 1),
                "no_room": one.refused,
                "dropped": one.after.rows_dropped + one.after.events_dropped,
                "pending": one.after.pending,
            }
            for one in calls
        ],
        "memory_kib": {"after_commits": before, "after_restarts": after, "segment": segment_mib * 1024},
        "start": [
            {"segments": one.segments, "entries": one.entries, "median_s": round(one.median_s, 4)} for one in starts
        ],
        "start_ratio": round(starts[-1].median_s / starts[0].median_s, 3),
    }


def _commit_facts(found: Comparison) -> dict[str, Any]:
    return {
        "record_bytes": found.record_bytes,
        "ratio": round(found.ratio, 3),
        "rounds": [
            {
                "ratio": round(one.ratio, 3),
                "bare_p50_us": round(percentile_us(one.bare_s, 50), 1),
                "commit_p50_us": round(percentile_us(one.recorded_s, 50), 1),
                "commit_p99_us": round(percentile_us(one.recorded_s, 99), 1),
                "bare_count": len(one.bare_s),
                "commit_count": len(one.recorded_s),
            }
            for one in found.rounds
        ],
    }


def percentile_us(values_s: list[float], percent: float) -> float:
    """Nearest rank, in µs."""
    return sorted(values_s)[ceil(percent / 100 * len(values_s)) - 1] * 1e6


def _print(result: dict[str, Any]) -> None:
    commit = result["commit"]
    output.say(f"durable commits, one in flight, against bare LMDB commits of the same {commit['record_bytes']} bytes")
    output.table(
        ("round", "bare p50 µs", "commit p50 µs", "commit p99 µs", "ratio"),
        [
            [str(number), *(str(one[key]) for key in ("bare_p50_us", "commit_p50_us", "commit_p99_us", "ratio"))]
            for number, one in enumerate(commit["rounds"], 1)
        ],
    )
    output.say(f"ratio, median of the rounds: {commit['ratio']}")
    output.say()
    output.say("calls that never block, from a loop at 1 kHz")
    output.table(
        ("verb", "recorder", "calls", "p50 µs", "p99 µs", "p99.9 µs", "max µs", "no room", "pending after"),
        [[str(one[key]) for key in one if key != "dropped"] for one in result["calls"]],
    )
    output.say()
    memory = result["memory_kib"]
    for when in ("after_commits", "after_restarts"):
        anon, file = (memory[when][name] / 1024 for name in ("RssAnon", "RssFile"))
        output.say(f"memory {when.replace('_', ' ')}: RssAnon {anon:.1f} MiB, RssFile {file:.1f} MiB")
    output.say()
    for one in result["start"]:
        output.say(f"start with {one['entries']:,} entries in {one['segments']} segments: {one['median_s']:.3f} s")
    output.say(f"ratio of the starts: {result['start_ratio']}")
