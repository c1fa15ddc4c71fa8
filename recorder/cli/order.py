"""`lineage order`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from recorder.audit.check import check_source
from recorder.audit.order import Found, Step, logged_in, order, side
from recorder.audit.source import LineageSource, entry_at
from recorder.cli import output
from recorder.cli.options import json_option, opened
from recorder.cli.trustfile import read_trust
from recorder.core.entry import entry_hash
from recorder.core.errors import Misuse
from recorder.core.ids import check, entry_id, parse_typed
from recorder.core.trust import Trust

FAILED, NOT_KNOWN = 1, 3
_FILE = click.Path(path_type=Path)


@click.command(
    "order",
    epilog="Example: lineage order arm-7.lineage 2041-9c1f03ab arm-8.lineage 977-00e5d2c4 --via cart-1.lineage",
)
@click.argument("a", type=_FILE, metavar="A")
@click.argument("x", metavar="ENTRY")
@click.argument("b", type=_FILE, metavar="B")
@click.argument("y", metavar="ENTRY")
@click.option("--via", "between", type=_FILE, multiple=True, metavar="C", help="A lineage between the two.")
@click.option("--trust", type=_FILE, metavar="FILE", help="Whose lineages these have to be.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    *,
    a: Path,
    x: str,
    b: Path,
    y: str,
    between: tuple[Path, ...],
    trust: Path | None,
    as_json: bool,
) -> None:
    """Which of two entries came first, without a clock: by the heads of each other that lineages log.

    A, B and C: a state directory, the socket of a running recorder, or a .lineage file of a whole lineage. ENTRY: a
    seq, or a printed id.

    Exit status: 0 it is known, 1 a lineage fails verification, 2 it cannot be read, 3 it is not known.
    """
    trusted = None if trust is None else read_trust(trust)
    with ExitStack() as stack:
        sources = [_opened(stack, path, trusted) for path in (a, b, *between)]
        if any(source is None for source in sources):
            ctx.exit(FAILED)
        read = [source for source in sources if source is not None]
        origins = [source.origin for source in read]
        if len(set(origins[2:])) < len(origins[2:]) or set(origins[:2]) & set(origins[2:]):
            raise Misuse("a lineage is named twice; --via is for others than the two")
        listed = [logged_in(source) for source in read]
        everything = [one for logged in listed for one in logged]
        sides = [side(source, logged, everything) for source, logged in zip(read, listed, strict=True)]
        places = [(source.origin, _seq(source, text)) for source, text in zip(read[:2], (x, y), strict=True)]
        found = order(sides, places[0], places[1])
        ids = {(origin, seq): _id(read, origin, seq) for origin, seq in _mentioned(places, found.steps)}
    if as_json:
        output.json_text(_to_json(found, places, ids))
    else:
        _print(found, places, ids)
    ctx.exit(NOT_KNOWN if found.order == "not known" else 0)


def _opened(stack: ExitStack, path: Path, trust: Trust | None) -> LineageSource | None:
    """A lineage that verifies; None where it does not."""
    socket = path if path.is_socket() else None
    source = stack.enter_context(opened(None, None if socket else path, socket))
    if not source.is_whole:
        raise Misuse(f"{path} holds a part of a lineage; the order of entries needs the whole of it")
    with output.Progress(f"verifying {path}") as progress:
        report = check_source(source, trust=trust, progress=progress)
    if report.integrity == "fail":
        first = report.problems[0]
        output.note(f"{path} fails verification ({first.error}): nothing in it orders anything; see `lineage verify`")
        return None
    return source


def _seq(source: LineageSource, text: str) -> int:
    named = parse_typed(text)
    if named.seq >= source.size:
        raise Misuse(f"{source.origin} has {source.size:,} entries, and no entry {named.seq}")
    if named.digits:
        check(named.digits, entry_hash(entry_at(source, named.seq).raw))
    return named.seq


def _mentioned(places: Sequence[tuple[str, int]], steps: Sequence[Step]) -> set[tuple[str, int]]:
    return {*places, *((one.origin, one.seq) for one in steps), *((one.of, one.covers) for one in steps)}


def _id(sources: Sequence[LineageSource], origin: str, seq: int) -> str:
    source = next(one for one in sources if one.origin == origin)
    return str(entry_id(entry_hash(entry_at(source, seq).raw), seq))


def _print(found: Found, places: Sequence[tuple[str, int]], ids: dict[tuple[str, int], str]) -> None:
    (one, other) = (f"entry {ids[place]} of {place[0]}" for place in places)
    if found.order == "not known":
        output.say(f"not known: no head that is logged leads from {one} to {other}, or back")
        return
    output.say(f"{found.order}: {one} came {found.order} {other}")
    for step in found.steps:
        output.say(
            f"  entry {ids[step.origin, step.seq]} of {step.origin} logs a head of {step.of} with {step.size:,} "
            f"entries, entry {ids[step.of, step.covers]} among them"
        )


def _to_json(found: Found, places: Sequence[tuple[str, int]], ids: dict[tuple[str, int], str]) -> dict[str, Any]:
    return {
        "order": found.order,
        "a": {"origin": places[0][0], "id": ids[places[0]]},
        "b": {"origin": places[1][0], "id": ids[places[1]]},
        "steps": [
            {
                "origin": step.origin,
                "id": ids[step.origin, step.seq],
                "logs": step.of,
                "size": step.size,
                "covers": ids[step.of, step.covers],
            }
            for step in found.steps
        ],
    }
