"""`lineage why`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from recorder.audit.anchors import anchors
from recorder.audit.asked import asked_of
from recorder.audit.begun import begun
from recorder.audit.confirmed import confirmations_of, frame_words, is_to_be_confirmed
from recorder.audit.decisions import decided
from recorder.audit.describe import described, line, plain
from recorder.audit.links import KEY
from recorder.audit.rowview import row_of
from recorder.audit.source import LineageSource, entry_named
from recorder.audit.state import actuator_in
from recorder.audit.upstream import Node, Place, Step, Why, why
from recorder.cli import output
from recorder.cli.options import json_option, opened, source_options
from recorder.cli.trustfile import read_trust
from recorder.core.errors import Misuse
from recorder.core.ids import DIGITS, EntryId
from recorder.core.kinds import Kind

EXIT_BROKEN = 1
ITEMS_MAX = 10  # of a list, in text; --json has them all
WIDTH_MAX = 160  # of a line of claims, in text

DEPTH_MAX = 20  # of indentation, in text
_TOLD_ONCE = frozenset({"key", "actuator", "schema"})  # the commit names them already
_FIRST = ("operator", "delegation", "task", "requested_by", "capability")  # of who, which has most on one line


@click.command(
    "why", epilog="Examples: lineage why 1205.0-4f09ab77 --state /var/lib/lineage; lineage why 1205 --json | jq .holds"
)
@click.argument("wanted", metavar="ID")
@click.option(
    "--trust",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Say whether a root in it stands above, and which witnesses signed.",
)
@source_options
@json_option
def command(
    *, wanted: str, trust: Path | None, state: Path | None, bundle: Path | None, socket: Path | None, as_json: bool
) -> int:
    """Print all that a commit, a row or any entry stands on: who asked, which decision, inputs, policy, keys.

    Each entry is held against its key and its claims, each link against the entry that it names; exit status 1 where
    one of them does not hold.
    """
    trusted = None if trust is None else read_trust(trust)
    roots = trusted.roots if trusted is not None else None
    with opened(state, bundle, socket) as source:
        held, named = entry_named(source, wanted)
        index, asked = named.index, str(named)
        tree = why(source, held, index)
        root = tree.nodes[tree.root]
        witnesses = None if root.entry is None else asked_of(source, root.entry.header, held, trusted)
        row = None
        if index is not None:
            count = 0 if root.entry is None else len(root.entry.header.commits or ())
            if index >= count:
                raise Misuse(f"entry {held.seq} has {count} commits, none with index {index}")
            if named.row is not None and root.entry is not None:
                row = plain(row_of(source, held, root.entry, index, named.row))
        said = _confirmed(source, root, held.seq, index)
    names = {number: name for node in tree.nodes.values() for number, name in _declared(node).items()}
    shown = {place: _shown(node, names, index if place == tree.root else None) for place, node in tree.nodes.items()}
    if row is not None:
        shown[tree.root]["row"] = row
    if said is not None:
        shown[tree.root]["confirmed"] = said
    if witnesses is not None:
        shown[tree.root]["witnesses"] |= witnesses
    for place, words in anchors(tree, roots) if roots is not None else ():
        shown[place]["anchor"] = words
    if as_json:
        nodes = [shown[place] | {"leads_to": _leads(node, tree)} for place, node in tree.nodes.items()]
        output.json_text({"asked": asked, "holds": tree.holds, "is_cut": tree.is_cut, "entries": nodes})
    else:
        _print(tree, shown, names, asked)
    return 0 if tree.holds else EXIT_BROKEN


def _confirmed(source: LineageSource, root: Node, seq: int, index: int | None) -> list[dict[str, Any]] | None:
    """What devices said of the act that was asked about; None where nothing was and nothing is due."""
    if root.entry is None or root.entry.header.kind != Kind.ACTUATION:
        return None
    told = confirmations_of(source, seq, index)
    is_due = is_to_be_confirmed(root.entry.header, root.values.get("commits", []))
    return told if told or is_due else None


def _declared(node: Node) -> dict[int, str]:
    is_actuator = node.entry is not None and node.entry.header.kind == Kind.ACTUATOR
    return actuator_in(node.held.raw, node.held.claims) if is_actuator else {}


def _shown(node: Node, names: Mapping[int, str], index: int | None) -> dict[str, Any]:
    shown = described(node.held, names)
    if index is not None and "commits" in shown:
        shown["commits"] = shown["commits"][index : index + 1]
    why = node.values.get("why")
    if node.entry is not None and isinstance(why, dict):
        shown["decided"] = decided(node.entry.header, why)[0] or None
    return shown | {"withheld": node.withheld, "claims_gone": node.claims_gone or None, "found": node.found}


def _leads(node: Node, tree: Why) -> list[dict[str, Any]]:
    return [
        {
            "relation": step.link.relation,
            "to": _named(step, tree),
            "of": step.link.of or None,
            "remark": step.remark or None,
            "holds": not step.is_broken,
        }
        for step in node.steps
    ]


def _named(step: Step, tree: Why) -> str | None:
    """The printed id that a link leads to, its place in the entry included; None where nothing says its hash."""
    link = step.link
    digits = tree.nodes[step.to].id.split("-")[1] if step.to is not None else link.digits[:DIGITS]
    if link.seq is None or not digits:
        return None
    return str(EntryId(link.seq, link.index, link.row, digits))


# --- As text


def _print(tree: Why, shown: dict[Place, dict[str, Any]], names: Mapping[int, str], asked: str) -> None:
    """Depth first, without recursion: a chain may be longer than Python's stack."""
    printed: set[Place] = set()
    pending: list[tuple[int, str, Place]] = [(0, "", tree.root)]
    while pending:
        depth, relation, place = pending.pop()
        node, indent = tree.nodes[place], "  " * min(depth, DEPTH_MAX)
        head, at, sort, gist = line(node.held, names)
        label = f"{indent}{relation} " if relation else ""
        if place in printed or (place[0], False) in printed:
            if relation not in _TOLD_ONCE:
                output.say(f"{label}{head}  {sort}, above")
            continue
        if relation == "actuator" and depth > 1 and _says_nothing_more(node):
            continue
        printed.add(place)
        output.say(f"{label}{asked if place == tree.root and asked else head}  {sort}  {at}".rstrip())
        for text in _facts(node, shown[place], gist, only_who=place[1]):
            output.line(f"{indent}    {text}")
        for step in node.steps:
            if step.is_broken:
                output.say(f"{indent}    DOES NOT HOLD: {step.link.relation}: {step.remark}")
            elif step.to is None:
                output.line(f"{indent}    {step.link.relation}: {step.remark}")
        pending += [(depth + 1, step.link.relation, step.to) for step in reversed(node.steps) if step.to is not None]
    if tree.is_cut:
        output.say(f"cut after {len(tree.nodes)} entries; ask again of the last ones")
    output.say(f"{'holds' if tree.holds else 'DOES NOT HOLD'}: {len(tree.nodes)} entries, signatures, claims and links")


def _says_nothing_more(node: Node) -> bool:
    """An actuator of a cycle: the line of the cycle has its name."""
    return not (node.found or node.claims_gone or node.withheld or any(one.link.relation != KEY for one in node.steps))


def _facts(node: Node, shown: dict[str, Any], gist: str, *, only_who: bool) -> Iterator[str]:
    """What an entry says for itself, one line each."""
    for found in node.found:
        yield f"DOES NOT HOLD: {found}"
    if node.claims_gone:
        yield f"claims: {node.claims_gone}"
    values = node.values
    if "unreadable" in values:
        yield f"claims: {values['unreadable']}"
    if not only_who:
        yield from _acts(node, shown, gist)
    yield from _family("who", values.get("who") or {})
    if node.withheld:
        yield f"withheld: {', '.join(node.withheld)}"


def _acts(node: Node, shown: dict[str, Any], gist: str) -> Iterator[str]:
    """What was done, what became of it, who vouches for it, and why."""
    for commit in shown.get("commits", []):
        yield f"{commit['id']} {commit['actuator']}{_counted(commit)}"
        for family, claims in commit.get("claims", {}).items():
            yield from (f"  {text}" for text in _family(family, claims))
    if "row" in shown:
        yield from _family("row", shown["row"].get("values") or {})
    if "confirmed" in shown:
        yield from _confirmations(shown["confirmed"])
    if "frames" in shown:
        yield from map(frame_words, shown["frames"][:ITEMS_MAX])
        if len(shown["frames"]) > ITEMS_MAX:
            yield f"and {len(shown['frames']) - ITEMS_MAX} frames more"
    elif "commits" not in shown and gist:
        yield (None if node.entry is None else begun(node.entry.header)) or gist
    if "anchor" in shown:
        yield shown["anchor"]
    if words := (shown.get("witnesses") or {}).get("words"):
        yield f"witnesses: {words}"
    yield from _why(node)


def _confirmations(told: list[dict[str, Any]]) -> Iterator[str]:
    for one in told:
        yield f"confirmed by {one['entry']}: {frame_words(one) if 'frame' in one else 'what it says is withheld'}"
    if not told:
        yield "not confirmed: no device has said what became of it"


def _why(node: Node) -> Iterator[str]:
    why = node.values.get("why") or {}
    lines, left = ([], why) if node.entry is None else decided(node.entry.header, why)
    yield from map(_short, lines)
    yield from _family("why", left)


def _counted(commit: dict[str, Any]) -> str:
    return f", {commit['count']} rows" if "count" in commit else ""


def _family(name: str, claims: Mapping[str, Any]) -> Iterator[str]:
    """Plain claims on one line, a list of claims item by item."""
    ordered = {key: claims[key] for key in _FIRST if key in claims} | dict(claims)
    flat = {key: value for key, value in ordered.items() if not (isinstance(value, list) and value)}
    if flat:
        yield _short(f"{name}: " + ", ".join(f"{key} {_word(value)}" for key, value in flat.items()))
    for key, value in claims.items():
        if key in flat:
            continue
        if not isinstance(value[0], dict):
            yield _short(f"{name}: {key} {_word(value)}")
            continue
        for item in value[:ITEMS_MAX]:
            told = item if isinstance(item, dict) else {"": item}
            yield _short(f"{name}: {key}: " + ", ".join(f"{part} {_word(one)}" for part, one in told.items()))
        if len(value) > ITEMS_MAX:
            yield f"{name}: {key}: and {len(value) - ITEMS_MAX} more"


def _word(value: Any) -> str:  # noqa: ANN401 -- a claim's value
    told = plain(value)
    if told is None:
        return "none"
    return told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)


def _short(text: str) -> str:
    return text if len(text) <= WIDTH_MAX else f"{text[: WIDTH_MAX - 1]}…"
