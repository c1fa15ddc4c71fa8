"""`lineage policy show`: a signed bundle of a file, or the policy in force of a lineage."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
from msgspec import to_builtins

from recorder.audit.describe import plain
from recorder.audit.installed import Installed, installed
from recorder.audit.span import time_text
from recorder.cli import output
from recorder.cli.identity import read_bounded
from recorder.cli.options import json_option, opened, source_options
from recorder.cli.trustfile import read_trust
from recorder.core import matrix as matrices
from recorder.core import policy as policies
from recorder.core.credential import read as read_credential
from recorder.core.delegation import Moment
from recorder.core.errors import FormatError, Misuse
from recorder.core.kinds import Kind
from recorder.core.policy import ANY, Policy, PolicyBundle
from recorder.core.policy_classes import WitnessRule
from recorder.core.policy_issue import Issued, judge
from recorder.core.retention import rules_in
from recorder.core.sign1 import CREDENTIAL, MATRIX, POLICY

EXIT_FAILED = 1
_PATH = click.Path(path_type=Path, readable=False)
_NS = 1_000_000_000


@click.command(
    "show",
    epilog="Examples: lineage policy show --state /var/lib/lineage, the one in force there; lineage policy show "
    "arm-1.policy --trust trust.txt; of an intermediate: --credential intermediate.cose besides, and --matrix "
    "matrix.cose where no root issued it",
)
@click.argument("file", type=_PATH, metavar="[FILE]", required=False)
@source_options
@click.option("--trust", type=_PATH, metavar="FILE", help="Trust file; without one nobody checks the signature.")
@click.option(
    "--credential", "credentials", type=_PATH, multiple=True, metavar="FILE", help="Of who signed, or above that one."
)
@click.option("--matrix", type=_PATH, metavar="FILE", help="Recognition matrix.")
@json_option
def show(
    *,
    file: Path | None,
    state: Path | None,
    bundle: Path | None,
    socket: Path | None,
    trust: Path | None,
    credentials: tuple[Path, ...],
    matrix: Path | None,
    as_json: bool,
) -> int:
    """Print a signed bundle, of FILE or the one in force of a lineage.

    Exit status 1 where who signed it may not, or it is not in force now.
    """
    brought = None
    read: PolicyBundle | None
    if file is not None:
        read = policies.read(read_bounded(file, POLICY.max_bytes))
    else:
        brought = _in_force(state, bundle, socket)
        read = _signed(brought.raw)
        if read is None:
            return _table(brought, as_json=as_json)
    judged = None if trust is None else _judged(read, trust, credentials, matrix)
    if as_json:
        entry = {} if brought is None else {"entry": brought.id}
        output.json_text({**entry, **shown(read), "issued": judged and plain(judged)})
    else:
        if brought is not None:
            output.line(f"in force since entry {brought.id}")
        _print(read, judged)
    return EXIT_FAILED if judged is not None and judged.verdict != "valid" else 0


def _in_force(state: Path | None, bundle: Path | None, socket: Path | None) -> Installed:
    """The latest policy of a lineage."""
    if state is None and bundle is None and socket is None:
        raise Misuse("name a signed bundle, or the lineage: --state DIR, --socket PATH or --bundle FILE.lineage")
    with opened(state, bundle, socket) as source:
        found = deque(installed(source, Kind.POLICY), maxlen=1)
    if not found:
        raise Misuse("no policy entry is here: this is a part of a lineage that needed none")
    latest = found.pop()
    if latest.claim is None:
        raise Misuse(f"entry {latest.id} brought the policy in force, and its bytes are withheld or deleted")
    return latest


def _signed(raw: bytes) -> PolicyBundle | None:
    """A signed bundle; None where it is the configured table.

    Raises:
        FormatError: policy_malformed: it is neither.

    """
    try:
        return policies.read(raw)
    except FormatError:
        if rules_in(raw) is None:
            raise
        return None


def _table(brought: Installed, *, as_json: bool) -> int:
    if as_json:
        output.json_text({"entry": brought.id, "policy": None})
    else:
        output.line(f"in force since entry {brought.id}: the classes that the recorder's own configuration states")
        output.say("no signed policy is installed; `lineage policy install FILE` does it")
    return 0


def words(policy: Policy) -> str:
    """A policy on one line."""
    gated = sum(rules.gated for rules in policy.classes.values())
    return (
        f"{policy.name} version {policy.version}, {len(policy.clauses)} clauses, {len(policy.inputs)} inputs, "
        f"{gated} of {len(policy.classes)} classes gated; in force from {_utc(policy.nbf)} to {_utc(policy.exp)}"
    )


def signed_by(bundle: PolicyBundle) -> str:
    """Which bundle it is, and of whom."""
    issuer = bundle.policy.issuer
    under = "as a root" if issuer is None else f"under credential {issuer.hex()}"
    return f"bundle {bundle.hash.hex()}, signed by kid {bundle.signed.kid.hex()} {under}"


def shown(bundle: PolicyBundle) -> dict[str, Any]:
    """A bundle as JSON."""
    return {
        "bundle": bundle.hash.hex(),
        "kid": bundle.signed.kid.hex(),
        "policy": plain(to_builtins(bundle.policy, builtin_types=(bytes,))),
    }


def _utc(seconds: int) -> str:
    return time_text(seconds * _NS)


def _judged(bundle: PolicyBundle, trust: Path, credentials: tuple[Path, ...], matrix: Path | None) -> Issued:
    """What the signature is worth now; revocations are in a lineage, and `verify` knows them."""
    roots = read_trust(trust).roots
    recognising = None if matrix is None else matrices.read(read_bounded(matrix, MATRIX.max_bytes), roots)
    held = [read_credential(read_bounded(path, CREDENTIAL.max_bytes)) for path in credentials]
    pool = {one.hash: one for one in held}
    now_ns = time.time_ns()
    return judge(bundle, pool, recognising, roots, {}, Moment(now_ns, now_ns, None))


def _print(bundle: PolicyBundle, judged: Issued | None) -> None:
    policy = bundle.policy
    output.line(words(policy))
    output.line(signed_by(bundle))
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
            " ".join(row.verbs), _or(row.witnesses and _asking(row.witnesses)), _or(row.confirmation),
        )
        for name, row in policy.classes.items()
    ]  # fmt: skip
    yield Table("Classes", columns, classes)


def _asking(rule: WitnessRule) -> str:
    return f"{rule.k} in {rule.within_ms} ms{', before it acts' if rule.before else ''}"


def _yes(value: bool) -> str:  # noqa: FBT001 -- a cell
    return "yes" if value else "no"


def _or(value: object, unit: str = "") -> str:
    return "-" if value is None else f"{value}{unit}"
