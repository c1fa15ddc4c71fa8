"""`python -m hwsim`: drive a running recorder with a simulated arm or a replayed flight."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from hwsim.flight import DEFAULT_FLIGHT, UnreadableFlight
from hwsim.replay import load_flight, run_replay
from hwsim.report import ArmReport, DriveReport, ReplayReport
from hwsim.scenario import RATES_HZ, run_arm
from recorder.client import Recorder
from recorder.core.errors import LineageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hwsim.ports import RecorderPort

MISUSE = 2

socket_option = click.option(
    "--socket", "socket_path", type=click.Path(path_type=Path), required=True, help="The recorder's socket."
)


@click.group()
def main() -> None:
    """Drive a recorder with simulated or replayed hardware.

    Example: python -m hwsim arm --socket state/recorder.sock --seconds 10
    """


@main.command()
@socket_option
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option("--rate-hz", type=click.IntRange(*RATES_HZ), default=200, show_default=True)
def arm(socket_path: Path, seconds: float, seed: int, rate_hz: int) -> None:
    """Run a six-joint arm through pick and place, with people who come too near.

    Example: python -m hwsim arm --socket state/recorder.sock --rate-hz 1000
    """
    with connected(socket_path) as recorder:
        report = run_arm(recorder, seconds=seconds, seed=seed, rate_hz=rate_hz, on_progress=show_progress)
    finish(report)


@main.command()
@click.argument("file", type=click.Path(path_type=Path), default=DEFAULT_FLIGHT)
@socket_option
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Only the first seconds of the flight.")
def replay(file: Path, socket_path: Path, speed: float, seconds: float | None) -> None:
    """Replay the actuator traffic of a PX4 log (.ulg), by default of a shipped excerpt.

    Example: python -m hwsim replay flight.ulg --socket state/recorder.sock --speed 2
    """
    try:
        flight = load_flight(file)
    except UnreadableFlight as error:
        fail(str(error))
    if flight.omitted:
        click.echo(f"not replayed: {', '.join(flight.omitted)}", err=True)
    with connected(socket_path) as recorder:
        report = run_replay(recorder, flight, speed=speed, seconds=seconds, on_progress=show_progress)
    finish(report)


@contextmanager
def connected(socket_path: Path) -> Iterator[RecorderPort]:
    """Connect to the recorder, or say in one line why not."""
    try:
        with Recorder(socket_path) as recorder:
            yield recorder
    except LineageError as error:
        fail(f"{socket_path}: {error}")


def show_progress(report: DriveReport) -> None:
    """Overwrite one line on the terminal; a file gets none."""
    if sys.stderr.isatty():
        click.echo(f"\r{report.wall_s:6.1f} s  {report.rows} rows  {report.commits} commits", err=True, nl=False)


def finish(report: DriveReport) -> None:
    """Print what was done; exit 1 where the recorder took nothing of it."""
    if sys.stderr.isatty():
        click.echo(err=True)
    click.echo("\n".join(summary(report)))
    if report.cycles == 0:
        sys.exit(1)


def summary(report: DriveReport) -> list[str]:
    """Return the report in lines of text."""
    counts = f"cycles {report.cycles}, commits {report.commits}, rows {report.rows}, events {report.events}"
    lines = [f"{counts}, gaps {report.gaps} in {report.wall_s:.1f} s"]
    if report.commit_latency_ms:
        middle, high = report.commit_percentile_ms(50), report.commit_percentile_ms(99)
        lines.append(f"commit latency: median {middle:.2f} ms, p99 {high:.2f} ms")
    if isinstance(report, ArmReport):
        lines.append(f"moves {report.moves} ({report.slowed} slowed), put off {report.rejected}, stops {report.stops}")
    if isinstance(report, ReplayReport):
        lines.append(f"flight {report.flight}: {report.flight_s:.1f} s at speed {report.speed:g}")
    lines.append(f"late: {report.overruns} overruns, at most {report.latest_ms:.1f} ms")
    if report.outcomes:
        lines.append("outcomes: " + ", ".join(f"{name} {count}" for name, count in sorted(report.outcomes.items())))
    trouble = {
        "refused": report.refused,
        "unavailable": report.unavailable,
        "expired": report.expired,
        "lagging": report.lagging,
        "dropped rows": report.dropped_rows,
        "rows without a cycle": report.unrecorded_rows,
    }
    lines += [f"{name}: {count}" for name, count in trouble.items() if count]
    return lines + [f"  {reason}" for reason in report.reasons]


def fail(message: str) -> NoReturn:
    """Say what is wrong and exit as for misuse or unreadable input."""
    click.echo(message, err=True)
    sys.exit(MISUSE)


if __name__ == "__main__":
    main()
