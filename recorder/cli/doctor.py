"""`lineage doctor`."""

from __future__ import annotations

from pathlib import Path

import click

from recorder.cli import output
from recorder.cli.checks import examine
from recorder.cli.checks_machine import FAIL, OK, Finding
from recorder.cli.options import json_option, socket_option, state_option
from recorder.core.errors import Misuse
from recorder.store.errors import StoreError

COLOURS = {OK: "pass", FAIL: "fail"}


@click.command("doctor", epilog="Example: lineage doctor --state /var/lib/lineage")
@state_option
@socket_option
@json_option
@click.pass_context
def command(ctx: click.Context, *, state: Path | None, socket: Path | None, as_json: bool) -> None:
    """Check this machine: sync time, clock, permissions, disk, identity.

    Exit status 1 if a check fails; a warning does not change it.
    """
    if state is None:
        raise Misuse("say which state directory: --state DIR")
    if not state.is_dir():
        raise StoreError(f"{state} is no directory; `lineage init --state {state}` makes it")
    findings = examine(state, socket)
    failed = any(finding.verdict == FAIL for finding in findings)
    if as_json:
        output.json_text({"failed": failed, "checks": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            _print(finding)
    ctx.exit(int(failed))


def _print(finding: Finding) -> None:
    shown = click.style(f"{finding.verdict:<4}", fg=output.COLOURS.get(COLOURS.get(finding.verdict, "lossy")))
    output.say(f"{shown}  {finding.name:<16} {finding.fact}")
    if finding.advice:
        output.say(f"      {'':<16} -> {finding.advice}")
