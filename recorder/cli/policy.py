"""`lineage policy`: check a policy's source, sign it as a bundle, show a bundle."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
from msgspec import to_builtins

from recorder.audit.describe import plain
from recorder.audit.span import time_text
from recorder.authority.directory import ROOT_TITLE
from recorder.authority.holder import TITLE as HOLDER_TITLE
from recorder.cli import EXIT_MISUSE, output
from recorder.cli.options import json_option
from recorder.core import matrix as matrices
from recorder.core import policy as policies
from recorder.core.credential import Credential
from recorder.core.credential import read as read_credential
from recorder.core.delegation import Moment, require_role
from recorder.core.errors import Misuse
from recorder.core.keys import SeedSigner
from recorder.core.policy import ANY, Policy, PolicyBundle
from recorder.core.policy_issue import Issued, judge
from recorder.core.policy_source import Source, SourceError, parse
from recorder.core.sign1 import CREDENTIAL, MATRIX, POLICY
from recorder.core.trust import TRUST_MAX_BYTES, parse_trust
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
        output.line(f"{source}: {_words(read.policy)}")
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
        output.json_text({"file": str(out), **_shown(bundle)})
        return 0
    output.line(f"{out}: {_words(read.policy)}")
    output.line(f"bundle {bundle.hash.hex()}, {_signed_by(bundle)}")
    return 0


@command.command(
    "show",
    epilog="Examples: lineage policy show arm-1.policy --trust trust.txt; of an intermediate: "
    "--credential intermediate.cose besides, and --matrix matrix.cose where no root issued it",
)
@click.argument("bundle", type=_PATH, metavar="FILE")
@click.option("--trust", type=_PATH, metavar="FILE", help="Trust file; without one nobody checks the signature.")
@click.option(
    "--credential", "credentials", type=_PATH, multiple=True, metavar="FILE", help="Of who signed, or above that one."
)
@click.option("--matrix", type=_PATH, metavar="FILE", help="Recognition matrix.")
@json_option
def show(*, bundle: Path, trust: Path | None, credentials: tuple[Path, ...], matrix: Path | None, as_json: bool) -> int:
    """Print a signed bundle; exit status 1 where who signed it may not, or it is not in force now."""
    read = policies.read(_bytes(bundle, POLICY.max_bytes))
    judged = None if trust is None else _judged(read, trust, credentials, matrix)
    if as_json:
        output.json_text({**_shown(read), "issued": judged and plain(judged)})
    else:
        _print(read, judged)
    return EXIT_FAILED if judged is not None and judged.verdict != "valid" else 0


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


def _bytes(path: Path, most: int) -> bytes:
    """A file of at most so many bytes and one more, which its reader refuses."""
    with path.open("rb") as file:
        return file.read(most + 1)


def _words(policy: Policy) -> str:
    gated = sum(rules.gated for rules in policy.classes.values())
    return (
        f"{policy.name} version {policy.version}, {len(policy.clauses)} clauses, {len(policy.inputs)} inputs, "
        f"{gated} of {len(policy.classes)} classes gated; in force from {_utc(policy.nbf)} to {_utc(policy.exp)}"
    )


def _utc(seconds: int) -> str:
    return time_text(seconds * _NS)


def _signed_by(bundle: PolicyBundle) -> str:
    issuer = bundle.policy.issuer
    under = "as a root" if issuer is None else f"under credential {issuer.hex()}"
    return f"signed by kid {bundle.signed.kid.hex()} {under}"


def _signer(path: Path, title: str) -> SeedSigner:
    try:
        return SeedSigner(keyfile.read(path, title).seed)
    except FileNotFoundError:
        raise Misuse(
            f"{path} is missing; a root signs with its root-N.key, an authority with the key of its --credential"
        ) from None


def _credential(path: Path) -> Credential:
    return read_credential(_bytes(path, CREDENTIAL.max_bytes))


def _judged(bundle: PolicyBundle, trust: Path, credentials: tuple[Path, ...], matrix: Path | None) -> Issued:
    """What the signature is worth now; revocations are in a lineage, and `verify` knows them."""
    roots = parse_trust(_bytes(trust, TRUST_MAX_BYTES)).roots
    recognising = None if matrix is None else matrices.read(_bytes(matrix, MATRIX.max_bytes), roots)
    pool = {one.hash: one for one in map(_credential, credentials)}
    now_ns = time.time_ns()
    return judge(bundle, pool, recognising, roots, {}, Moment(now_ns, now_ns, None))


def _shown(bundle: PolicyBundle) -> dict[str, Any]:
    return {
        "bundle": bundle.hash.hex(),
        "kid": bundle.signed.kid.hex(),
        "policy": plain(to_builtins(bundle.policy, builtin_types=(bytes,))),
    }


def _print(bundle: PolicyBundle, judged: Issued | None) -> None:
    policy = bundle.policy
    output.line(_words(policy))
    output.line(f"bundle {bundle.hash.hex()}, {_signed_by(bundle)}")
    if judged is None:
        output.say("signature not checked: name a trust file with --trust")
    else:
        output.line(f"{judged.verdict} now, issued by {judged.by or 'nobody known'}")
        for reason in judged.reasons:
            output.line(f"  {reason.error}: {reason.detail}")
    for title, columns, rows in _tables(policy):
        output.say()
        output.say(title)
        output.table(columns, rows)
    output.say()
    for clause in policy.clauses:
        classes = ANY if clause.classes == ANY else ", ".join(clause.classes)
        instead = f", instead: {clause.deviate_to}" if clause.deviate_to else ""
        output.line(f"{clause.id}: {clause.effect} {classes} ({clause.reason}{instead})")
        for line in clause.when.strip().splitlines():
            output.line(f"    {line}")


class Table(NamedTuple):
    """A title, the columns and the rows."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def _tables(policy: Policy) -> Iterator[Table]:
    inputs: list[tuple[str, ...]] = [
        (name, one.type, one.unit, _yes(one.required), _or(one.max_age_ms, " ms"), _yes(one.signed))
        for name, one in policy.inputs.items()
    ]
    if inputs:
        yield Table("Inputs", ("input", "type", "unit", "required", "max age", "signed"), inputs)
    columns = ("class", "gated", "without a recorder", "kept", "commits", "valid", "verbs", "witnesses", "confirmed")
    classes: list[tuple[str, ...]] = [
        (
            name, _yes(row.gated), row.on_unavailable, row.retention, str(row.max_commits), f"{row.max_valid_ms} ms",
            " ".join(row.verbs), _or(row.witnesses and row.witnesses.k), _or(row.confirmation),
        )
        for name, row in policy.classes.items()
    ]  # fmt: skip
    yield Table("Classes", columns, classes)


def _yes(value: bool) -> str:  # noqa: FBT001 -- a cell
    return "yes" if value else "no"


def _or(value: object, unit: str = "") -> str:
    return "-" if value is None else f"{value}{unit}"
