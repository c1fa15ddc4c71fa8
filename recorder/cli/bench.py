"""`lineage bench`."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from recorder.bench.figure import Figure
from recorder.bench.run import SHARES, Plan, measure
from recorder.cli import bench_calls, output
from recorder.cli.options import json_option
from recorder.cli.telling import Telling
from recorder.core.errors import Misuse

SECONDS_MIN = 0.5
COLUMNS = (
    "measure", "figure", "unit", "value", "p99", "p99.9", "max", "floor", "ratio", "at p99", "floor is",
)  # fmt: skip


@click.command("bench", epilog="Example: lineage bench --state /var/lib/bench --only commit --seconds 10 --json")
@click.option("--state", type=click.Path(path_type=Path), metavar="DIR", help="A new directory on the disk to measure.")
@click.option(
    "--only", type=click.Choice(tuple(SHARES)), multiple=True, help="One measure; may be given again. All if left out."
)
@click.option("--seconds", type=click.FloatRange(min=SECONDS_MIN), default=45.0, show_default=True, help="To measure.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Of interleaved measures.")
@click.option("--actuators", type=click.IntRange(1, 64), default=8, show_default=True, help="That record rows.")
@click.option("--segment-mib", type=click.IntRange(4, 1024), default=64, show_default=True)
@click.option(
    "--segments", type=click.IntRange(min=2), default=100, show_default=True,
    help="For a commit in the last of them; 4 MiB each.",
)  # fmt: skip
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    *,
    state: Path | None,
    only: tuple[str, ...],
    seconds: float,
    rounds: int,
    actuators: int,
    segment_mib: int,
    segments: int,
    as_json: bool,
) -> None:
    """Measure what this machine and its disk can do, and say what that comes to.

    Everything is measured with real recorders in processes of their own, in interleaved rounds with what the machine
    does at best: the floor.  What was written is removed.  The defaults take two to three minutes and 1.5 GB of disk.

    Exit status: 1 where something that event() or record() took is neither stored nor declared lost.
    """
    if state is not None and state.exists():
        raise Misuse(f"{state} exists; name a directory to make, on the disk to measure")
    logging.getLogger("recorder.client").setLevel(logging.CRITICAL)  # that the recorder goes away is the measurement
    root = state or Path(tempfile.mkdtemp(prefix="lineage-bench-"))
    plan = Plan(only or tuple(SHARES), seconds, rounds, segment_mib, segments, actuators)
    try:
        root.mkdir(mode=0o750, parents=True, exist_ok=True)
        with Telling() as tell:
            found = measure(root, plan, tell)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    loops = [bench_calls.facts(one, fate) for one, fate in found.calls]
    if as_json:
        output.json_text({
            "machine": _machine(),
            "figures": [one.to_json() for one in found.figures],
            "calls": loops,
            "advice": found.advice.to_json(),
        })  # fmt: skip
    else:
        _print(found.figures, loops, found.advice.lines())
    ctx.exit(bench_calls.exit_status(loops))


def _machine() -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "page_bytes": os.sysconf("SC_PAGE_SIZE"),
    }


def _print(figures: Sequence[Figure], loops: list[dict[str, Any]], advice: Sequence[str]) -> None:
    machine = _machine()
    output.say(
        f"{machine['at']}, {machine['cores']} cores of {machine['machine']}, Linux {machine['kernel']},"
        f" Python {machine['python']}, pages of {machine['page_bytes']} bytes"
    )
    output.say()
    output.table(COLUMNS, [_cells(one) for one in figures])
    if loops:
        output.say()
        bench_calls.show(loops)
    if advice:
        output.say()
        output.say("advice")
        for line in advice:
            output.say(f"  {line}")


def _cells(one: Figure) -> list[str]:
    return [
        one.measure, one.name, one.unit, shown(one.value),
        *(shown(one.percentiles.get(name)) for name in ("p99", "p99.9", "max")),
        shown(one.floor), shown(one.ratio), shown(one.ratio_p99), one.floor_name or "-",
    ]  # fmt: skip


def shown(value: float | None) -> str:
    """A number in three digits and more, or a dash."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
