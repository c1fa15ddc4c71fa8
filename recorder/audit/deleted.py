"""Which deletion entry accounts for claims that are gone."""

from __future__ import annotations

from contextlib import closing

from recorder.audit.source import Held, LineageSource, kind_of
from recorder.core.entry import Header, decode_in_order
from recorder.core.errors import FormatError
from recorder.core.kinds import UNCLASSED, Kind
from recorder.core.verify.disclosure import carries_claims


def deletion_of(source: LineageSource, header: Header, held: Held) -> Held | None:
    """The first deletion entry that names an entry whose claims are not here; None where they are, or none does.

    Goes through what follows the entry.
    """
    if held.claims or not carries_claims(header):
        return None
    name = UNCLASSED if header.classes is None else header.classes.retention_class
    with closing(source.read(header.seq + 1)) as later:
        for one in later:
            if kind_of(one.raw) != Kind.DELETION:
                continue
            try:
                control = decode_in_order(one.raw).header.control
            except FormatError:
                continue
            if control.retention_class == name and control.first <= header.seq <= control.last:
                return one
    return None
