"""`lineage mesh status | peers | forks`: what a mesh process last wrote, for people and programs."""

from __future__ import annotations

from pathlib import Path

import click

from mesh.node.fleetfile import fleet_held
from mesh.node.forkfiles import forks_in
from mesh.node.places import COMMAND, FORKS
from recorder.cli import output
from recorder.cli.mesh_look_text import print_peers, print_suspicions, status_rows
from recorder.cli.mesh_options import state_option
from recorder.cli.options import json_option
from recorder.store.statusfile import read_status

# What `peers --json` gives of the status; each is there where the part of the process that writes it is on.
PEERS = (
    *("present", "strangers", "strangers_not_listed", "peers", "held", "archives", "archives_put_off"),
    *("incarnations_put_off", "incarnations_dropped", "other_versions", "answered_wrongly"),
)


@click.command("status", epilog="Example: lineage mesh status --state /var/lib/lineage-mesh")
@state_option
@json_option
def status(*, state: Path, as_json: bool) -> None:
    """How the mesh does: rounds, clock, who is there, digests, archives, and what is wrong."""
    found = read_status(state, COMMAND)
    if as_json:
        output.json_text(found)
        return
    for name, value in status_rows(found):
        output.line(f"{name:<12} {value}")
    if found["own_splits"]:
        output.line(
            "OWN SPLIT    this platform's incarnations are of two lines: another machine has its key, or it lost a "
            "store and did not know what it had begun"
        )
    for origin in found["own_forks"]:
        output.line(
            f"OWN FORK     {origin}: this platform's own key signed two histories. Another machine has the key, or an "
            f"older copy of the store went on; nobody cosigns this log any more"
        )
    if found["forks"]:
        output.say(f"FORKS        {found['forks']}: `lineage mesh forks --state {state}` shows them")


@click.command("peers", epilog="Example: lineage mesh peers --state /var/lib/lineage-mesh")
@state_option
@json_option
def peers(*, state: Path, as_json: bool) -> None:
    """Who is there, who is asked, what is cosigned and kept of whom, and who is a stranger."""
    found = read_status(state, COMMAND)
    if as_json:
        output.json_text({name: found[name] for name in PEERS if name in found})
        return
    print_peers(found)


@click.command("forks", epilog="Example: lineage mesh forks --state /var/lib/lineage-mesh")
@state_option
@json_option
@click.pass_context
def forks(ctx: click.Context, *, state: Path, as_json: bool) -> None:
    """Logs whose own key signed two histories, platforms with two lines of logs; each proof is checked again.

    Exit status 1 where there is one.

    What is only suspicion stands apart: a head that nobody has shown to follow the one that is held.
    """
    found = list(forks_in(state / FORKS, fleet_held(state)))
    suspicions = read_status(state, COMMAND).get("suspicions", [])
    if as_json:
        proofs = [{"file": str(path), "origin": fork.origin, "said": fork.describe()} for path, fork in found]
        output.json_text({"forks": proofs, "suspicions": suspicions})
        ctx.exit(1 if found else 0)
    for path, fork in found:
        for line in fork.describe().splitlines():
            output.line(line)
        output.line(f"  proof: {path}; `lineage verify --fork` takes it, with nothing else of this mesh")
    if not found:
        output.say("no fork was seen")
    print_suspicions(suspicions)
    ctx.exit(1 if found else 0)
