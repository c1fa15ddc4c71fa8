"""A token bucket: what may come at once, and on average."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Rate(NamedTuple):
    """So many a second on average, so many at once."""

    per_s: float
    burst: int


@dataclass(slots=True)
class Bucket:
    """Fills by `per_s` a second up to `burst`; begins full.  Times are seconds of one monotonic clock."""

    per_s: float
    burst: float
    level: float = -1.0
    at_s: float = 0.0

    def fill(self, now_s: float) -> float:
        """Tokens there now."""
        if self.level < 0:
            self.level = self.burst
        else:
            self.level = min(self.burst, self.level + max(0.0, now_s - self.at_s) * self.per_s)
        self.at_s = now_s
        return self.level

    def take(self, now_s: float) -> bool:
        """Take one token, if there is one."""
        if self.fill(now_s) < 1:
            return False
        self.level -= 1
        return True

    def wait_s(self, now_s: float) -> float:
        """How long until there is a token."""
        return max(0.0, (1 - self.fill(now_s)) / self.per_s)


class Buckets:
    """One of a rate for each name; names are those of a list that is bounded."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._by_name: dict[str, Bucket] = {}

    def of(self, name: str) -> Bucket:
        """The bucket of a name; full where it was not used before."""
        return self._by_name.setdefault(name, Bucket(*self._rate))
