"""`lineage bridge`: a microcontroller with its own key on a serial line."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import click

from firmware_bridge import config, founding
from firmware_bridge.advice import LOOK_AT
from firmware_bridge.credentialfile import bring
from firmware_bridge.line.happenings import Condition
from firmware_bridge.line.states import State
from firmware_bridge.places import COMMAND, CONFIG, CREDENTIAL, BridgeError
from recorder.authority import directory
from recorder.cli import output
from recorder.cli.identity import PUBLIC, read_bounded
from recorder.cli.options import json_option
from recorder.cli.saying import say_to
from recorder.core import credential
from recorder.core.calendar import utc_text
from recorder.core.credential import Credential
from recorder.core.errors import Misuse
from recorder.core.keys import kid
from recorder.core.kinds import Kind
from recorder.core.request import CredentialRequest
from recorder.core.scope import ANY, Scope
from recorder.core.sign1 import CREDENTIAL as CREDENTIAL_USE
from recorder.store.layout import create_file
from recorder.store.statusfile import read_status

BRIDGE_ENV = "LINEAGE_BRIDGE"
WITHIN_MS = 3000
PROOF_MAX_BYTES = 1024
_PATH = click.Path(path_type=Path, readable=False)

_LINKS = {
    State.SHUT: "no port",
    State.CALLING: "calling the device, which has not answered as it should",
    State.UP: "up",
}

state_option = click.option(
    "--state", type=_PATH, envvar=BRIDGE_ENV, required=True, metavar="DIR",
    help=f"The bridge's own state directory, one for each port; else ${BRIDGE_ENV}.",
)  # fmt: skip
port_option = click.option("--port", metavar="DEVICE", help="Serial port, such as /dev/ttyUSB0.")
baud_option = click.option("--baud", type=click.IntRange(300, 20_000_000), help="Instead of the configuration's.")


@click.group(
    "bridge",
    epilog="Example: lineage bridge init --state /var/lib/lineage-bridge/arm --actuator arm; then `lineage bridge "
    "enroll` brings the device's credential, and `lineage bridge run` does the rest.",
)
def command() -> None:
    """Have a motor controller with its own key take part in the lineage: it confirms what it did, and signs that."""


@command.command("init", epilog="Example: lineage bridge init --state /var/lib/lineage-bridge/arm --actuator arm")
@state_option
@click.option("--actuator", "actuators", multiple=True, required=True, metavar="NAME", help="May be repeated.")
@click.option("--baud", type=click.IntRange(300, 20_000_000), default=config.BAUD, show_default=True)
@json_option
def init(*, state: Path, actuators: tuple[str, ...], baud: int, as_json: bool) -> None:
    """Make a state directory with its configuration."""
    founding.found(state, actuators, baud)
    if as_json:
        output.json_text({"state": str(state), "actuators": list(actuators), "baud": baud})
        return
    output.say(f"{state}: configuration {CONFIG}")
    output.say(
        "next: whose key is expected, by `lineage bridge enroll`; and in recorder.toml of the recorder, which then"
    )
    output.say("starts again (`id -u lineage-bridge` tells the UID):")
    listed = ", ".join(f'"{name}"' for name in actuators)
    output.say(f"  [[controller]]\n  uids = [UID of the bridge]\n  actuators = [{listed}]")
    output.say('  append = ["confirmation", "fault", "observation"]\n  read = true')


@command.command("key", epilog="Example: lineage bridge key --port /dev/ttyUSB0 --out arm.proof")
@port_option
@click.option("--baud", type=click.IntRange(300, 20_000_000), default=config.BAUD, show_default=True)
@click.option("--out", type=_PATH, metavar="FILE", help="Where the proof goes, for an authority elsewhere.")
@json_option
def key(*, port: str | None, baud: int, out: Path | None, as_json: bool) -> None:
    """Have the device at a port show its key and prove that it has it."""
    probe = _probe()
    if port is None:
        raise Misuse("say which port: --port DEVICE")
    shown = probe.ask(port, baud, WITHIN_MS)
    if out is not None:
        create_file(out, probe.write_proof(shown), PUBLIC)
    if as_json:
        output.json_text(
            {"key": shown.key.hex(), "kid": kid(shown.key).hex(), "boot": shown.here.boot, "proof": out and str(out)}
        )
        return
    output.line(f"{port}: key {shown.key.hex()}, key id {kid(shown.key).hex()}, boot {shown.here.boot}")
    if out is not None:
        output.say(f"{out}: its proof, for `lineage bridge enroll --proof` where the authority is")


@command.command(
    "enroll",
    epilog="Examples: lineage bridge enroll --state DIR --port /dev/ttyUSB0 --authority acme-authority --name motor "
    "--days 365 --socket /run/lineage/recorder.sock; or in two places: lineage bridge key --port /dev/ttyUSB0 --out "
    "arm.proof; enroll --proof arm.proof --authority acme-authority --name motor --actuator arm --days 365 --out "
    "arm.cose; enroll --state DIR --credential arm.cose.",
)
@click.option(
    "--state", type=_PATH, envvar=BRIDGE_ENV, metavar="DIR", help=f"The bridge's state directory; else ${BRIDGE_ENV}."
)
@port_option
@baud_option
@click.option("--proof", type=_PATH, metavar="FILE", help="Of `lineage bridge key`, instead of a port.")
@click.option("--authority", type=_PATH, metavar="DIR", help="Whose issuer signs.")
@click.option("--name", metavar="NAME", help="Of the device, with --authority.")
@click.option("--actuator", "actuators", multiple=True, metavar="NAME", help="Those of the configuration, if left out.")
@click.option("--days", type=click.IntRange(1, 36_500), metavar="N", help="It ends after so many, with --authority.")
@click.option("--credential", "given", type=_PATH, metavar="FILE", help="Issued already, instead of --authority.")
@click.option("--socket", type=_PATH, metavar="PATH", help="Of the running recorder: bring it there too.")
@click.option("--out", type=_PATH, metavar="FILE", help="Write the credential here.")
@json_option
def enroll(
    *,
    state: Path | None,
    port: str | None,
    baud: int | None,
    proof: Path | None,
    authority: Path | None,
    name: str | None,
    actuators: tuple[str, ...],
    days: int | None,
    given: Path | None,
    socket: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Bind a device's key to a credential of role actuator, and have this bridge expect it.

    A device that is asked here stops its session with a bridge, which holds the port: so stop that first.
    """
    settings = config.load(state / CONFIG) if state is not None else None
    shown = None
    if port is not None:
        shown = _probe().ask(port, baud or (settings.device.baud if settings is not None else config.BAUD), WITHIN_MS)
    elif proof is not None:
        shown = _probe().read_proof(read_bounded(proof, PROOF_MAX_BYTES))
    if given is not None:
        held = credential.read(read_bounded(given, CREDENTIAL_USE.max_bytes))
    else:
        named = actuators or tuple(settings.device.actuators if settings is not None else ())
        held = _issue(authority, shown.key if shown is not None else None, name, named, days)
    if shown is not None and shown.key != held.terms.key:
        raise BridgeError(f"the credential is of the key {held.terms.key.hex()}, the device has {shown.key.hex()}")
    if out is not None:
        create_file(out, held.signed.raw, PUBLIC)
    if state is not None and settings is not None:
        bring(state, held, settings.device.actuators)
    entry = None
    if socket is not None:
        entry = say_to(socket, Kind.CREDENTIAL, body={"credential": held.signed.raw}, control=[held.hash]).id
    if as_json:
        output.json_text(_described(held) | {"state": state and str(state), "entry": entry})
        return
    terms = held.terms
    output.line(f"{terms.subject}: key id {kid(terms.key).hex()}, until {utc_text(terms.expires_s)}; {held.hash.hex()}")
    if state is not None:
        output.line(f"{state / CREDENTIAL}: the device with this key is expected here")
    if entry is not None:
        output.line(f"entry {entry}: the recorder has it")
    else:
        output.say("next: bring it to the recorder, `lineage credential install FILE`, or name --socket here")


@command.command(
    "run",
    epilog="Example: lineage bridge run --state /var/lib/lineage-bridge/arm --port /dev/ttyUSB0 "
    "--socket /run/lineage/recorder.sock",
)
@state_option
@click.option("--port", required=True, metavar="DEVICE", help="Serial port, such as /dev/ttyUSB0.")
@baud_option
@click.option("--socket", type=_PATH, required=True, metavar="PATH", help="Of the running recorder.")
@click.option("--config", "settings", type=_PATH, metavar="FILE", help="Instead of bridge.toml in the state directory.")
@click.pass_context
def run(ctx: click.Context, *, state: Path, port: str, baud: int | None, socket: Path, settings: Path | None) -> None:
    """Serve one port until SIGTERM or SIGINT.

    Exit status: 0 after a clean stop, 1 where the recorder has begun another log (start again), 2 where it could not
    start or the recorder does not permit it. It has no --json: programs ask `lineage bridge status --json`.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until it serves there is nothing to clean up
    try:
        from firmware_bridge.run import run as serve  # noqa: PLC0415 -- pyserial is an extra
    except ModuleNotFoundError as error:
        raise _without(error) from None
    ctx.exit(serve(state, port, socket, baud, settings))


@command.command("status", epilog="Example: lineage bridge status --state /var/lib/lineage-bridge/arm")
@state_option
@json_option
def status(*, state: Path, as_json: bool) -> None:
    """How the bridge does: port, session, what it recorded, conditions of the line."""
    found = read_status(state, COMMAND)
    if as_json:
        output.json_text(found)
        return
    age = f"as of {max(0, int(time.time()) - found['utc_s'])} s ago"
    output.line(f"{'running' if found['running'] else 'not running'}, {age}; {found['port']} at {found['baud']} baud")
    output.line(f"{_LINKS[State(found['link'])]}: {_session(found)}")
    output.line(f"recorded: {found['frames']:,} frames in {found['entries']:,} entries")
    if found["conditions"]:
        listed = ", ".join(f"{count} x {name}" for name, count in found["conditions"].items())
        output.line(f"conditions since the start: {listed}")
        for name in found["conditions"] if found["link"] != State.UP.value else ():
            if (look_at := LOOK_AT.get(Condition(name))) is not None:
                output.line(f"  {name}: look at {look_at}")
    if any(found["answers"].values()):
        listed = ", ".join(f"{count} {name}" for name, count in found["answers"].items() if count)
        output.line(f"its requests: {listed}")
    for trouble in (found["recorder_trouble"], found["trouble"]):
        if trouble:
            output.line(f"trouble: {trouble}")


def _session(found: dict[str, Any]) -> str:
    if found["boot"] is None:
        return "the device has not shown its key yet"
    return f"device {found['kid']}, boot {found['boot']}, recorded below frame {found['next']}"


def _issue(
    path: Path | None, key: bytes | None, name: str | None, actuators: tuple[str, ...], days: int | None
) -> Credential:
    if path is None or name is None or days is None or key is None or not actuators:
        raise Misuse(
            "name --credential FILE; or --authority DIR with --name, --days, the device's key (--port or --proof) and "
            "the actuators (--state or --actuator)"
        )
    # What an actuator's credential is held against is which actuator it is; limits are for those who ask it to move.
    scope = Scope(ANY, frozenset(actuators), ANY, ANY, ANY, None)
    wanted = CredentialRequest(key, name, "actuator")
    return directory.issue(directory.load(path), wanted, scope, days, int(time.time()))


def _described(held: Credential) -> dict[str, Any]:
    terms = held.terms
    return {
        "credential": held.hash.hex(), "subject": terms.subject, "key": terms.key.hex(), "kid": kid(terms.key).hex(),
        "actuators": sorted(terms.scope.actuators), "expires_s": terms.expires_s,
    }  # fmt: skip


def _probe() -> Any:  # noqa: ANN401 -- a module, which needs an extra
    try:
        from firmware_bridge import probe  # noqa: PLC0415 -- pyserial is an extra
    except ModuleNotFoundError as error:
        raise _without(error) from None
    return probe


def _without(error: ModuleNotFoundError) -> BridgeError:
    if error.name != "serial":
        raise error
    return BridgeError("the bridge needs pyserial: pip install 'lineage-recorder[bridge]'")
