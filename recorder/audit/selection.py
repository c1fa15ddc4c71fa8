"""Which entries a selection needs beside those that were asked for (FORMAT.md section 7).

Introductions of the keys that signed them, carriers of who and why, the policy in force, the actuators and schemas
that they name, and what they refer to; and what those need in turn.
"""

from __future__ import annotations

from contextlib import closing

from recorder.audit.declared import DECLARING, Declared
from recorder.audit.source import Held, LineageSource, entry_at, kind_of
from recorder.audit.span import Span
from recorder.core.entry import Header, decode
from recorder.core.errors import FormatError
from recorder.core.kinds import Kind, Rows
from recorder.store.errors import StoreError


class Needs:
    """What the entries of one span need."""

    def __init__(self) -> None:
        self._declared = Declared()
        self._needed: set[int] = set()

    def declare(self, header: Header) -> None:
        """Remember an entry that later ones may need."""
        self._declared.note(header)

    def want(self, header: Header) -> list[int]:
        """Note what an entry needs; returns what was not known to be needed before."""
        seq, nearest = header.seq, self._declared.nearest
        found: set[int | None] = {0, self._declared.introduction(seq)}
        found |= {shared.carrier for shared in (header.who, header.why) if shared is not None}
        if header.policy_axis is not None and header.policy_axis.bundle is not None:
            found.add(nearest(Kind.POLICY, header.policy_axis.bundle, seq))
        for commit in header.commits or ():
            found.add(nearest(Kind.ACTUATOR, commit.actuator, seq))
            if isinstance(commit, Rows):
                found.add(nearest(Kind.SCHEMA, commit.schema, seq))
        for refs in (header.refs or {}).values():
            found |= {ref.seq for ref in refs if ref.origin is None}
        new = {item for item in found if item is not None and item < seq} - self._needed
        self._needed |= new
        return sorted(new)


def needed_by(source: LineageSource, span: Span) -> list[int]:
    """Seqs below the span that its entries need, rising; goes through all entries up to its end once."""
    needs = Needs()
    below: set[int] = set()
    with closing(source.read(0)) as entries:
        for held in entries:
            if held.seq > span.last:
                break
            if held.seq < span.first and kind_of(held.raw) not in DECLARING:
                continue
            header = _header(held)
            if header is None:
                continue
            needs.declare(header)
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
