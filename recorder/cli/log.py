"""`lineage log`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click

from recorder.audit.carried import BundleSource
from recorder.audit.describe import described, line
from recorder.audit.live import Live, read_live
from recorder.audit.source import Held, kind_of
from recorder.audit.state import StateSource, actuator_in
from recorder.cli import output
from recorder.cli.options import json_option, opened, source_options
from recorder.client.errors import Unavailable
from recorder.core.kinds import Kind

RETRY_S = 0.5
FOLLOW_HELP = "Wait for more; the default where a recorder runs, as with tail -f."


@click.command(
    "log",
    epilog="Examples: lineage log --state /var/lib/lineage; lineage log -n 100 --no-follow --json | jq .kind",
)
@source_options
@click.option("-n", "count", type=click.IntRange(min=0), default=10, show_default=True, help="Entries to begin with.")
@click.option("-f/-F", "--follow/--no-follow", "follow", default=None, help=FOLLOW_HELP)
@json_option
def command(
    *, state: Path | None, bundle: Path | None, socket: Path | None, count: int, follow: bool | None, as_json: bool
) -> None:
    """Print the latest entries, and follow a running recorder."""
    with opened(state, bundle, socket) as source:
        names = dict(source.actuators())
        for held in _latest(source, count):
            _print(held, names, as_json=as_json)
        live = source.live if isinstance(source, StateSource) else None
        if follow is False:
            return
        if live is None:
            if follow:
                output.note("no recorder runs on this lineage: there is nothing to follow")
            return
        for held in _following(live, source.size):
            if kind_of(held.raw) == Kind.ACTUATOR:
                names.update(actuator_in(held.raw, held.claims))
            _print(held, names, as_json=as_json)


def _latest(source: StateSource | BundleSource, count: int) -> Iterator[Held]:
    if source.is_whole:
        with closing(source.read(max(0, source.size - count))) as entries:
            yield from entries
        return
    with closing(source.read(0)) as entries:
        listed = list(entries)
    yield from listed[len(listed) - min(count, len(listed)) :]


def _following(live: Live, seq: int) -> Iterator[Held]:
    """Entries from `seq` on, as they come; a recorder that is away is waited for."""
    is_away = False
    while True:
        try:
            for _ in live.heads():
                is_away = False
                for held in read_live(live, seq, None):
                    yield held
                    seq = held.seq + 1
        except Unavailable as error:
            if not is_away:
                output.note(f"{error}; waiting for it")
            is_away = True
            time.sleep(RETRY_S)


def _print(held: Held, names: dict[int, str], *, as_json: bool) -> None:
    if as_json:
        output.json_line(described(held, names))
        return
    printed, at, sort, gist = line(held, names)
    output.line(f"{printed:<18} {at:<25} {sort:<21} {gist}".rstrip())
