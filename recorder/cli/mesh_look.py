"""`lineage mesh status | peers | forks`: what a mesh process last wrote, in words."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from mesh.node.fleetfile import fleet_held
from mesh.node.forkfiles import forks_in
from mesh.node.places import FORKS
from mesh.node.status import read_status
from recorder.cli import output
from recorder.cli.mesh_options import state_option
from recorder.cli.options import json_option


@click.command("status", epilog="Example: lineage mesh status --state /var/lib/lineage-mesh")
@state_option
@json_option
def status(*, state: Path, as_json: bool) -> None:
    """How the mesh does: the latest round, the clock, what it answered."""
    found = read_status(state)
    if as_json:
        output.json_text(found)
        return
    age = f"as of {max(0, int(time.time()) - found['utc_s'])} s ago"
    output.line(f"{'running' if found['running'] else 'not running'}, {age}; on {', '.join(found['listen'])}")
    output.line(
        f"fleet {found['fleet']['name']}, list {found['fleet']['version']}; witness {found['witness'] or 'none'}"
    )
    output.say("clock trusted" if found["clock_trusted"] else "clock not trusted: nothing is cosigned here")
    output.line(f"latest round: {_round(found['latest'])}")
    if found["trouble"]:
        output.line(f"trouble: {found['trouble']}")
    answers = ", ".join(f"{count} x {status}" for status, count in found["answers"].items())
    output.say(f"answered: {answers or 'nothing yet'}; {found['connections']['turned_away']} connections turned away")
    if found["forks"]:
        output.say(f"FORKS: {found['forks']}; `lineage mesh forks --state {state}` shows them")


@click.command("peers", epilog="Example: lineage mesh peers --state /var/lib/lineage-mesh")
@state_option
@json_option
def peers(*, state: Path, as_json: bool) -> None:
    """Witnesses that are asked, and logs that are cosigned here."""
    found = read_status(state)
    if as_json:
        output.json_text({"peers": found["peers"], "held": found["held"]})
        return
    output.table(
        ("witness", "cosigned", "last"),
        ((one["name"], str(one["cosigned"]), _last(one)) for one in found["peers"]),
    )
    output.say()
    output.table(
        ("log cosigned here", "entries", "incarnations before"),
        ((one["origin"], str(one["size"]), str(one["retired"])) for one in found["held"]),
    )


@click.command("forks", epilog="Example: lineage mesh forks --state /var/lib/lineage-mesh")
@state_option
@json_option
@click.pass_context
def forks(ctx: click.Context, *, state: Path, as_json: bool) -> None:
    """Logs whose own key signed two histories; each proof is checked again. Exit status 1 where there is one."""
    found = list(forks_in(state / FORKS, fleet_held(state)))
    if as_json:
        output.json_text([{"file": str(path), "origin": fork.origin, "said": fork.describe()} for path, fork in found])
    else:
        for path, fork in found:
            for line in fork.describe().splitlines():
                output.line(line)
            output.line(f"  proof: {path}")
        if not found:
            output.say("no fork was seen")
    ctx.exit(1 if found else 0)


def _round(latest: dict[str, Any] | None) -> str:
    if latest is None:
        return "none yet"
    enough = "a quorum" if latest["is_quorum"] else "no quorum"
    where = "no evidence" if latest["evidence"] is None else f"evidence in entry {latest['evidence']}"
    return f"{latest['cosigned']} of {latest['asked']} cosigned {latest['size']:,} entries, {enough}, {where}"


def _last(peer: dict[str, Any]) -> str:
    return peer["last"] if peer["forgot"] is None else f"{peer['last']}; {peer['forgot']}"
