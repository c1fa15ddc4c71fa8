"""`lineage walk`."""

from __future__ import annotations

from pathlib import Path

import click

from recorder.audit.axis import AXES, Step, walk
from recorder.audit.describe import described, line
from recorder.audit.span import resolve
from recorder.cli import output
from recorder.cli.options import json_option, opened, source_options, span_options


@click.command(
    "walk",
    epilog="Example: lineage walk --state /var/lib/lineage --axis actuator --of arm.joint3 --since 10m",
)
@source_options
@click.option("--axis", type=click.Choice(AXES), default="temporal", show_default=True, help="Which axis to follow.")
@click.option("--of", metavar="NAME", help="An actuator's name, or the first digits of a policy bundle's digest.")
@span_options
@json_option
def command(
    *,
    state: Path | None,
    bundle: Path | None,
    socket: Path | None,
    axis: str,
    of: str | None,
    since: str | None,
    until: str | None,
    as_json: bool,
) -> None:
    """Print the entries along one axis in order; a link that does not lead to the entry before is marked."""
    with opened(state, bundle, socket) as source:
        span = resolve(source, since, until)
        if span is None:
            output.note("no entries in that span")
            return
        names = dict(source.actuators())
        for step in walk(source, axis, of, span):
            _print(step, names, as_json=as_json)


def _print(step: Step, names: dict[int, str], *, as_json: bool) -> None:
    if as_json:
        output.json_line(described(step.held, names) | {"link_broken": step.broken})
        return
    printed, at, sort, gist = line(step.held, names)
    output.line(f"{printed:<18} {at:<25} {sort:<21} {gist}".rstrip())
    if step.broken is not None:
        output.line(f"    BROKEN LINK: {step.broken}; run `lineage verify`")
