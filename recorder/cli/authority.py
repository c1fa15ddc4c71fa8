"""`lineage authority`: a small authority for a fleet."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from recorder.authority import directory, scope_file
from recorder.authority.directory import Authority
from recorder.authority.errors import AuthorityError
from recorder.cli import output
from recorder.cli.identity import PUBLIC, ROLES, read_bounded
from recorder.cli.options import json_option
from recorder.core import credential, request
from recorder.core.calendar import utc_text
from recorder.core.credential import Credential
from recorder.core.errors import FormatError, LineageError, Misuse
from recorder.core.keys import kid
from recorder.core.scope import Role, Scope
from recorder.core.sign1 import CREDENTIAL, REQUEST
from recorder.store.layout import create_file

AUTHORITY_ENV = "LINEAGE_AUTHORITY"
SUFFIX = ".request"
_DIRECTORY = click.Path(path_type=Path, file_okay=False)
_PATH = click.Path(path_type=Path)

authority_option = click.option(
    "--authority", "path", type=_DIRECTORY, envvar=AUTHORITY_ENV, required=True, metavar="DIR",
    help=f"Its directory; else ${AUTHORITY_ENV}.",
)  # fmt: skip


@click.group(
    "authority",
    epilog="Example: lineage authority init --authority acme-authority --name acme. What it makes, matrix.cose, "
    "credentials and revoked.cose, goes to the recorders by `lineage credential install`.",
)
def command() -> None:
    """Issue and revoke credentials: an authority in a directory, its root key apart from the one for every day."""


@command.command("init", epilog="Example: lineage authority init --authority acme-authority --name acme")
@authority_option
@click.option("--name", required=True, help="What the names of its keys begin with, such as the fleet's.")
@json_option
def init(*, path: Path, name: str, as_json: bool) -> None:
    """Make an authority: a root, and an issuer that the root recognises."""
    made = directory.make(path, name, int(time.time()))
    if as_json:
        output.json_text(_described(made))
        return
    output.line(f"{path}: authority {made.name}, with root {made.matrix.root.name} and issuer {made.issuer.name}")
    output.line(f"keep {path / 'root-1.key'} apart, in two copies: only revoke and rotate need it")
    _say_trust(made)


@command.command(
    "issue",
    epilog="Examples: lineage authority issue arm-7.request --scope arm.toml --days 365 --out arm-7.cose; "
    "lineage authority issue --batch requests --role platform --scope arm.toml --days 365 --out credentials",
)
@authority_option
@click.argument("asked", metavar="[REQUEST]", type=_PATH, required=False)
@click.option("--batch", type=_DIRECTORY, metavar="DIR", help=f"Every file *{SUFFIX} in DIR instead of one REQUEST.")
@click.option(
    "--role", type=click.Choice(ROLES), metavar="ROLE", help="Refuse what asks for another one; required with --batch."
)
@click.option("--scope", type=_PATH, required=True, metavar="FILE.toml", help="What to grant; see configs/scope.toml.")
@click.option("--days", type=click.IntRange(1, 36_500), required=True, metavar="N", help="It ends after so many.")
@click.option("--out", type=_PATH, required=True, metavar="PATH", help="The file to make; with --batch, a directory.")
@json_option
def issue(
    *,
    path: Path,
    asked: Path | None,
    batch: Path | None,
    role: Role | None,
    scope: Path,
    days: int,
    out: Path,
    as_json: bool,
) -> int:
    """Check that a request was signed by the key in it, and grant it a scope.

    The key id says which key asks: compare it with what the other side reads out.
    """
    if (asked is None) == (batch is None):
        raise Misuse("name one REQUEST, or --batch DIR")
    if batch is not None and role is None:
        raise Misuse("say --role ROLE: in a batch nobody looks at each request")
    authority, granted = directory.load(path), scope_file.load(scope)
    if asked is not None:
        issued = _issue(authority, asked, role, granted, days, out)
        if as_json:
            output.json_text(_issued(issued, out))
        else:
            output.line(_line(issued, out))
        return 0
    assert batch is not None, "refused above"
    requests = sorted(batch.glob(f"*{SUFFIX}"))
    if not requests:
        raise Misuse(f"{batch} holds no *{SUFFIX}")
    out.mkdir(exist_ok=True)
    refused = 0
    with output.Progress("issuing", "requests") as progress:
        for number, item in enumerate(requests, 1):
            target = out / f"{item.name.removesuffix(SUFFIX)}.cose"
            try:
                issued = _issue(authority, item, role, granted, days, target)
            except (LineageError, OSError) as error:
                refused += 1
                _say_refused(item, error, as_json=as_json)
            else:
                if as_json:
                    output.json_line(_issued(issued, target))
                else:
                    output.line(_line(issued, target))
            progress(number, len(requests))
    if not as_json:
        output.line(f"{len(requests) - refused} of {len(requests)} requests granted, {refused} refused; in {out}")
    return 1 if refused else 0


@command.command("revoke", epilog="Example: lineage authority revoke ann.cose --reason 'tablet lost'")
@authority_option
@click.argument("named", metavar="FILE|HASH...", nargs=-1, required=True)
@click.option("--reason", required=True, metavar="TEXT", help="Why; stands in the list, which everyone reads.")
@json_option
def revoke(*, path: Path, named: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Take credentials back: revoked.cose, for `lineage credential install`; it acts from its entry on."""
    authority = directory.load(path)
    issued = directory.issued_by(authority)
    hashes = [_named(text, issued) for text in named]
    listed = directory.revoke(authority, hashes, reason, int(time.time()))
    if as_json:
        revoked = [item._asdict() | {"credential": item.credential.hex()} for item in listed.revoked]
        output.json_text({"version": listed.version, "revoked": revoked})
        return
    for hash_ in hashes:
        held = issued.get(hash_)
        whose = f"{held.terms.subject}, {held.terms.role}" if held else "issued below one of this authority's"
        output.line(f"revoked {hash_.hex()}: {whose}")
    output.say(
        f"{path / directory.REVOKED}: version {listed.version}, {len(listed.revoked)} in all; "
        f"bring it to the recorders: lineage credential install"
    )


@command.command("rotate", epilog="Example: lineage authority rotate --drop-old")
@authority_option
@click.option("--root", is_flag=True, help="The root instead of the issuer: every trust file has to follow.")
@click.option("--drop-old", is_flag=True, help="No longer recognise earlier issuers: what they signed ends with it.")
@json_option
def rotate(*, path: Path, root: bool, drop_old: bool, as_json: bool) -> None:
    """Make the next issuer, or the next root, and a new recognition matrix for the recorders."""
    if root and drop_old:
        raise Misuse("--drop-old is for issuers: rotate those and the root one after the other")
    authority, now_s = directory.load(path), int(time.time())
    rotated = (
        directory.rotate_root(authority, now_s)
        if root
        else directory.rotate_issuer(authority, now_s, keep=not drop_old)
    )
    if as_json:
        output.json_text(_described(rotated))
        return
    new = rotated.matrix.root.name if root else rotated.issuer.name
    output.line(f"{new} is in force; {path / directory.MATRIX}: version {rotated.matrix.version}")
    output.say("bring the matrix to the recorders: lineage credential install")
    if root:
        _say_trust(rotated)
    elif drop_old:
        output.say("what earlier issuers signed is no longer recognised: issue anew what is still needed")


@command.command("show", epilog="Example: lineage authority show")
@authority_option
@json_option
def show(*, path: Path, as_json: bool) -> None:
    """Print whom the authority recognises and what it issued."""
    authority = directory.load(path)
    issued, listed = directory.issued_by(authority), directory.revocations(authority)
    revoked = {item.credential: item.reason for item in listed.revoked} if listed else {}
    if as_json:
        credentials = [_issued(item, None) | {"revoked": revoked.get(hash_)} for hash_, item in issued.items()]
        output.json_text({**_described(authority), "credentials": credentials})
        return
    output.line(
        f"authority {authority.name}: matrix version {authority.matrix.version} by {authority.matrix.root.name}"
    )
    for issuer in authority.matrix.issuers:
        output.line(f"recognised: {issuer.name}, key id {kid(issuer.key).hex()}")
    if not issued:
        output.say("nothing was issued yet")
        return
    rows = sorted(issued.values(), key=lambda item: (item.terms.subject, item.terms.issued_s))
    output.table(
        ("subject", "role", "until", "credential", "revoked"),
        [
            (item.terms.subject, item.terms.role, utc_text(item.terms.expires_s), item.hash.hex()[:16],
             revoked.get(item.hash, ""))
            for item in rows
        ],
    )  # fmt: skip


def _issue(authority: Authority, asked: Path, role: Role | None, scope: Scope, days: int, out: Path) -> Credential:
    if out.exists():
        raise Misuse(f"{out} exists; nothing is overwritten: choose another name")
    wanted = request.read(read_bounded(asked, REQUEST.max_bytes))
    if role is not None and wanted.role != role:
        raise AuthorityError(f"{wanted.name} asks for the role {wanted.role}, not {role}")
    issued = directory.issue(authority, wanted, scope, days, int(time.time()))
    create_file(out, issued.signed.raw, PUBLIC)
    return issued


def _named(text: str, issued: dict[bytes, Credential]) -> bytes:
    """The hash of a credential, by its file or the first 8 or more digits of its hash."""
    if Path(text).is_file():
        return credential.read(read_bounded(Path(text), CREDENTIAL.max_bytes)).hash
    found = [hash_ for hash_ in issued if len(text) >= 8 and hash_.hex().startswith(text.lower())]
    if len(found) != 1:
        raise Misuse(
            f"{text[:80]!r} is no file, and {len(found)} credentials of this authority have a hash that begins so; "
            f"`lineage authority show` lists them"
        )
    return found[0]


def _line(issued: Credential, out: Path) -> str:
    terms = issued.terms
    until = utc_text(terms.expires_s)
    return (
        f"{out}: {terms.subject}, {terms.role}, key id {kid(terms.key).hex()}, until {until}; {issued.hash.hex()[:16]}"
    )


def _issued(issued: Credential, out: Path | None) -> dict[str, Any]:
    terms = issued.terms
    said = {
        "credential": issued.hash.hex(), "subject": terms.subject, "role": terms.role, "key": terms.key.hex(),
        "issuer": terms.issuer, "not_before_s": terms.not_before_s, "expires_s": terms.expires_s,
    }  # fmt: skip
    return said if out is None else {**said, "path": str(out)}


def _say_refused(item: Path, error: LineageError | OSError, *, as_json: bool) -> None:
    why = error.detail if isinstance(error, FormatError) else str(error)
    if as_json:
        output.json_line({"request": str(item), "refused": why})
    else:
        output.line(f"{item}: refused: {why}")


def _described(authority: Authority) -> dict[str, Any]:
    return {
        "authority": authority.name,
        "root": str(authority.matrix.root),
        "matrix_version": authority.matrix.version,
        "issuer": authority.issuer.name,
        "recognised": [{"name": issuer.name, "key": issuer.key.hex()} for issuer in authority.matrix.issuers],
    }


def _say_trust(authority: Authority) -> None:
    output.say()
    output.say(
        "The trust file of recorders (`lineage init --trust FILE`) and auditors, in place of an earlier root's line:"
    )
    output.line(f"  root {authority.matrix.root}")
    output.say("  quorum none")
