"""Times in seconds since 1970, in words."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_text(seconds: int) -> str:
    """A time for people; one beyond the calendar as it is."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return f"second {seconds}"
