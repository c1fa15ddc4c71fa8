"""`lineage identity`: keys ask for credentials, and pass on parts of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import get_args

import click

from recorder import config as configs
from recorder.authority import holder, scope_file
from recorder.authority.keys import HOLDER_TITLE, key_at
from recorder.cli import output
from recorder.cli.options import json_option, state_option
from recorder.core import credential, request
from recorder.core.calendar import utc_text
from recorder.core.errors import Misuse
from recorder.core.keys import SeedSigner, kid
from recorder.core.scope import Role
from recorder.core.sign1 import CREDENTIAL, REQUEST
from recorder.daemon import identity
from recorder.store.layout import create_file

ROLES = get_args(Role)
PUBLIC = 0o644  # a request and a credential hold nothing secret
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(
    "identity",
    epilog="Example: lineage identity request --state /var/lib/lineage --out /media/stick/arm-7.request",
)
def command() -> None:
    """Ask for a credential for a key, or pass on a part of the one that it has."""


key_option = click.option(
    "--key", type=_FILE, metavar="FILE", help="A person's or a program's own key; made, 0600, if there is none."
)
out_option = click.option("--out", type=_FILE, required=True, metavar="FILE", help="The file to make.")


@command.command(
    "request",
    epilog="Examples: lineage identity request --state /var/lib/lineage --out /media/stick/arm-7.request; "
    "lineage identity request --key ann.key --name ann --role operator --out ann.request",
)
@state_option
@key_option
@click.option("--name", help="Whom the credential is for; with --state, FLEET/PLATFORM if left out.")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    metavar="ROLE",
    help=f"{', '.join(ROLES)}; platform with --state, operator where an operator is to pass a part of his on to it.",
)
@out_option
@json_option
def ask(*, state: Path | None, key: Path | None, name: str | None, role: Role | None, out: Path, as_json: bool) -> None:
    """Write a request, signed by the key, to a file that goes to the authority.

    It proves that whoever asks has the key. Who that is, the authority has to know: read the key's id to it by voice.
    """
    _check_free(out)
    if key is None:
        if state is None:
            raise Misuse("say whose key: --state DIR for a recorder's, --key FILE for a person's or a program's")
        platform = configs.load(state).platform
        signer, made = identity.load(state), False
        name, role = name or f"{platform.fleet}/{platform.name}", role or "platform"
    else:
        if name is None or role is None:
            raise Misuse("say for whom and for what: --name NAME --role ROLE")
        signer, made = key_at(key, HOLDER_TITLE)
    create_file(out, request.make(name, role, signer), PUBLIC)
    _print(out, name, role, signer, key if made else None, as_json=as_json)


@command.command(
    "delegate",
    epilog="Example: lineage identity delegate bob.request --credential ann.cose --key ann.key --scope less.toml "
    "--minutes 30 --out bob.cose",
)
@click.argument("asked", metavar="REQUEST", type=_FILE)
@click.option("--credential", "held", type=_FILE, required=True, metavar="FILE", help="The one to pass a part of on.")
@state_option
@key_option
@click.option("--scope", type=_FILE, required=True, metavar="FILE.toml", help="The part; see configs/scope.toml.")
@click.option("--minutes", type=click.IntRange(min=1), required=True, metavar="N", help="It ends after so long.")
@out_option
@json_option
def pass_on(
    *,
    asked: Path,
    held: Path,
    state: Path | None,
    key: Path | None,
    scope: Path,
    minutes: int,
    out: Path,
    as_json: bool,
) -> None:
    """Grant what a request asks for, as a part of what a credential of one's own grants."""
    _check_free(out)
    if key is not None and not key.exists():
        raise Misuse(f"{key} is missing; give the key that the credential is for")
    if key is None and state is None:
        raise Misuse("say whose key: --key FILE, or --state DIR for a recorder's")
    signer = identity.load(state or Path()) if key is None else key_at(key, HOLDER_TITLE)[0]
    made = holder.delegate(
        credential.read(read_bounded(held, CREDENTIAL.max_bytes)),
        signer,
        request.read(read_bounded(asked, REQUEST.max_bytes)),
        scope_file.load(scope),
        minutes * 60,
        int(time.time()),
    )
    create_file(out, made.signed.raw, PUBLIC)
    if as_json:
        output.json_text({"credential": made.hash.hex(), "subject": made.terms.subject, "path": str(out)})
        return
    output.line(f"{out}: {made.terms.subject}, {made.terms.role}, until {utc_text(made.terms.expires_s)}")
    output.line(f"credential {made.hash.hex()}, below {made.terms.issuer}'s; the recorder needs both")
    output.line(f"next: lineage credential install {held} {out}")


def read_bounded(path: Path, most: int) -> bytes:
    """A file's content, no more of it than its reader needs to see that it is too large."""
    with path.open("rb") as file:
        return file.read(most + 1)


def _check_free(out: Path) -> None:
    if out.exists():
        raise Misuse(f"{out} exists; nothing is overwritten: choose another name")


def _print(out: Path, name: str, role: str, signer: SeedSigner, made: Path | None, *, as_json: bool) -> None:
    if as_json:
        output.json_text({"path": str(out), "name": name, "role": role, "key": signer.public_key.hex()})
        return
    if made is not None:
        output.line(f"{made}: a new key (0600); it is needed wherever {name} signs, and nobody else may have it")
    output.line(f"{out}: {name} asks for the role {role}; key id {kid(signer.public_key).hex()}")
    output.say(
        f"next, where the authority is: lineage authority issue {out.name} --scope FILE.toml --days N --out FILE"
    )
    output.say(f"or, by who passes on a part of a credential of that role: lineage identity delegate {out.name}")
