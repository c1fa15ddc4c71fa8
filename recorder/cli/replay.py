"""`lineage replay`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click

from recorder.audit.carried import BundleSource
from recorder.audit.describe import plain
from recorder.audit.redecide import Redecided
from recorder.audit.replaying import UNREAD, decision_of, replay_decisions
from recorder.audit.source import entry_named
from recorder.audit.span import Span, resolve
from recorder.audit.state import StateSource
from recorder.cli import output
from recorder.cli.options import json_option, opened, source_options
from recorder.cli.unread import print_unread
from recorder.core.errors import Misuse

EXIT_DIFFERENT, EXIT_UNREADABLE = 1, 2
_WITHOUT = {
    "external": "decided elsewhere: an evaluator's grant, or the controller's word",
    "table": "within the configured table, before any policy",
    "withheld": "withheld, deleted or not here",
    "unasked": "refused before any clause was asked",
}


@click.command(
    "replay",
    epilog="Examples: lineage replay 1205-4f09ab77 --state /var/lib/lineage; lineage replay 1000..2000 --json; "
    "lineage replay --all --bundle arm-7.lineage",
)
@click.argument("wanted", metavar="[ID|A..B]", required=False)
@click.option("--all", "is_all", is_flag=True, help="Every decision there is.")
@click.option(
    "-n", "count", type=click.IntRange(min=0), default=20, show_default=True, help="Differing decisions to list."
)
@source_options
@json_option
def command(
    *,
    wanted: str | None,
    is_all: bool,
    count: int,
    state: Path | None,
    bundle: Path | None,
    socket: Path | None,
    as_json: bool,
) -> int:
    """Make recorded decisions again from what they consumed, under the policy bundle that the lineage holds.

    ID is a cycle, a refusal, or a commit (then its cycle is meant); A and B are written as --since and --until of
    `lineage query`. Exit status: 0 all came out the same, 1 one did not, 2 misuse or unreadable.  Signatures are for
    `lineage verify`.
    """
    if (wanted is None) != is_all:
        raise Misuse("name a decision (ID), a range (A..B), or all of them (--all)")
    listed: list[Redecided] = []

    with opened(state, bundle, socket) as source:
        span, is_one = _span(source, wanted)

        def taken(one: Redecided) -> None:
            if is_one or (one.outcome == "different" and len(listed) < count):
                listed.append(one)

        with output.Progress("replaying") as progress:
            counts = replay_decisions(source, span, taken, progress)
        is_whole = source.is_whole
    if is_one and not listed:
        raise Misuse(f"entry {span.first} holds no decision that can be read; run `lineage verify`")
    if as_json:
        shown = [_json(one) for one in listed]
        numbers = {name: counts[name] for name in ("same", "different", *_WITHOUT, UNREAD)}
        output.json_text({"asked": wanted, **numbers, "is_whole": is_whole, "listed": shown})
    else:
        for one in listed:
            _print_one(one)
        if not is_one:
            _print_counts(counts, len(listed), is_whole=is_whole)
    return EXIT_DIFFERENT if counts["different"] else EXIT_UNREADABLE if counts[UNREAD] else 0


def _span(source: StateSource | BundleSource, wanted: str | None) -> tuple[Span, bool]:
    """What is asked for, and whether it is a single decision."""
    if wanted is None:
        return Span(0, source.size - 1), False
    since, dots, until = wanted.partition("..")
    if not dots:
        seq = decision_of(entry_named(source, wanted)[0])
        return Span(seq, seq), True
    span = resolve(source, since or None, until or None)
    if span is None:
        raise Misuse(f"no entries in {wanted}")
    return span, False


def _json(one: Redecided) -> dict[str, Any]:
    differences = [plain(found) for found in one.differences]
    return {**one._asdict(), "differences": differences, "clauses": [plain(clause) for clause in one.clauses]}


def _print_one(one: Redecided) -> None:
    words = f"without artefact: {_WITHOUT[one.outcome]}" if one.outcome in _WITHOUT else one.outcome
    output.line(f"{one.id}  {one.kind} {'' if one.kind == 'refusal' else one.decision + ' '} {words}")
    for found in one.differences:
        output.line(f"    DIFFERENT {found}")
    for text in one.told:
        output.line(f"    {text}")
    for clause in one.clauses:
        output.line(f"    clause {clause.id} ({clause.effect}): {clause.truth}")


def _print_counts(counts: Counter[str], listed: int, *, is_whole: bool) -> None:
    if counts["different"] > listed:
        output.say(f"... and {counts['different'] - listed:,} more that differ (-n)")
    replayed = counts["same"] + counts["different"]
    output.say(f"{replayed:,} decisions replayed: {counts['same']:,} same, {counts['different']:,} different")
    for name, words in _WITHOUT.items():
        if counts[name]:
            output.say(f"{counts[name]:,} without artefact: {words}")
    print_unread(counts[UNREAD], is_whole=is_whole)
