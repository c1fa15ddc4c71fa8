"""What an entry, a commit, a bundle or a credential has touched: all that leads to it, by however many steps.

What only supersedes an entry is told, and what was done under it is not: that was decided anew.

One pass upwards: links lead to entries below, so whatever a link can lead to has been judged before. Kept are the seqs
of what was found and what was declared, so memory grows with the answer and not with the lineage. A link is taken by
seq; that its hash is the right one is for `lineage verify`, and for `lineage why` of what is listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import NamedTuple

from recorder.audit.declared import DECLARING, Declared
from recorder.audit.describe import values_of
from recorder.audit.links import BY_DIGEST, SUPERSEDES, WHO, Link, links_of, who_links
from recorder.audit.source import Held, LineageSource, kind_of
from recorder.core.controls import Fact
from recorder.core.entry import decode_in_order
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.kinds import Commit, Kind
from recorder.core.verify.disclosure import carries_claims

Listed = Callable[[Held, str, int | None], None]  # the entry, the relation by which it leads there, to which seq


class Origin(NamedTuple):
    """What is asked about: an entry or a part of it, or whatever has a digest."""

    seq: int | None
    index: int | None = None  # type: ignore[assignment]  # hides tuple.index; of a commit in its key 10
    row: int | None = None
    digest: bytes | None = None  # of a policy bundle or a credential, whichever entries brought it


class Impact(NamedTuple):
    """How much was found."""

    entries: int
    commits: int  # single ones, of actuations
    rows: int
    kinds: dict[int, int]  # entries by kind
    relations: dict[str, int]  # entries by the link that was found first
    brought: list[int]  # entries that brought the digest, where one was asked for
    unread: int  # entries that cannot be read
    gone: int  # entries whose claims are not here, so that inputs and delegation in them cannot be told


def impact(source: LineageSource, of: Origin, listed: Listed) -> Impact:
    """Find what leads to something; goes through all entries above it.

    Args:
        source: where they lie.
        of: what is asked about.
        listed: called with each entry that is found, in order.

    """
    search = _Search(of)
    with closing(source.read(of.seq or 0)) as entries:
        for held in entries:
            search.take(held, listed)
    return search.found()


class _Search:
    def __init__(self, of: Origin) -> None:
        self._of = of
        self._declared = Declared()
        self._touched: set[int] = set()  # entries as a whole
        self._whos: set[int] = set()  # entries of whose claims of who the same is true
        self._kinds: Counter[int] = Counter()
        self._relations: Counter[str] = Counter()
        self._brought: list[int] = []
        self._commits = self._rows = self._unread = self._gone = 0

    def take(self, held: Held, listed: Listed) -> None:
        """Judge the next entry."""
        try:
            header = decode_in_order(held.raw).header
        except FormatError:
            self._unread += 1
            return
        if held.seq != header.seq:  # who asks for its place must not be led elsewhere
            self._unread += 1
            return
        if kind_of(held.raw) in DECLARING:
            body = values_of(held.claims).get("body") if header.kind == Kind.CREDENTIAL else None
            self._declared.note(header, body)
        if self._is_origin(header):
            self._begin(header)
            return
        is_carrying = header.seq in (header.who and header.who.carrier, header.why and header.why.carrier)
        values = values_of(held.claims) if is_carrying or header.body is not None else {}
        if is_carrying and not held.claims and carries_claims(header):
            self._gone += 1
        if any(self._leads(link, header) for link in who_links(header, values, self._declared)):
            self._whos.add(header.seq)
        leading = [link for link in links_of(header, values, self._declared) if self._leads(link, header)]
        if leading:
            link = next((one for one in leading if one.relation != SUPERSEDES), leading[0])
            self._count(header, link)
            listed(held, link.relation, link.seq)

    def found(self) -> Impact:
        """What there was."""
        return Impact(
            self._kinds.total(), self._commits, self._rows, dict(self._kinds), dict(self._relations), self._brought,
            self._unread, self._gone,
        )  # fmt: skip

    def _is_origin(self, header: Header) -> bool:
        if self._of.digest is None:
            return header.seq == self._of.seq
        is_bringing = header.kind in (Kind.POLICY, Kind.CREDENTIAL) and isinstance(header.control, Fact)
        return is_bringing and header.control.digest == self._of.digest

    def _begin(self, header: Header) -> None:
        if self._of.digest is not None:
            self._brought.append(header.seq)
        if self._of.index is None:
            self._touched.add(header.seq)
            self._whos.add(header.seq)

    def _leads(self, link: Link, header: Header) -> bool:
        if link.is_foreign:
            return False
        if self._of.digest is not None and link.relation in BY_DIGEST and link.of == self._of.digest.hex():
            return True  # named by its digest, whether an entry here brought it or not
        if link.seq is None or link.seq >= header.seq:
            return False
        if link.seq == self._of.seq and self._of.index is not None:
            return _is_within(link, self._of)
        return link.seq in (self._whos if link.relation == WHO else self._touched)

    def _count(self, header: Header, link: Link) -> None:
        if link.relation != SUPERSEDES:
            self._touched.add(header.seq)
        self._kinds[header.kind] += 1
        self._relations[link.relation] += 1
        if header.kind == Kind.ACTUATION:
            for commit in header.commits or ():
                if isinstance(commit, Commit):
                    self._commits += 1
                else:
                    self._rows += commit.count


def _is_within(link: Link, of: Origin) -> bool:
    """Whether a link names the commit or row that is asked about, or what it is a part of."""
    if link.digits == "":  # a carrier and its like name the entry for what else it holds
        return False
    if link.index is None or link.index != of.index:
        return link.index is None
    return link.row is None or of.row is None or link.row == of.row
