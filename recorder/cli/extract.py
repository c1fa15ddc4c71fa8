"""`lineage extract`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from recorder.audit.extract import Extracted, extract
from recorder.cli import output
from recorder.cli.options import json_option, opened, source_options, span_options


@click.command(
    "extract",
    epilog="Example: lineage extract --state /var/lib/lineage --to /media/stick/arm-7.lineage --since 2h",
)
@source_options
@click.option("--to", type=click.Path(path_type=Path), required=True, metavar="FILE.lineage", help="The file to make.")
@span_options
@json_option
def command(
    *,
    state: Path | None,
    bundle: Path | None,
    socket: Path | None,
    to: Path,
    since: str | None,
    until: str | None,
    as_json: bool,
) -> None:
    """Write the whole lineage, or a span of it with what it needs and proofs, to one file that verifies anywhere."""
    with opened(state, bundle, socket) as source, output.Progress("extracting") as progress:
        done = extract(source, to, since, until, utc_ns=time.time_ns(), progress=progress)
    if as_json:
        output.json_text({**done._asdict(), "path": str(done.path), "span": list(done.span)})
        return
    _print(done)


def _print(done: Extracted) -> None:
    asked = done.span.last - done.span.first + 1
    beside = "" if done.whole else f" and {done.entries - asked} that they need, each with its proof"
    covered = "" if done.checkpoint_size is None else f", checkpoint of {done.checkpoint_size:,} entries"
    output.say(f"{done.path}: entries {done.span.first} to {done.span.last}{beside}{covered}; {done.bytes:,} bytes")
    if done.recorded is not None:
        output.say(f"the recorder logged this extraction as entry {done.recorded}")
    for remark in done.remarks:
        output.say(f"note: {remark}")
    output.say(f"next: lineage verify {done.path}")
