"""Which datagrams of a sender were seen already (PROTOCOL.md section 4).

A sender's datagrams bear its run, which grows with each start of its mesh process and each hour, and a number that
rises within it.  A window of the latest numbers tells a repeat from a late one, as in IPsec (RFC 4303 section 3.4.3).

Whoever has the sender's mesh key can send under any run.  If the greatest one alone counted, he would silence the
sender by it.  So several runs of a sender count beside each other, and one that began lately counts however great
another is: the sender's own is always one of those, as long as both have a trusted clock.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, TypeAlias

WIDTH = 1024
RUNS_MAX = 4  # of one sender
RENEWED_S = 3_600  # how often a sender begins a run that its clock is trusted for
LATELY_MS = 2 * RENEWED_S * 1_000  # ago, by the receiver's clock; a sender's may be behind by what is over an hour


class Seen(Enum):
    """What the place of a datagram says of it."""

    NEW = "new"
    REPEATED = "repeated"  # the network doubled it, or somebody did
    LATE = "late"  # too far below the latest to tell
    REPLAYED = "replayed"  # of an earlier run


class Window(NamedTuple):
    """The latest run and number of one sender, and which of the numbers below were seen."""

    run: int
    top: int
    bits: int  # bit n: number top - n


Windows: TypeAlias = tuple[Window, ...]  # of one sender, each of another run, the one used last at the end


def take(windows: Windows, run: int, number: int, utc_ms: int | None) -> tuple[Windows, Seen]:
    """Place a datagram whose signature holds; only a NEW one changes the windows.

    A run that is not known counts if it is greater than all that are, or began lately.  Reordering within `WIDTH` is
    as good as order.  After a restart of the receiver any run counts: a replay can make a platform look present, and no
    more (DESIGN.md).

    Args:
        windows: of the sender.
        run: of the datagram.
        number: of the datagram.
        utc_ms: by a clock that is trusted, None without one: then only a greater run counts.

    """
    others = tuple(one for one in windows if one.run != run)
    known = next((one for one in windows if one.run == run), None)
    if known is None:
        is_late = utc_ms is None or run < utc_ms - LATELY_MS
        if is_late and any(one.run > run for one in others):
            return windows, Seen.REPLAYED
        return (*others[1 - RUNS_MAX :], Window(run, number, 1)), Seen.NEW
    window, seen = _within(known, number)
    return (*others, window) if seen is Seen.NEW else windows, seen


def _within(window: Window, number: int) -> tuple[Window, Seen]:
    if number > window.top:
        shift = min(number - window.top, WIDTH)
        return Window(window.run, number, (window.bits << shift | 1) & (1 << WIDTH) - 1), Seen.NEW
    below = window.top - number
    if below >= WIDTH:
        return window, Seen.LATE
    if window.bits >> below & 1:
        return window, Seen.REPEATED
    return window._replace(bits=window.bits | 1 << below), Seen.NEW
