"""`lineage query`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import click

from recorder.audit.axis import actuator_number, declared
from recorder.audit.carried import BundleSource
from recorder.audit.confirmed import unconfirmed_in
from recorder.audit.describe import described, line
from recorder.audit.linkcheck import Closed, Finding, check_links
from recorder.audit.matching import FIELDS, Counted, Match, Query
from recorder.audit.span import Span, resolve
from recorder.audit.state import StateSource
from recorder.cli import output
from recorder.cli.options import json_option, opened, source_options, span_options
from recorder.cli.unread import print_unread
from recorder.core.errors import Misuse
from recorder.core.kinds import Decision, Kind, Stage

EXIT_OPEN = 1
_DECISIONS = click.Choice([one.name.lower() for one in Decision])
_STAGES = click.Choice([one.name.lower() for one in Stage])
_KINDS = click.Choice([one.name.lower() for one in Kind])

Source = StateSource | BundleSource


@click.command(
    "query",
    epilog="Examples: lineage query --operator ann --decision refused --since 1h; lineage query --count-by task -n 0; "
    "lineage query --links",
)
@click.option("--entity", metavar="NAME", help="In who as platform, operator, authority or requested_by.")
@click.option("--operator", metavar="NAME", help='Claim of who; "(none)" finds those without, here and below.')
@click.option("--task", metavar="NAME", help="Claim of who.")
@click.option("--delegation", metavar="NAME|HASH", help="Claim of who: a name, or 8 digits or more of a hash.")
@click.option("--capability", metavar="NAME", help="Claim of who.")
@click.option("--class", "--action-class", "action_class", metavar="NAME", help="Of the entry.")
@click.option("--decision", type=_DECISIONS, help="Of the entry.")
@click.option("--stage", type=_STAGES, help="Of the entry.")
@click.option("--actuator", metavar="NAME", help="That a commit moves, or a cycle admits.")
@click.option("--kind", type=_KINDS, help="Of the entry.")
@span_options
@click.option("--count-by", type=click.Choice(FIELDS), help="Count for each value of this.")
@click.option("-n", "count", type=click.IntRange(min=0), default=50, show_default=True, help="Entries to list.")
@click.option("--unconfirmed", is_flag=True, help="With a commit that no confirmation names and nobody gave up.")
@click.option("--links", is_flag=True, help="Check instead that commits, cycles and confirmations have each other.")
@source_options
@json_option
def command(
    *,
    state: Path | None,
    bundle: Path | None,
    socket: Path | None,
    since: str | None,
    until: str | None,
    count_by: str | None,
    count: int,
    links: bool,
    unconfirmed: bool,
    as_json: bool,
    **filters: str | None,
) -> int:
    """List and count the entries of which all that is asked for is true.

    With --links: every commit has its why, every cycle its commits or its end, every confirmation its commit, every
    stage the one before it, which has ended; what does not close is listed, and the exit status is 1.
    """
    wanted = {name.replace("_", "-"): value for name, value in filters.items() if value is not None}
    if links and (wanted or unconfirmed or since or until or count_by):
        raise Misuse("--links looks at the whole lineage; leave out filters, --since, --until and --count-by")
    with opened(state, bundle, socket) as source:
        if links:
            return _links(source, count, as_json=as_json)
        actuator = actuator_number(source, wanted["actuator"]) if "actuator" in wanted else None
        span = resolve(source, since, until)
        if span is None:
            output.note("no entries in that span")
            span = Span(0, -1)
        names = declared(source) if count_by == "actuator" else dict(source.actuators())
        query = Query(wanted, actuator, count_by, unconfirmed_in(source) if unconfirmed else None)
        matches = query.run(source, span, lambda number: names.get(number, f"#{number}"))
        listed: list[dict[str, Any]] = []
        for match in islice(matches, count):
            if as_json:
                listed.append(described(match.held, names) | {"asked_by": match.who})
            else:
                _print_match(match, names)
        for _ in matches:
            pass  # they are counted as they go by
    if as_json:
        output.json_text(_counts(query) | {"is_whole": source.is_whole, "listed": listed})
    else:
        _print_counts(query, count_by, count, is_whole=source.is_whole)
    return 0


def _print_match(match: Match, names: dict[int, str]) -> None:
    printed, at, sort, gist = line(match.held, names)
    by = "  ".join(match.who[name] for name in ("operator", "task") if not match.who[name].startswith("("))
    output.line(f"{printed:<18} {at:<25} {sort:<21} {by:<20} {gist}".rstrip())


def _counts(query: Query) -> dict[str, Any]:
    by_value = {value: counted._asdict() for value, counted in query.by_value.items()}
    return {**query.total._asdict(), "by_value": by_value, "undecided": query.undecided, "unread": query.unread}


def _print_counts(query: Query, count_by: str | None, count: int, *, is_whole: bool) -> None:
    total = query.total
    if count and total.entries > count:
        output.line(f"... and {total.entries - count:,} more (-n)")
    if count_by is not None and query.by_value:
        ordered = sorted(query.by_value.items(), key=lambda one: (-one[1].entries, one[0]))
        output.table(
            (count_by, *Counted._fields),
            [(value, *(f"{n:,}" for n in many)) for value, many in ordered],
        )
    output.line(f"{total.entries:,} entries with {total.commits:,} commits and {total.rows:,} rows")
    if query.undecided:
        output.say(
            f"of {query.undecided:,} more who asked cannot be told: the claims are withheld, deleted or not here"
        )
    print_unread(query.unread, is_whole=is_whole)


def _links(source: Source, count: int, *, as_json: bool) -> int:
    listed: list[Finding] = []

    def found(finding: Finding) -> None:
        if len(listed) < count:
            listed.append(finding)

    closed = check_links(source, found)
    if as_json:
        output.json_text(
            closed._asdict() | {"is_whole": source.is_whole, "listed": [finding._asdict() for finding in listed]}
        )
    else:
        _print_links(closed, listed, is_whole=source.is_whole)
    return EXIT_OPEN if closed.findings else 0


def _print_links(closed: Closed, listed: list[Finding], *, is_whole: bool) -> None:
    for finding in listed:
        output.line(f"entry {finding.seq}: {finding.error}: {finding.detail}")
    if closed.findings > len(listed):
        output.line(f"... and {closed.findings - len(listed):,} more (-n)")
    output.line(f"{closed.acts:,} entries with commits, each held against its why")
    output.line(f"{closed.cycles:,} cycles: {closed.ended:,} ended, {closed.open:,} open")
    output.line(f"{closed.confirmations:,} commits confirmed")
    if closed.stages:
        output.line(f"{closed.stages:,} stages took over from the one before")
    if closed.elsewhere:
        output.line(f"{closed.elsewhere:,} links lead to what is not here")
    print_unread(closed.unread, is_whole=is_whole, left_out="was not judged")
    output.say("all links close" if not closed.findings else f"{closed.findings:,} links DO NOT CLOSE")
