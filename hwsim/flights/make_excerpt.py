"""Make a shipped excerpt from a ULog: `python hwsim/flights/make_excerpt.py LOG.ulg OUT.npz --seconds 60`.

An excerpt keeps the actuator topics, attitude, position, modes and dropouts of the first seconds; values and timestamps
are the log's own, bit for bit. It is written by the same code that reads logs for replay.
"""

# ruff: noqa: INP001 - a script beside its output, not part of the package

from __future__ import annotations

from pathlib import Path

import click

from hwsim.flight import load_excerpt, save_excerpt
from hwsim.ulog import read_ulog


@click.command()
@click.argument("log", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=60.0, show_default=True)
def main(log: Path, out: Path, seconds: float) -> None:
    """Write the first seconds of LOG to OUT."""
    save_excerpt(read_ulog(log).first(seconds), out)
    made = load_excerpt(out)
    rows = ", ".join(f"{track.actuator} {len(track.at_us)}" for track in made.tracks)
    click.echo(f"{out}: {out.stat().st_size} bytes, {made.duration_s:.1f} s, {rows}, {len(made.dropouts)} dropouts")


if __name__ == "__main__":
    main()
