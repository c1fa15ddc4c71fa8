"""What a log knows of the time at one of its entries: bounds that no clock set back can lower (FORMAT.md section 6).

The recorder and whoever verifies its log come to the same moment, each from the times of the entries alone.
"""

from __future__ import annotations

from recorder.core.delegation import Moment
from recorder.core.kinds import Time

_FREE_RUNNING, _SYNCHRONISED = (
    1,
    2,
)  # qualities of a time from which the clock says something, and from which it is right
_NS_PER_US = 1000


class Floor:
    """The latest UTC that any entry so far has shown to be past; it only rises.

    A clock that was never set (quality 0) shows nothing.  One that runs free shows how late it is at least: it is not
    trusted to be early enough for what expires, but to have been that late once is enough.
    """

    __slots__ = ("utc_ns",)

    def __init__(self, utc_ns: int | None = None) -> None:
        """Begin with what is known, None for nothing."""
        self.utc_ns = utc_ns

    def passing(self, time: Time) -> None:
        """Take the time of the next entry."""
        self.utc_ns = self._with(time)

    def moment(self, time: Time, seq: int) -> Moment:
        """The bounds of the moment of an entry with this time, which need not have passed yet.

        They never cross: where a synchronised clock says less than the floor, the floor is all that is known.
        """
        earliest = self._with(time)
        if time.quality < _SYNCHRONISED or time.error_us is None:
            return Moment(earliest, None, seq)
        latest = time.utc_ns + time.error_us * _NS_PER_US
        return Moment(earliest, latest if earliest is None else max(earliest, latest), seq)

    def _with(self, time: Time) -> int | None:
        if time.quality < _FREE_RUNNING:
            return self.utc_ns
        least = time.utc_ns - (time.error_us or 0) * _NS_PER_US
        return least if self.utc_ns is None else max(self.utc_ns, least)
