"""`lineage credential`: bring credentials, matrices and revocations to a recorder; list and show what a lineage has."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import click

from recorder.audit.describe import plain
from recorder.audit.installed import CREDENTIAL, MATRIX, REVOCATION, Credentials, Held, credentials
from recorder.cli import output
from recorder.cli.identity import read_bounded
from recorder.cli.options import json_option, opened, socket_option, source_options, state_option
from recorder.cli.saying import Said, say_to, socket_of
from recorder.cli.trustfile import read_trust
from recorder.core import matrix, revocation
from recorder.core.calendar import utc_text
from recorder.core.credential import read as read_credential
from recorder.core.errors import FormatError, Misuse
from recorder.core.keys import kid
from recorder.core.kinds import Kind
from recorder.core.note import VerifierKey
from recorder.core.scope import ANY, Scope
from recorder.core.scope import to_value as scope_value
from recorder.core.sign1 import MATRIX as MATRIX_USE
from recorder.store.layout import TRUST

_PATH = click.Path(path_type=Path, readable=False)
_ORDER = (MATRIX, CREDENTIAL, REVOCATION)  # so that whatever stands on another one finds it there
_HASH_CHARS = 16

trust_option = click.option("--trust", type=_PATH, metavar="FILE", help="Trust file; else that of the state.")


class Brought(NamedTuple):
    """A file that was read: the claim that its bytes become, and what it is in words."""

    path: Path
    claim: str
    raw: bytes
    words: str


@click.group("credential", epilog="Example: lineage credential install arm-7.cose --state /var/lib/lineage")
def command() -> None:
    """Credentials: what a recorder has of them, and bringing it more."""


@command.command(
    "install",
    epilog="Example: lineage credential install authority/matrix.cose arm-7.cose --state /var/lib/lineage. In "
    "whatever order the files stand, a matrix goes first, then credentials, then revocations.",
)
@click.argument("files", type=_PATH, metavar="FILE...", nargs=-1, required=True)
@state_option
@socket_option
@json_option
def install(*, files: tuple[Path, ...], state: Path | None, socket: Path | None, as_json: bool) -> None:
    """Bring credentials, a matrix or revocation lists to a running recorder; each acts from its entry on."""
    to = socket_of(state, socket)
    brought = sorted(map(_brought, files), key=lambda one: _ORDER.index(one.claim))
    listed = []
    for one in brought:
        digest = _hash(one)
        said = say_to(to, Kind.CREDENTIAL, body={one.claim: one.raw}, control=[digest])
        listed.append(_said(one, digest, said, as_json=as_json))
    if as_json:
        output.json_text({"installed": listed})


@command.command("list", epilog="Example: lineage credential list --state /var/lib/lineage")
@source_options
@trust_option
@json_option
def list_(*, state: Path | None, bundle: Path | None, socket: Path | None, trust: Path | None, as_json: bool) -> None:
    """List the credentials of a lineage, whom its matrix recognises, and what is revoked."""
    found = _found(state, bundle, socket, trust)
    if as_json:
        output.json_text(
            {
                "credentials": [_described(one) for one in found.held],
                "matrix": found.matrix
                and {
                    "entry": found.matrix[0].id,
                    "version": found.matrix[1].version,
                    "recognised": [issuer.name for issuer in found.matrix[1].issuers],
                },
                "revocations": [
                    {"entry": one.id, "version": listed.version, "credentials": [it[0].hex() for it in listed.revoked]}
                    for one, listed in found.lists
                ],
                "unreadable": [one.id for one in found.unreadable],
            }
        )  # fmt: skip
        return
    if found.matrix is not None:
        one, recognised = found.matrix
        names = ", ".join(issuer.name for issuer in recognised.issuers) or "nobody"
        output.line(f"matrix version {recognised.version} by {recognised.root.name}, entry {one.id}: {names}")
    for one in found.unreadable:
        output.line(f"entry {one.id}: what it brought is withheld, deleted or cannot be read")
    if not found.held:
        output.say("no credentials; `lineage credential install FILE...` brings them to a running recorder")
        return
    output.table(
        ("subject", "role", "scope", "from", "until", "credential", "entry", "revoked"),
        [
            (one.credential.terms.subject, one.credential.terms.role, scope_words(one.credential.terms.scope),
             utc_text(one.credential.terms.not_before_s), utc_text(one.credential.terms.expires_s),
             one.credential.hash.hex()[:_HASH_CHARS], one.installed.id, _revoked(one))
            for one in found.held
        ],
    )  # fmt: skip


@command.command("show", epilog="Example: lineage credential show arm-7 --state /var/lib/lineage")
@click.argument("named", metavar="SUBJECT|HASH")
@source_options
@trust_option
@json_option
def show(
    *, named: str, state: Path | None, bundle: Path | None, socket: Path | None, trust: Path | None, as_json: bool
) -> None:
    """Print the credentials of a subject, or the one whose hash begins so, whole."""
    found = [
        one
        for one in _found(state, bundle, socket, trust).held
        if one.credential.terms.subject == named or one.credential.hash.hex().startswith(named.lower())
    ]
    if not found:
        raise Misuse(f"no credential here is of subject {named[:80]!r} or has a hash that begins so")
    if as_json:
        output.json_text([_described(one) for one in found])
        return
    for one in found:
        _print(one)


def _brought(path: Path) -> Brought:
    """Read a file for what it is: the three have payloads of different shapes."""
    raw = read_bounded(path, MATRIX_USE.max_bytes)
    try:
        terms = read_credential(raw).terms
    except FormatError as error:
        reason = error.detail
    else:
        return Brought(path, CREDENTIAL, raw, f"{terms.subject}, {terms.role}, until {utc_text(terms.expires_s)}")
    try:
        listed = revocation.read(raw)
        return Brought(path, REVOCATION, raw, f"revocation list version {listed.version}, {len(listed.revoked)} in all")
    except FormatError:
        pass
    try:
        version, issuers = matrix.stated(raw)
        return Brought(path, MATRIX, raw, f"matrix version {version}, {len(issuers)} recognised")
    except FormatError:
        raise Misuse(f"{path} is no credential, no recognition matrix and no revocation list: {reason}") from None


def _hash(one: Brought) -> bytes:
    return sha256(one.raw).digest()


def _said(one: Brought, digest: bytes, said: Said, *, as_json: bool) -> dict[str, Any]:
    if not as_json:
        output.line(f"{said.id}: {one.words}; {digest.hex()}")
    return {"file": str(one.path), "what": one.claim, "hash": digest.hex(), "entry": said.id}


def _found(state: Path | None, bundle: Path | None, socket: Path | None, trust: Path | None) -> Credentials:
    roots = _roots(state if bundle is None else None, trust)
    if not roots:
        output.note("no root is known here, so no matrix and no revocation by a root counts: name --trust FILE")
    with opened(state, bundle, socket) as source:
        return credentials(source, roots)


def _roots(state: Path | None, trust: Path | None) -> tuple[VerifierKey, ...]:
    """Of the trust file that is named, else of the state's where it has one."""
    path = trust or (state / TRUST if state is not None else None)
    if path is None or (trust is None and not path.exists()):
        return ()
    return read_trust(path).roots


def scope_words(scope: Scope) -> str:
    """A scope in short: classes, actuators, limits; what it bounds beside them is named only."""
    parts = [_set(scope.action_classes), _set(scope.actuators)]
    if scope.limits == ANY:
        parts.append("any magnitude")
    else:
        parts += [f"{low:g}..{high:g} {unit}" for unit, (low, high) in sorted(scope.limits.items())]
    if scope.areas != ANY:
        parts.append(f"{len(scope.areas)} areas")
    if scope.times != ANY:
        parts.append(f"{len(scope.times)} times")
    if scope.counts is not None:
        parts.append(f"{scope.counts.commits} commits, {scope.counts.seconds} s")
    return "; ".join(parts)


def _set(part: str | frozenset[str]) -> str:
    return "any" if isinstance(part, str) else " ".join(sorted(part)) or "nothing"


def _revoked(one: Held) -> str:
    if one.revoked is None:
        return ""
    seq, reason = one.revoked.installed.seq, one.revoked.reason
    if one.revoked.acts:
        return f"from seq {seq}: {reason}"
    return f"listed at seq {seq} by nobody known above it: {reason}"


def _described(one: Held) -> dict[str, Any]:
    terms = one.credential.terms
    revoked = one.revoked and {
        "from_seq": one.revoked.installed.seq, "reason": one.revoked.reason, "acts": one.revoked.acts,
    }  # fmt: skip
    return {
        "credential": one.credential.hash.hex(), "entry": one.installed.id, "revoked": revoked,
        **plain(terms._replace(scope=None)._asdict()),  # type: ignore[arg-type]  # a Struct, below
        "scope": plain(scope_value(terms.scope)),
    }  # fmt: skip


def _print(one: Held) -> None:
    terms = one.credential.terms
    output.line(f"{terms.subject}, {terms.role}; key id {kid(terms.key).hex()}")
    output.line(f"credential {one.credential.hash.hex()}, entry {one.installed.id}")
    under = "" if terms.delegated_from is None else f", delegated from {terms.delegated_from.hex()}"
    output.line(f"issued by {terms.issuer}{under}; from {utc_text(terms.not_before_s)} to {utc_text(terms.expires_s)}")
    output.say("revoked: " + (_revoked(one) or "no"))
    for name, value in plain(scope_value(terms.scope)).items():
        output.line(f"  {name}: {'not bounded' if value is None else json.dumps(value)}")
