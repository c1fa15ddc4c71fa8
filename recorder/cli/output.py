"""What verbs print: plain text, tables, JSON, progress.  rich is optional; without it tables are plain."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from shlex import quote
from types import TracebackType
from typing import Any, Self

import click

PROGRESS_AFTER_S = 1.0
PROGRESS_EVERY_S = 0.1
COLOURS = {"pass": "green", "fail": "red", "lossy": "yellow", "indeterminate": "yellow", "nothing": None}


def say(text: str = "") -> None:
    """One line on standard output."""
    click.echo(text)


def printable(text: str) -> str:
    """Text of others on one line: what would move the cursor or begin a line is spelled out."""
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def line(text: str) -> None:
    """One line on standard output with words of others in it, such as claims and reasons."""
    click.echo(printable(text))


def note(text: str) -> None:
    """One line on standard error; its words may be others'."""
    click.echo(f"lineage: {printable(text)}", err=True)


def json_line(value: Any) -> None:  # noqa: ANN401 -- any JSON value
    """One JSON value on one line."""
    click.echo(json.dumps(value, ensure_ascii=False))


def json_text(value: Any) -> None:  # noqa: ANN401 -- any JSON value
    """One JSON value, for people too."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def as_called() -> str:
    """How this machine finds the command: by its name where it is on PATH, else as it was called now."""
    called = Path(sys.argv[0])
    if called.name != "lineage" or shutil.which("lineage"):
        return "lineage"
    return quote(os.path.relpath(called))


def coloured(verdict: str) -> str:
    """A verdict with its colour; click leaves colours out where nobody sees them."""
    return click.style(verdict, fg=COLOURS.get(verdict), bold=verdict == "fail")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, cells with others' words too: with rich where it is installed and someone looks, else aligned."""
    listed = [[printable(str(cell)) for cell in row] for row in rows]
    if sys.stdout.isatty() and _rich_table(columns, listed):
        return
    widths = [max(len(row[at]) for row in [list(columns), *listed]) for at in range(len(columns))]
    for row in [list(columns), *listed]:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _rich_table(columns: Sequence[str], rows: list[list[str]]) -> bool:
    try:
        from rich.console import Console  # noqa: PLC0415 -- an extra, and 40 ms
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415
    except ImportError:
        return False
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column)
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))
    Console().print(shown)
    return True


class Progress:
    """`done of total` on a terminal's standard error, once it has taken a second; a callable for the work to call."""

    def __init__(self, what: str, unit: str = "entries") -> None:
        """Show how far `what` is, counted in `unit`."""
        self._what = what
        self._unit = unit
        self._began = time.monotonic()
        self._shown = 0.0
        self._is_seen = sys.stderr.isatty()
        self._width = 0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        took_s = now - self._began
        if not self._is_seen or took_s < PROGRESS_AFTER_S or now - self._shown < PROGRESS_EVERY_S:
            return
        self._shown = now
        share = f" ({100 * done // total} %)" if total else ""
        text = f"{self._what}: {done:,} of {total:,} {self._unit}{share}, {done / took_s:,.0f}/s"
        sys.stderr.write(f"\r{text.ljust(self._width)}")
        sys.stderr.flush()
        self._width = len(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self._width:
            sys.stderr.write(f"\r{' ' * self._width}\r")
            sys.stderr.flush()
