"""`lineage mesh`: peers that cosign each other's heads."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import click

from mesh.fleetlist import HEAD_LINES, make_fleet_list
from mesh.node.config import PORT
from mesh.node.founding import add_mesh_key, found
from mesh.node.places import MeshError
from recorder.authority import directory
from recorder.cli import mesh_ask, mesh_look, output
from recorder.cli.identity import read_bounded
from recorder.cli.mesh_options import PATH, is_url, needing_network, state_option
from recorder.cli.options import json_option
from recorder.core.errors import FormatError
from recorder.core.trust import TRUST_MAX_BYTES
from recorder.store.layout import create_file

_AT = f" http://ADDRESS:{PORT}/"
_BEFORE_URL = {"log": 1, "witness": 2, "mesh": 1}  # items of a line


@click.group(
    "mesh",
    epilog="Example: lineage mesh init --state /var/lib/lineage-mesh --name arm-7.acme --trust roots.trust; then the "
    "lines that it prints go into a policy, `lineage mesh list` signs it, and `lineage mesh run` does the rest.",
)
def command() -> None:
    """Have this platform's checkpoints cosigned by its peers, and cosign theirs."""


@command.command(
    "init", epilog="Example: lineage mesh init --state /var/lib/lineage-mesh --name arm-7.acme --trust roots.trust"
)
@state_option
@click.option("--name", required=True, help="Of the witness key, such as arm-7.acme.")
@click.option(
    "--platform", metavar="FLEET/NAME", help="Which platform this is; left out, the name says it: acme/arm-7."
)
@click.option(
    "--trust",
    type=PATH,
    required=True,
    metavar="FILE",
    help="Its `root` lines, as `lineage authority init` printed them, say who may sign fleet lists.",
)
@click.option("--listen", multiple=True, metavar="ADDRESS:PORT", help=f"0.0.0.0:{PORT} if left out; may be repeated.")
@json_option
def init(*, state: Path, name: str, platform: str | None, trust: Path, listen: tuple[str, ...], as_json: bool) -> None:
    """Make a state directory: configuration, witness key, mesh key, the roots whose fleet lists count."""
    text = read_bounded(trust, TRUST_MAX_BYTES)
    try:
        keys = found(state, name, listen or (f"0.0.0.0:{PORT}",), text, platform)
    except FormatError as error:
        raise MeshError(f"{trust}: {error}") from None
    if as_json:
        output.json_text({"state": str(state), "witness_key": str(keys.witness), "mesh_key": str(keys.mesh)})
        return
    output.say(f"{state}: configuration mesh.toml, witness.key and mesh.key (0600), trust")
    output.say("The fleet's policy needs these lines, beside the `log` line that `lineage init` printed;")
    output.say("the trust file of whoever verifies needs the first of them too:")
    output.say(f"  witness {name} {keys.witness}{_AT}")
    output.say(f"  mesh {keys.mesh}{_AT}")
    output.say(f"ADDRESS is where the others reach it; where mDNS does, leave out{_AT}")
    output.say(f"next: the fleet list, signed by `lineage mesh list`, becomes {state / 'fleet'}; then")
    output.say(f"  lineage mesh run --state {state} --socket /run/lineage/recorder.sock")
    output.say("and in recorder.toml of its recorder, which then starts again (`id -u lineage-mesh` tells the UID):")
    output.say('  [[controller]]\n  uids = [UID of the mesh]\n  append = ["evidence", "observation"]')
    output.say("  read = true\n  mesh = true")


@command.command("key", epilog="Example: lineage mesh key --state /var/lib/lineage-mesh --platform acme/arm-7")
@state_option
@click.option("--platform", required=True, metavar="FLEET/NAME", help="Which platform this is, as its `log` line.")
@json_option
def key(*, state: Path, platform: str, as_json: bool) -> None:
    """Show the mesh line of a state, which signs datagrams; a state without a mesh key gets one."""
    found_key = add_mesh_key(state, platform)
    if as_json:
        output.json_text({"state": str(state), "mesh_key": str(found_key)})
        return
    output.line(f"mesh {found_key}{_AT}")


@command.command(
    "list",
    epilog="Example: lineage mesh list fleet.policy --authority acme-authority --fleet acme --version 1 --out fleet",
)
@click.argument("policy", type=PATH)
@click.option("--authority", "path", type=PATH, required=True, metavar="DIR", help="Whose root signs.")
@click.option("--fleet", required=True, help="Its name; devices take lists of one fleet only.")
@click.option("--version", type=click.IntRange(min=0), required=True, help="Higher than of any list before.")
@click.option("--out", type=PATH, required=True, metavar="FILE", help="Where the list goes.")
@json_option
def sign_list(*, policy: Path, path: Path, fleet: str, version: int, out: Path, as_json: bool) -> None:
    """Sign a fleet list: who is trusted, in lines that `lineage init` and `lineage mesh init` printed, and a quorum.

    \b
    log VKEY                     a platform's, of `lineage init`
    witness NAME VKEY [URL]      whose cosignatures count
    mesh VKEY [URL]              whose digests count
    group NAME 2 WITNESS...      who runs them, and how many of them are enough: or all, any
    quorum GROUP|WITNESS|none    the last line; no witness counts for its own platform

    A platform is retired by a list without its witness and mesh lines. Its log line stays: of a log that no line names
    peers tell nobody what they hold.
    """  # noqa: D301 -- click's mark, not a backslash
    authority = directory.load(path)
    text = _policy(policy)
    try:
        note = make_fleet_list(fleet, version, text, authority.matrix.root.name, authority.root_signer())
    except FormatError as error:
        raise MeshError(f"{policy}: {_placed(error)}") from None
    create_file(out, note, 0o644)
    if as_json:
        output.json_text({"fleet": fleet, "version": version, "root": authority.matrix.root.name, "file": str(out)})
        return
    output.line(f"{out}: fleet {fleet}, version {version}, signed by {authority.matrix.root.name}")
    output.say("next: to each platform, as the file `fleet` of its mesh's state; a start or SIGHUP (`systemctl reload")
    output.say("lineage-mesh`) brings it into force")


@command.command(
    "run", epilog="Example: lineage mesh run --state /var/lib/lineage-mesh --socket /run/lineage/recorder.sock"
)
@state_option
@click.option("--socket", type=PATH, required=True, metavar="PATH", help="Of the running recorder.")
@click.option("--config", type=PATH, metavar="FILE", help="Instead of mesh.toml in the state directory.")
@click.pass_context
def run(ctx: click.Context, *, state: Path, socket: Path, config: Path | None) -> None:
    """Witness and submit until SIGTERM or SIGINT; SIGUSR1 begins a round, SIGHUP reads the fleet list anew.

    A newer list is in force without a restart; one that cannot be used is refused, and the old one stays.

    Exit status: 0 after a clean stop, 1 where an address to listen on is not there (start again), 2 where it could not
    start. A disk that takes nothing ends it not: what needs it is refused until it does. It has no --json: programs
    ask `lineage mesh status --json`.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until it serves there is nothing to clean up
    for number in (signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)  # nothing is read yet; by default they would end it
    with needing_network():
        from mesh.node.run import run as serve  # noqa: PLC0415 -- aiohttp is an extra
    ctx.exit(serve(state, socket, config))


for one in (mesh_look.status, mesh_look.peers, mesh_look.forks, mesh_ask.command):
    command.add_command(one)


def _policy(path: Path) -> str:
    try:
        text = read_bounded(path, TRUST_MAX_BYTES).decode("utf-8")
    except UnicodeDecodeError:
        raise MeshError(f"{path} is no text: a policy has lines log, witness, mesh, group and quorum") from None
    for at, line in enumerate(text.split("\n"), 1):
        if line.endswith(_AT):
            raise MeshError(f"{path}: line {at}: write an address for ADDRESS, or leave out{_AT}")
        verb, *items = line.split() or [""]
        for url in items[_BEFORE_URL.get(verb, len(items)) :]:
            if not is_url(url):
                raise MeshError(f"{path}: line {at}: {url!r} is not written as http://HOST:{PORT}/")
    if not text.endswith("\n"):
        raise MeshError(f"{path}: the last line does not end in newline")
    return text


def _placed(error: FormatError) -> str:
    """What is wrong with a list, by the line of the policy that it was made of."""
    found = re.fullmatch(r"line ([0-9]+): (.*)", error.detail, re.DOTALL)
    if found is None:
        return str(error)
    at = int(found[1]) - HEAD_LINES
    return f"{error.error}: {f'line {at}: ' if at > 0 else ''}{found[2]}"
