"""Which entries a selection needs beside those that were asked for (FORMAT.md section 7).

Introductions of the keys that signed them, carriers of who and why, the policy in force, the actuators and schemas
that they name, what they refer to, and the credentials that they rest on, with those above them, matrices and
revocations; and what those need in turn.
"""

from __future__ import annotations

from contextlib import closing

from recorder.audit.declared import DECLARING, Declared
from recorder.audit.resting import Resting, resting
from recorder.audit.source import Held, LineageSource, entry_at, kind_of
from recorder.audit.span import Span
from recorder.core.entry import decode
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.kinds import Kind, Rows
from recorder.store.errors import StoreError


class Needs:
    """What the entries of one span need."""

    def __init__(self) -> None:
        self._declared = Declared()
        self._needed: set[int] = set()
        self._lists: set[int] = set()
        self._are_judged = False  # a credential is named, and those that revoke are needed too

    def declare(self, header: Header, rests: Resting) -> None:
        """Remember an entry that later ones may need."""
        self._declared.note(header)
        self._declared.note_device(rests.enrols, header.seq)
        if rests.is_list:
            self._lists.add(header.seq)

    def lists(self) -> list[int]:
        """Entries with a matrix or revocations by which credentials are judged that the entries name; rising."""
        return sorted(self._lists - self._needed) if self._are_judged else []

    def want(self, header: Header, rests: Resting) -> list[int]:
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
        for number in header.bounds.actuators if header.bounds is not None else ():
            found.add(nearest(Kind.ACTUATOR, number, seq))
        for refs in (header.refs or {}).values():
            found |= {ref.seq for ref in refs if ref.origin is None}
        for digest in rests.credentials:
            self._are_judged = True
            found.add(nearest(Kind.CREDENTIAL, digest, seq))
        if (enrolled := self._declared.device(rests.device, seq)) is not None:
            self._are_judged = True
            found.add(enrolled)
        found |= {*rests.entries}
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
            rests = resting(header, held.claims)
            needs.declare(header, rests)
            if held.seq >= span.first:
                below.update(seq for seq in needs.want(header, rests) if seq < span.first)
    pending = sorted(below)
    while pending:
        seq = pending.pop()
        try:
            held = entry_at(source, seq)
        except StoreError:
            continue
        header = _header(held)
        if header is not None:
            new = [*needs.want(header, resting(header, held.claims)), *needs.lists()]
            new = sorted({seq for seq in new if seq < span.first} - below)
            below.update(new)
            pending += new
    return sorted(below)


def _header(held: Held) -> Header | None:
    try:
        return decode(held.raw).header
    except FormatError:
        return None
