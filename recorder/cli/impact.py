"""`lineage impact`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from recorder.audit.brought import Sort, is_prefix, named
from recorder.audit.carried import BundleSource
from recorder.audit.describe import described, line
from recorder.audit.downstream import Impact, Origin, impact
from recorder.audit.links import digest_of
from recorder.audit.source import Held, entry_named
from recorder.audit.state import StateSource
from recorder.cli import output
from recorder.cli.options import json_option, opened, source_options
from recorder.cli.unread import print_unread
from recorder.core.entry import decode
from recorder.core.errors import FormatError, Misuse
from recorder.core.kinds import kind_name


@click.command(
    "impact",
    epilog="Examples: lineage impact 1205-4f09ab77 --state /var/lib/lineage; lineage impact credential ann --json; "
    "lineage impact bundle 4f09ab77 -n 0",
)
@click.argument("words", metavar="ID|DIGEST|credential NAME|bundle NAME", nargs=-1, required=True)
@click.option("-n", "count", type=click.IntRange(min=0), default=20, show_default=True, help="Entries to list.")
@source_options
@json_option
def command(
    *, words: tuple[str, ...], count: int, state: Path | None, bundle: Path | None, socket: Path | None, as_json: bool
) -> None:
    """Print what leads to an entry by references, inputs, carriers, declarations and keys, by however many steps.

    DIGEST is the hex digits of a policy bundle or a credential, the first 8 or more of them, and means it whichever
    entries brought it, as its NAME does: of the policy, or of the credential's subject. An ID is the entry alone, or a
    commit or row of it.
    """
    wanted = " ".join(words)
    with opened(state, bundle, socket) as source:
        of = _origin(source, words)
        names = dict(source.actuators())
        shown: list[dict[str, Any]] = []
        left = count

        def listed(held: Held, relation: str, via: int | None) -> None:
            nonlocal left
            if not left:
                return
            left -= 1
            if as_json:
                shown.append(described(held, names) | {"relation": relation, "via": via})
            else:
                _print_entry(held, relation, via, names)

        found = impact(source, of, listed)
    if as_json:
        counts = found._asdict() | {"kinds": {kind_name(kind): many for kind, many in sorted(found.kinds.items())}}
        output.json_text({"asked": wanted, **counts, "is_whole": source.is_whole, "listed": shown})
    else:
        _print(found, min(count, found.entries), is_whole=source.is_whole)


def _origin(source: StateSource | BundleSource, words: Sequence[str]) -> Origin:
    wanted, sort = words[-1], _sort(words)
    if (digest := digest_of(wanted)) is not None:
        return Origin(None, digest=digest)
    if sort is not None or (is_prefix(wanted) and not wanted.isdigit()):
        return Origin(None, digest=named(source, wanted, sort))
    held, place = entry_named(source, wanted)
    if place.index is None:
        return Origin(held.seq)
    try:
        commits = decode(held.raw).header.commits or []
    except FormatError:
        commits = []
    if place.index >= len(commits):
        raise Misuse(f"entry {held.seq} has {len(commits)} commits, none with index {place.index}")
    rows = getattr(commits[place.index], "rows_root", None) and commits[place.index].count
    if place.row is not None and (not isinstance(rows, int) or place.row >= rows):
        raise Misuse(f"commit {held.seq}.{place.index} has {rows or 'no'} rows, none with number {place.row}")
    return Origin(held.seq, place.index, place.row)


def _sort(words: Sequence[str]) -> Sort | None:
    """Which of both is meant where one is named by a word before it."""
    match words:
        case [_]:
            return None
        case ["bundle", _]:
            return "bundle"
        case ["credential", _]:
            return "credential"
    raise Misuse("name an ID, a DIGEST, or what it is and its name: `credential NAME`, `bundle NAME`")


def _print_entry(held: Held, relation: str, via: int | None, names: Mapping[int, str]) -> None:
    printed, at, sort, gist = line(held, names)
    led = relation if via is None else f"{relation} {via}"
    output.line(f"{printed:<18} {led:<18} {at:<25} {sort:<21} {gist}".rstrip())


def _print(found: Impact, listed: int, *, is_whole: bool) -> None:
    if listed < found.entries:
        output.say(f"... and {found.entries - listed:,} more (-n)")
    kinds = ", ".join(
        f"{many:,} {kind_name(kind)}" for kind, many in sorted(found.kinds.items(), key=lambda one: -one[1])
    )
    output.say(f"{found.entries:,} entries{f': {kinds}' if kinds else ''}")
    output.say(f"{found.commits:,} commits and {found.rows:,} rows acted")
    if found.relations:
        output.say(f"led by: {', '.join(f'{relation} {many:,}' for relation, many in sorted(found.relations.items()))}")
    if found.brought:
        output.say(f"brought by: {', '.join(map(str, found.brought))}")
    if found.gone:
        output.say(f"of {found.gone:,} entries the claims are gone: inputs and delegation in them cannot be told")
    print_unread(found.unread, is_whole=is_whole)
