"""`lineage mark`."""

from __future__ import annotations

from pathlib import Path

import click

from recorder.audit.state import SOCKET
from recorder.cli import output
from recorder.cli.options import json_option, socket_option, state_option
from recorder.cli.saying import said_by, say_to
from recorder.core.errors import Misuse
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
    if state is None and socket is None:
        raise Misuse("say which recorder: --state DIR, or --socket PATH")
    said = say_to(socket or (state or Path()) / SOCKET, Kind.MARK, body=said_by({"text": text}))
    if as_json:
        output.json_text({"id": said.id})
        return
    output.say(f"{said.id}: marked")
