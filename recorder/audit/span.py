"""--since and --until: a seq, a printed id, a time, or how long before the newest entry."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import UTC, datetime
from typing import NamedTuple

from recorder.audit.source import LineageSource, entry_at, utc_ns_of
from recorder.core import ids
from recorder.core.entry import entry_hash
from recorder.core.errors import FormatError, Misuse

NS = 1_000_000_000
_AGO = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_UNITS_NS = {"ms": NS // 1000, "s": NS, "m": 60 * NS, "h": 3600 * NS, "d": 86_400 * NS}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Mark(NamedTuple):
    """One end of a span, as it was written; one of the first three is there."""

    seq: int | None = None
    utc_ns: int | None = None
    ago_ns: int | None = None
    digits: str | None = None  # of the id that named the seq


class Span(NamedTuple):
    """First and last seq, both included."""

    first: int
    last: int


def parse_mark(text: str) -> Mark:
    """Read one end of a span.

    Raises:
        Misuse: it is none of what may stand there.

    """
    if text.isascii() and text.isdigit():
        return Mark(seq=int(text))
    if match := _AGO.fullmatch(text):
        return Mark(ago_ns=int(match[1]) * _UNITS_NS[match[2]])
    try:
        named = ids.parse_id(text)
    except FormatError:
        pass
    else:
        return Mark(seq=named.seq, digits=named.digits)
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise Misuse(f"{text}: a time says its offset, such as 2026-11-21T08:00:00Z")
        since = at - _EPOCH
    except (ValueError, OverflowError):
        expected = "a seq, a printed id, a time such as 2026-11-21T08:00:00Z, or an age such as 10m"
        raise Misuse(f"{text[:80]!r} is not {expected}") from None
    return Mark(utc_ns=(since.days * 86_400 + since.seconds) * NS + since.microseconds * 1000)


def resolve(source: LineageSource, since: str | None, until: str | None) -> Span | None:
    """Find the entries of a span; None where there are none.

    UTC may step, so a span of times reaches from the first entry not before `since` to the last not after `until`.

    Raises:
        Misuse: not written as a span.
        FormatError: id_mismatch.

    """
    marks = [parse_mark(text) if text is not None else Mark() for text in (since, until)]
    for mark in marks:
        if mark.digits is not None and mark.seq is not None:
            ids.check(mark.digits, entry_hash(entry_at(source, mark.seq).raw))
    if any(mark.ago_ns is not None for mark in marks):
        newest_ns = _newest_utc_ns(source)
        marks = [
            mark if mark.ago_ns is None else Mark(utc_ns=max(0, newest_ns - mark.ago_ns)) for mark in marks
        ]  # fmt: skip
    first = 0 if marks[0].seq is None else marks[0].seq
    last = source.size - 1 if marks[1].seq is None else min(marks[1].seq, source.size - 1)
    if any(mark.utc_ns is not None for mark in marks):
        first, last = _narrowed(source, Span(first, last), marks[0].utc_ns, marks[1].utc_ns)
    return Span(first, last) if first <= last else None


def _narrowed(source: LineageSource, span: Span, since_ns: int | None, until_ns: int | None) -> Span:
    first: int | None = span.first if since_ns is None else None
    last = -1
    with closing(source.read(span.first)) as entries:
        for held in entries:
            if held.seq > span.last:
                break
            at_ns = utc_ns_of(held.raw)
            if first is None and at_ns is not None and since_ns is not None and at_ns >= since_ns:
                first = held.seq
            if until_ns is None or (at_ns is not None and at_ns <= until_ns):
                last = held.seq
    return Span(span.last + 1 if first is None else first, last)


def _newest_utc_ns(source: LineageSource) -> int:
    return (utc_ns_of(entry_at(source, source.size - 1).raw) or 0) if source.size else 0


def time_text(utc_ns: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    seconds, ns = divmod(utc_ns, NS)  # 64 bits of nanoseconds end in the year 2554
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns // 1_000_000:03}Z"
