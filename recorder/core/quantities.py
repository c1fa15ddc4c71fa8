"""Bytes, shares of a whole and terms, as people write them into a configuration."""

from __future__ import annotations

import re
from typing import NamedTuple

from recorder.core.errors import Misuse

NS = 1_000_000_000
FOREVER = "forever"
_BYTES = re.compile(r"([0-9]{1,9}) ?(KiB|MiB|GiB|TiB)")
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SHARE = re.compile(r"([0-9]{1,2}(?:\.[0-9]{1,3})?) ?%")
_TERM = re.compile(r"([0-9]{1,6}) ?([hdy])")
_TERMS_S = {"h": 3600, "d": 86_400, "y": 365 * 86_400}


class Amount(NamedTuple):
    """A number of bytes, or a share of a whole that is known later; one of the two is there."""

    bytes: int | None = None
    share: float | None = None  # 0 to 1

    def of(self, whole_bytes: int) -> int:
        """In bytes."""
        if self.bytes is not None:
            return self.bytes
        return int((self.share or 0.0) * whole_bytes)


def amount(value: int | str) -> Amount:
    """Read bytes (`5000000`, "500MiB", "4GiB") or a share ("10%").

    Raises:
        Misuse: it is neither.

    """
    if isinstance(value, int):
        if value < 0:
            raise Misuse(f"{value} bytes are fewer than none")
        return Amount(bytes=value)
    if match := _BYTES.fullmatch(value):
        return Amount(bytes=int(match[1]) * _UNITS[match[2]])
    if match := _SHARE.fullmatch(value):
        return Amount(share=float(match[1]) / 100)
    raise Misuse(f'{value[:40]!r} is neither a number of bytes, such as "500MiB" or "4GiB", nor a share, such as "10%"')


def term_s(text: str) -> int | None:
    """Read a term in hours, days or years of 365 days ("36h", "90d", "10y"): seconds, or None for "forever".

    Raises:
        Misuse: it is none.

    """
    if text == FOREVER:
        return None
    if match := _TERM.fullmatch(text):
        return int(match[1]) * _TERMS_S[match[2]]
    raise Misuse(f'{text[:40]!r} is no term: hours, days or years such as "36h", "90d" or "10y", or "{FOREVER}"')
