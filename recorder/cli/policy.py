"""`lineage policy`: check a policy's source, sign it as a bundle, install that, show the one in force."""

from __future__ import annotations

import re
from pathlib import Path

import click
from msgspec import to_builtins

from recorder.audit.describe import plain
from recorder.authority.keys import HOLDER_TITLE, ROOT_TITLE
from recorder.cli import EXIT_MISUSE, output, policy_show
from recorder.cli.identity import read_bounded
from recorder.cli.options import json_option, socket_option, state_option
from recorder.cli.policy_show import shown, signed_by, words
from recorder.cli.saying import say_to, socket_of
from recorder.core import policy as policies
from recorder.core.credential import Credential
from recorder.core.credential import read as read_credential
from recorder.core.delegation import require_role
from recorder.core.errors import FormatError, Misuse
from recorder.core.keys import SeedSigner
from recorder.core.kinds import Kind
from recorder.core.policy_source import Source, SourceError, parse
from recorder.core.sign1 import CREDENTIAL, POLICY
from recorder.gate.cel import Cel
from recorder.gate.program import compile_faults
from recorder.store import keyfile
from recorder.store.layout import create_file

EXIT_FAILED = 1
_PATH = click.Path(path_type=Path, readable=False)
_PLACED = re.compile(r"[0-9]+:[0-9]+: ")
_NS = 1_000_000_000


@click.group("policy", epilog="Example: lineage policy check configs/policies/arm.toml")
def command() -> None:
    """Policies: who may do what, under which conditions."""


command.add_command(policy_show.show)

source_argument = click.argument("source", type=_PATH, metavar="FILE.toml")


@command.command("check", epilog="Each fault is one line, FILE:LINE:COLUMN: of the condition; exit status 2.")
@source_argument
@json_option
def check(*, source: Path, as_json: bool) -> int:
    """Check a policy's source: its shape, and its conditions with the types of what they speak of."""
    read, faults = _read(source)
    if as_json:
        output.json_text({"file": str(source), "faults": faults, "policy": read and plain(to_builtins(read.policy))})
    elif read is not None and not faults:
        output.line(f"{source}: {words(read.policy)}")
    return _said(source, faults, as_json=as_json)


@command.command(
    "sign",
    epilog="Example: lineage policy sign arm.toml --key authority/root-1.key --out arm-1.policy; "
    "an authority below it names its own credential besides: --key holder.key --credential holder.cose",
)
@source_argument
@click.option("--key", type=_PATH, required=True, metavar="FILE", help="Of a root; with --credential, the holder's.")
@click.option("--credential", type=_PATH, metavar="FILE", help="Of who signs; without one the key is a root's.")
@click.option("--out", type=_PATH, required=True, metavar="FILE", help="Where the bundle goes; not overwritten.")
@json_option
def sign(*, source: Path, key: Path, credential: Path | None, out: Path, as_json: bool) -> int:
    """Check a policy's source and sign it."""
    signer = _signer(key, ROOT_TITLE if credential is None else HOLDER_TITLE)
    issuer = None if credential is None else _credential(credential)
    if issuer is not None:
        require_role(issuer, "authority")
        if issuer.terms.key != signer.public_key:
            raise Misuse(f"{credential} is of another key than {key}: name the credential of who signs")
    read, faults = _read(source, issuer and issuer.hash)
    if read is None or faults:
        return _said(source, faults, as_json=False)
    raw = policies.sign(read.policy, signer)
    try:
        create_file(out, raw, 0o644)
    except FileExistsError:
        raise Misuse(f"{out} exists; a bundle is not overwritten: choose another name, or remove it first") from None
    bundle = policies.read(raw)
    if as_json:
        output.json_text({"file": str(out), **shown(bundle)})
        return 0
    output.line(f"{out}: {words(read.policy)}")
    output.line(signed_by(bundle))
    return 0


@command.command(
    "install",
    epilog="Example: lineage policy install arm-1.policy --state /var/lib/lineage. A recorder takes what a root of its "
    "trust file signed, or an authority whose credential it has: `lineage credential install`.",
)
@click.argument("file", type=_PATH, metavar="FILE")
@state_option
@socket_option
@json_option
def install(*, file: Path, state: Path | None, socket: Path | None, as_json: bool) -> int:
    """Put a signed bundle in force in a running recorder, from its entry on."""
    to = socket_of(state, socket)
    try:
        bundle = policies.read(read_bounded(file, POLICY.max_bytes))
    except FormatError as error:
        raise Misuse(f"{file} is no signed policy ({error}); `lineage policy sign` makes one from its source") from None
    unplaced = Source(bundle.policy, [None] * len(bundle.policy.clauses))  # a bundle has no lines
    faults = [unplaced.line(placed.fault, placed.at) for placed in compile_faults(bundle.policy, Cel())]
    if faults:
        return _said(file, faults, as_json=False)
    said = say_to(to, Kind.POLICY, body={"bundle": bundle.signed.raw}, control=[bundle.hash])
    if as_json:
        output.json_text({"entry": said.id, **shown(bundle)})
    else:
        output.line(f"{said.id}: {words(bundle.policy)}")
        output.line(signed_by(bundle))
    return 0


def _read(path: Path, issuer: bytes | None = None) -> tuple[Source | None, list[str]]:
    """A source and everything that is wrong with it."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise Misuse(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from None
    try:
        read = parse(text, issuer)
    except SourceError as error:
        return None, error.faults
    return read, [read.line(placed.fault, placed.at) for placed in compile_faults(read.policy, Cel())]


def _said(path: Path, faults: list[str], *, as_json: bool) -> int:
    for fault in faults if not as_json else ():
        click.echo(f"{path}:{'' if _PLACED.match(fault) else ' '}{fault}", err=True)
    return EXIT_MISUSE if faults else 0


def _signer(path: Path, title: str) -> SeedSigner:
    try:
        return SeedSigner(keyfile.read(path, title).seed)
    except FileNotFoundError:
        raise Misuse(
            f"{path} is missing; a root signs with its root-N.key, an authority with the key of its --credential"
        ) from None


def _credential(path: Path) -> Credential:
    return read_credential(read_bounded(path, CREDENTIAL.max_bytes))
