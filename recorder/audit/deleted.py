"""Which deletion entry accounts for claims that are gone."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

from recorder.audit.source import Held, LineageSource, kind_of
from recorder.core.entry import decode_in_order
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.kinds import UNCLASSED, Kind
from recorder.core.verify.disclosure import carries_claims


def deletion_of(source: LineageSource, header: Header, held: Held) -> Held | None:
    """The first deletion entry that names an entry whose claims are not here; None where they are, or none does.

    Goes through what follows the entry.
    """
    if held.claims or not carries_claims(header):
        return None
    return accounted(source, {header.seq: header}).get(header.seq)


def accounted(source: LineageSource, missing: Mapping[int, Header]) -> dict[int, Held]:
    """For each of some entries, by seq, the first deletion entry that names it; without those that none names.

    Goes once through what follows the lowest of them, which is there.
    """
    left = {seq: _class_of(header) for seq, header in missing.items()}
    found: dict[int, Held] = {}
    with closing(source.read(min(left) + 1)) as later:
        for one in later:
            if not left:
                break
            if kind_of(one.raw) != Kind.DELETION:
                continue
            try:
                control = decode_in_order(one.raw).header.control
            except FormatError:
                continue
            for seq in [seq for seq, name in left.items() if name == control.retention_class]:
                if control.first <= seq <= control.last and seq < one.seq:
                    found[seq] = one
                    del left[seq]
    return found


def _class_of(header: Header) -> str:
    return UNCLASSED if header.classes is None else header.classes.retention_class
