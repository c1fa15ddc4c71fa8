"""`lineage export`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from recorder.cli import output
from recorder.cli.options import json_option, opened, socket_option, span_options, state_option
from recorder.cli.trustfile import read_trust
from recorder.core.errors import Misuse

FAILED = 1
_FILE = click.Path(path_type=Path)


@click.command(
    "export",
    epilog="Examples: lineage export --state /var/lib/lineage --to arm-7.mcap --since 10m; "
    "lineage export arm-7.lineage --to arm-7.mcap",
)
@click.argument("bundle", type=_FILE, metavar="[FILE.lineage]", required=False)
@state_option
@socket_option
@click.option("--format", "form", type=click.Choice(["mcap"]), default="mcap", show_default=True, help="Of the file.")
@click.option("--to", type=_FILE, required=True, metavar="FILE.mcap", help="The file to make.")
@span_options
@click.option("--trust", type=_FILE, metavar="FILE", help="What you trust, as for `lineage verify`.")
@click.option(
    "--despite-failure", is_flag=True, help="Export what fails verification too; the file says that it failed."
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    *,
    bundle: Path | None,
    state: Path | None,
    socket: Path | None,
    form: str,  # noqa: ARG001 -- there is one so far
    to: Path,
    since: str | None,
    until: str | None,
    trust: Path | None,
    despite_failure: bool,
    as_json: bool,
) -> None:
    """Write a lineage for the viewers of robotics: MCAP, for Foxglove and PlotJuggler, with the bundle attached.

    It is verified first, and refused where that fails. Exit status: 0 written, 1 verification failed, 2 it cannot be
    read or written.
    """
    if bundle is not None and ctx.get_parameter_source("state") is click.core.ParameterSource.COMMANDLINE:
        raise Misuse("name either a state directory (--state DIR) or a bundle (FILE.lineage), not both")
    try:
        from recorder.export.export import Exported, UnsoundError, export_mcap, verdicts  # noqa: PLC0415 -- an extra
    except ModuleNotFoundError as error:
        if error.name != "mcap":
            raise
        raise Misuse(
            "lineage export needs the package mcap, which is not installed: pip install 'lineage-recorder[export]'"
        ) from None
    trusted = None if trust is None else read_trust(trust)
    with opened(state, bundle, socket) as source:
        try:
            done: Exported = export_mcap(
                source, to, since, until, utc_ns=time.time_ns(), phase=output.Progress, given=bundle, trust=trusted,
                despite_failure=despite_failure,
            )  # fmt: skip
        except UnsoundError as error:
            output.note(str(error))
            ctx.exit(FAILED)
    if as_json:
        output.json_text({**done._asdict(), "path": str(done.path), "report": done.report.to_json()})
    else:
        output.say(f"{done.path}: {done.entries:,} entries as {done.messages:,} messages; {done.bytes:,} bytes")
        output.say(f"attached: {done.attachment}, from which all of it was read")
        output.say(f"verified: {verdicts(done.report)}")
        for remark in done.remarks:
            output.say(f"note: {remark}")
        if done.report.exit_status() == FAILED:
            output.note("VERIFICATION FAILED: this file shows what was recorded, and proves nothing")
    ctx.exit(FAILED if done.report.exit_status() == FAILED else 0)
