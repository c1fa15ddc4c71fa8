"""`lineage extract`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from recorder.audit.extract import Extracted, extract
from recorder.audit.target import VOLUME_BYTES
from recorder.cli import output
from recorder.cli.options import json_option, opened, source_options, span_options

MIB = 1 << 20


@click.command(
    "extract",
    epilog="Example: lineage extract --state /var/lib/lineage --to /media/stick/arm-7.lineage --since 2h",
)
@source_options
@click.option("--to", type=click.Path(path_type=Path), required=True, metavar="FILE.lineage", help="The file to make.")
@span_options
@click.option(
    "--volume-mib",
    type=click.IntRange(min=1),
    default=VOLUME_BYTES // MIB,
    show_default=True,
    metavar="N",
    help="No file larger than this: what does not fit goes to FILE.001.lineage, FILE.002.lineage and so on.",
)
@json_option
def command(
    *,
    state: Path | None,
    bundle: Path | None,
    socket: Path | None,
    to: Path,
    since: str | None,
    until: str | None,
    volume_mib: int,
    as_json: bool,
) -> None:
    """Write the whole lineage, or a span of it with what it needs and proofs, to a file that verifies anywhere.

    A large one becomes several files, FILE.lineage being the last; keep them together under their names.
    """
    with opened(state, bundle, socket) as source, output.Progress("extracting") as progress:
        done = extract(
            source, to, since, until, utc_ns=time.time_ns(), progress=progress, volume_bytes=volume_mib * MIB
        )  # fmt: skip
    if as_json:
        volumes = [str(path) for path in done.volumes]
        output.json_text({**done._asdict(), "path": str(done.path), "volumes": volumes, "span": list(done.span)})
        return
    _print(done)


def _print(done: Extracted) -> None:
    asked = done.span.last - done.span.first + 1
    beside = "" if done.whole else f" and {done.entries - asked} that they need, each with its proof"
    covered = "" if done.checkpoint_size is None else f", checkpoint of {done.checkpoint_size:,} entries"
    output.say(f"{done.path}: entries {done.span.first} to {done.span.last}{beside}{covered}; {done.bytes:,} bytes")
    if len(done.volumes) > 1:
        output.say(f"in {len(done.volumes)} volumes, to be kept together: {', '.join(map(str, done.volumes))}")
    if done.recorded is not None:
        output.say(f"the recorder logged this extraction as entry {done.recorded}")
    for remark in done.remarks:
        output.say(f"note: {remark}")
    output.say(f"next: lineage verify {done.path}")
