"""Which datagrams of a sender were seen already (PROTOCOL.md section 4).

A sender's datagrams bear its run, which grows with each start of its mesh process, and a number that rises within it.
A window of the latest numbers tells a repeat from a late one, as in IPsec (RFC 4303 section 3.4.3).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

WIDTH = 1024


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


def take(window: Window | None, run: int, number: int) -> tuple[Window, Seen]:
    """Place a datagram whose signature holds; only a NEW one changes the window.

    Reordering within `WIDTH` is as good as order.  After a restart of the receiver any run is taken for the latest: a
    replay can make a platform look present, and no more (DESIGN.md).
    """
    if window is None or run > window.run:
        return Window(run, number, 1), Seen.NEW
    if run < window.run:
        return window, Seen.REPLAYED
    if number > window.top:
        shift = min(number - window.top, WIDTH)
        return Window(run, number, (window.bits << shift | 1) & (1 << WIDTH) - 1), Seen.NEW
    below = window.top - number
    if below >= WIDTH:
        return window, Seen.LATE
    if window.bits >> below & 1:
        return window, Seen.REPEATED
    return window._replace(bits=window.bits | 1 << below), Seen.NEW
