"""Which entries a selection needs beside those that were asked for (FORMAT.md section 7).

Introductions of the keys that signed them, carriers of who and why, the policy in force, the actuators and schemas
that they name, and what they refer to; and what those need in turn.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from contextlib import closing

from recorder.audit.source import Held, LineageSource, entry_at, kind_of
from recorder.audit.span import Span
from recorder.core.entry import Header, decode
from recorder.core.errors import FormatError
from recorder.core.kinds import IDENTITY_SIGNED, Kind, Rows
from recorder.core.rows import schema_id
from recorder.store.errors import StoreError

_DECLARING = frozenset({*IDENTITY_SIGNED, Kind.POLICY, Kind.ACTUATOR, Kind.SCHEMA})


class Needs:
    """What the entries of one span need."""

    def __init__(self) -> None:
        self._introductions: list[int] = []
        self._policies: dict[bytes, list[int]] = {}
        self._actuators: dict[int, list[int]] = {}
        self._schemas: dict[bytes, list[int]] = {}
        self._needed: set[int] = set()

    def declare(self, seq: int, header: Header) -> None:
        """Remember an entry that later ones may need."""
        control = header.control
        if header.kind in IDENTITY_SIGNED:
            self._introductions.append(seq)
        elif header.kind == Kind.POLICY:
            self._policies.setdefault(control.digest, []).append(seq)
        elif header.kind == Kind.ACTUATOR:
            self._actuators.setdefault(control.number, []).append(seq)
        elif header.kind == Kind.SCHEMA:
            self._schemas.setdefault(schema_id(control.fields), []).append(seq)

    def want(self, header: Header) -> list[int]:
        """Note what an entry needs; returns what was not known to be needed before."""
        seq = header.seq
        found: set[int | None] = {0, _nearest(self._introductions, seq)}
        found |= {shared.carrier for shared in (header.who, header.why) if shared is not None}
        if header.policy_axis is not None and header.policy_axis.bundle is not None:
            found.add(_nearest(self._policies.get(header.policy_axis.bundle, ()), seq))
        for commit in header.commits or ():
            found.add(_nearest(self._actuators.get(commit.actuator, ()), seq))
            if isinstance(commit, Rows):
                found.add(_nearest(self._schemas.get(commit.schema, ()), seq))
        for refs in (header.refs or {}).values():
            found |= {ref.seq for ref in refs if ref.origin is None}
        new = {item for item in found if item is not None and item < seq} - self._needed
        self._needed |= new
        return sorted(new)


def _nearest(seqs: Sequence[int], seq: int) -> int | None:
    """The greatest below `seq`."""
    at = bisect_left(seqs, seq)
    return seqs[at - 1] if at else None


def needed_by(source: LineageSource, span: Span) -> list[int]:
    """Seqs below the span that its entries need, rising; goes through all entries up to its end once."""
    needs = Needs()
    below: set[int] = set()
    with closing(source.read(0)) as entries:
        for held in entries:
            if held.seq > span.last:
                break
            if held.seq < span.first and kind_of(held.raw) not in _DECLARING:
                continue
            header = _header(held)
            if header is None:
                continue
            needs.declare(held.seq, header)
            if held.seq >= span.first:
                below.update(seq for seq in needs.want(header) if seq < span.first)
    pending = sorted(below)
    while pending:
        try:
            header = _header(entry_at(source, pending.pop()))
        except StoreError:
            continue
        if header is not None:
            new = [seq for seq in needs.want(header) if seq < span.first and seq not in below]
            below.update(new)
            pending += new
    return sorted(below)


def _header(held: Held) -> Header | None:
    try:
        return decode(held.raw).header
    except FormatError:
        return None
