"""`lineage mark`."""

from __future__ import annotations

from pathlib import Path

import click

from recorder.cli import output
from recorder.cli.options import json_option, socket_option, state_option
from recorder.cli.saying import said_by, say_to, socket_of
from recorder.core.kinds import Kind


@click.command("mark", epilog="Example: lineage mark --state /var/lib/lineage 'near miss at dock 4'")
@click.argument("text")
@state_option
@socket_option
@json_option
def command(*, text: str, state: Path | None, socket: Path | None, as_json: bool) -> None:
    """Mark an incident: an entry with TEXT, now, to find the place again.

    A mark holds nothing; `lineage hold add --since 10m --reason TEXT` does.
    """
    said = say_to(socket_of(state, socket), Kind.MARK, body=said_by({"text": text}))
    if as_json:
        output.json_text({"id": said.id})
        return
    output.say(f"{said.id}: marked")
