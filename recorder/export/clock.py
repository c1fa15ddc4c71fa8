"""From the clocks of an entry to the times of messages."""

from __future__ import annotations

from recorder.core.kinds import Time
from recorder.core.limits import UINT64_MAX

QUALITIES = ("unknown", "free-running", "NTP/PTP", "GNSS or signed")

RULE = (
    "UTC in ns. Acts and rows: the recorder's UTC in their entry, less how long before the entry's CLOCK_BOOTTIME they "
    "happened by their own; never later than the entry. All else: the recorder's UTC in the entry. UTC may step: see "
    "/lineage. log_time and publish_time are the same."
)  # fmt: skip


def utc_of(time: Time, at_mono_ns: int | None = None) -> int:
    """UTC in ns of what happened at `at_mono_ns` by CLOCK_BOOTTIME, or of the entry itself.

    A controller may claim any time; what it claims stays in the message, but one that lies after the entry, or before
    1970, would stretch a viewer's timeline over centuries.
    """
    ago_ns = 0 if at_mono_ns is None else max(0, time.mono_ns - at_mono_ns)
    return min(max(0, time.utc_ns - ago_ns), UINT64_MAX)


def timestamp(utc_ns: int) -> dict[str, int]:
    """UTC as Foxglove's well-known messages hold it."""
    sec, nsec = divmod(utc_ns, 1_000_000_000)
    return {"sec": sec, "nsec": nsec}


class ClockTally:
    """How good the recorder's UTC was, over the entries that were exported."""

    def __init__(self) -> None:
        self.entries = [0] * len(QUALITIES)
        self.error_us_max: int | None = None

    def add(self, time: Time) -> None:
        """Count one entry."""
        self.entries[time.quality] += 1
        if time.error_us is not None:
            self.error_us_max = max(time.error_us, self.error_us_max or 0)

    def metadata(self) -> dict[str, str]:
        """What the file says about its times."""
        counts = {f"entries {name}": str(count) for name, count in zip(QUALITIES, self.entries, strict=True)}
        worst = next((name for name, count in zip(QUALITIES, self.entries, strict=True) if count), QUALITIES[0])
        error = "not known" if self.error_us_max is None else str(self.error_us_max)
        return {"times": RULE, "worst quality": worst, **counts, "greatest estimated error us": error}
