"""Walking a lineage along one of its three axes (FORMAT.md section 2, keys 4, 6 and 7), in order of seq."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

from recorder.audit.source import Held, LineageSource, kind_of
from recorder.audit.span import Span
from recorder.audit.state import actuator_in
from recorder.core.entry import Entry, decode_in_order
from recorder.core.errors import FormatError, Misuse
from recorder.core.kinds import Axis, Kind

AXES = ("temporal", "actuator", "policy")
AHEAD_MAX = 100_000  # entries looked through for the next one on an axis
_ON_AXES = frozenset({Kind.ACTUATION, Kind.REFUSAL, Kind.CYCLE})


class Step(NamedTuple):
    """An entry on an axis."""

    held: Held
    broken: str | None  # the link back names another entry than the one walked before


class Neighbours(NamedTuple):
    """Before and after an entry on one axis; seqs, None where there is none or it was not found."""

    axis: str
    of: str
    before: int | None
    after: int | None


def walk(source: LineageSource, axis: str, of: str | None, span: Span) -> Iterator[Step]:
    """Entries of an axis within a span, in order, each with whether its link leads to the one before.

    Args:
        source: where they lie.
        axis: one of AXES.
        of: name or number of an actuator, or the first hex digits of a policy bundle; None for all of that axis.
        span: entries to look at.

    Raises:
        Misuse: no such actuator, or `of` with the temporal axis.

    """
    number = None
    if axis == "temporal" and of is not None:
        raise Misuse("the temporal axis has one line only; leave out --of")
    if axis == "actuator" and of is not None:
        number = actuator_number(source, of)
    seen: dict[int | bytes, Axis] = {}
    with closing(source.read(span.first)) as entries:
        for held in entries:
            if held.seq > span.last:
                return
            if axis != "temporal" and kind_of(held.raw) not in _ON_AXES:
                continue
            try:
                entry = decode_in_order(held.raw)
            except FormatError:
                continue
            links = [link for link in _links(entry, axis) if _is_meant(link[0], number, of)]
            if axis != "temporal" and not links:
                continue
            yield Step(held, _broken(links, seen) if source.is_whole else None)
            seen.update((key, Axis(held.seq, entry.hash)) for key, _ in links)


def _links(entry: Entry, axis: str) -> list[tuple[int | bytes, Axis | None]]:
    """What an entry is on an axis of, with its link back."""
    header = entry.header
    if axis == "actuator":
        return list((header.actuator_axis or {}).items())
    if axis == "policy":
        policy = header.policy_axis
        return [] if policy is None or policy.bundle is None else [(policy.bundle, policy.previous)]
    return [(0, Axis(header.seq - 1, header.prev) if header.seq else None)]


def _is_meant(key: int | bytes, number: int | None, of: str | None) -> bool:
    if isinstance(key, bytes):
        return of is None or key.hex().startswith(of.lower())
    return number is None or key == number


def _broken(links: list[tuple[int | bytes, Axis | None]], seen: dict[int | bytes, Axis]) -> str | None:
    for key, previous in links:
        last = seen.get(key)
        if last is not None and previous != last:
            named = "none" if previous is None else f"{previous.seq}-{previous.hash.hex()[:8]}"
            return f"its link names {named}, before it stands {last.seq}-{last.hash.hex()[:8]}"
    return None


def actuator_number(source: LineageSource, name: str) -> int:
    """The number of an actuator by its name.

    Raises:
        Misuse: none is called so.

    """
    if name.removeprefix("#").isdigit():
        return int(name.removeprefix("#"))
    names = source.actuators()
    known = {called: number for number, called in names.items()}
    if name not in known:
        names = declared(source)
        known = {called: number for number, called in names.items()}
    if name not in known:
        raise Misuse(f"no actuator {name!r} is declared here; there are: {', '.join(sorted(known)) or 'none'}")
    return known[name]


def declared(source: LineageSource) -> dict[int, str]:
    """Names of all actuators by number; goes through all entries."""
    names: dict[int, str] = {}
    with closing(source.read(0)) as entries:
        for held in entries:
            if kind_of(held.raw) == Kind.ACTUATOR:
                names.update(actuator_in(held.raw, held.claims))
    return names


def neighbours(source: LineageSource, entry: Entry, names: dict[int, str]) -> list[Neighbours]:
    """What lies before and after an entry on each axis that it is on."""
    seq = entry.header.seq
    wanted: dict[int | bytes, int | None] = {
        key: None for axis in ("actuator", "policy") for key, _ in _links(entry, axis)
    }
    following: int | None = None
    with closing(source.read(seq + 1)) as entries:
        for held in entries:
            following = held.seq if following is None else following
            if held.seq > seq + AHEAD_MAX or None not in wanted.values():
                break
            if kind_of(held.raw) in _ON_AXES:
                _note_next(held, wanted)
    found = [Neighbours("temporal", "", seq - 1 if seq else None, following)]
    for axis in ("actuator", "policy"):
        for key, previous in _links(entry, axis):
            of = key.hex()[:16] if isinstance(key, bytes) else names.get(key, f"#{key}")
            found.append(Neighbours(axis, of, None if previous is None else previous.seq, wanted[key]))
    return found


def _note_next(held: Held, wanted: dict[int | bytes, int | None]) -> None:
    try:
        entry = decode_in_order(held.raw)
    except FormatError:
        return
    for axis in ("actuator", "policy"):
        for key, _ in _links(entry, axis):
            if key in wanted and wanted[key] is None:
                wanted[key] = held.seq
