"""`lineage hold`: claims that must not be deleted, whatever their age and however little room there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from recorder.audit.describe import values_of
from recorder.audit.source import Held, entry_at, entry_named
from recorder.audit.span import resolve, time_text
from recorder.audit.state import SOCKET, StateSource
from recorder.cli import output
from recorder.cli.options import json_option, opened, socket_option, span_options, state_option
from recorder.cli.saying import said_by, say_to
from recorder.core.controls import Hold
from recorder.core.entry import decode
from recorder.core.errors import Misuse
from recorder.core.ids import entry_id
from recorder.core.kinds import Kind, RefType


@click.group(
    "hold", epilog="Example: lineage hold add --state /var/lib/lineage --since 2h --reason 'collision at dock 4'"
)
def command() -> None:
    """Exempt entries from deletion until the hold is released."""


reason_option = click.option("--reason", required=True, metavar="TEXT", help="Why; stored with the entry.")


@command.command("add", epilog="Without --until it covers all that follows too, until it is released.")
@state_option
@socket_option
@span_options
@reason_option
@json_option
def add(
    *, state: Path | None, socket: Path | None, since: str | None, until: str | None, reason: str, as_json: bool
) -> None:
    """Hold entries from --since on."""
    if since is None:
        raise Misuse("say from where on: --since WHEN; --since 0 holds everything")
    with opened(state, None, socket) as source:
        _require_running(source)
        span = resolve(source, since, until)
    if span is None:
        raise Misuse("there are no entries in this span: nothing to hold")
    last = None if until is None else span.last
    said = say_to(
        _socket(state, socket), Kind.HOLD, body=said_by({"reason": reason}), control=[span.first, last, "add"]
    )
    if as_json:
        output.json_text({"id": said.id, "first": span.first, "last": last})
        return
    output.say(f"{said.id}: {_words(span.first, last)} held until `lineage hold release {said.id} --reason TEXT`")


@command.command("list")
@state_option
@socket_option
@json_option
def listed(*, state: Path | None, socket: Path | None, as_json: bool) -> None:
    """Print the holds in force."""
    with opened(state, None, socket) as source:
        assert isinstance(source, StateSource), "no bundle was named"
        rows = [_described(entry_at(source, seq), *hold) for seq, hold in source.holds().items()]
    if as_json:
        output.json_text(rows)
    elif not rows:
        output.say("no hold is in force")
    else:
        output.table(
            ("id", "since", "entries", "by", "reason"),
            [(row["id"], row["utc"], _words(row["first"], row["last"]), row["by"], row["reason"]) for row in rows],
        )


@command.command("release", epilog="Example: lineage hold release 4711-8c3f6a1e --reason 'case 12 is closed'")
@click.argument("named", metavar="ID")
@state_option
@socket_option
@reason_option
@json_option
def release(*, named: str, state: Path | None, socket: Path | None, reason: str, as_json: bool) -> None:
    """End a hold; ID is that of its entry, as `lineage hold list` prints it."""
    with opened(state, None, socket) as source:
        _require_running(source)
        held = entry_named(source, named)[0]
    entry = decode(held.raw)
    hold = entry.header.control
    if not isinstance(hold, Hold) or hold.action != "add":
        raise Misuse(f"{named} is no hold; `lineage hold list` names those in force")
    said = say_to(
        _socket(state, socket),
        Kind.HOLD,
        body=said_by({"reason": reason}),
        control=[hold.first, hold.last, "release"],
        refs={int(RefType.SUPERSEDES): [[None, held.seq, entry.hash]]},
    )
    if as_json:
        output.json_text({"id": said.id, "released": str(entry_id(entry.hash, held.seq))})
        return
    output.say(f"{said.id}: {_words(hold.first, hold.last)} no longer held by {named}")


def _socket(state: Path | None, socket: Path | None) -> Path:
    return socket or (state or Path()) / SOCKET


def _require_running(source: object) -> None:
    if not isinstance(source, StateSource) or not source.is_running:
        raise Misuse("no recorder runs here: a hold is an entry, and only a running recorder can add it")


def _described(held: Held, first: int, last: int | None) -> dict[str, Any]:
    entry = decode(held.raw)
    body = values_of(held.claims).get("body", {})
    return {
        "id": str(entry_id(entry.hash, held.seq)),
        "utc": time_text(entry.header.time.utc_ns),
        "first": first,
        "last": last,
        "by": str(body.get("by", "")),
        "reason": str(body.get("reason", "")),
    }


def _words(first: int, last: int | None) -> str:
    return f"entries from {first} on" if last is None else f"entries {first} to {last}"
