"""Whom to ask, and who answered wrongly: an address is where one tries, what counts is what is signed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

ALONE_S = 60.0  # for which a peer is left alone that answered wrongly once; doubled for each further time
ALONE_MAX_S = 3_600.0
KNOWN_MAX = 256  # addresses of which conduct is remembered


class Peers(Protocol):
    """Where mesh processes may answer, by URL; `present.Present` is one."""

    def all_urls(self) -> list[str]:
        """Of any peer."""
        ...

    def urls_of(self, platform: str) -> list[str]:
        """Of one platform, FLEET/PLATFORM."""
        ...


@dataclass(slots=True)
class _Wrong:
    count: int
    last: str
    until_s: float


class Conduct:
    """Peers that answered wrongly; each is left alone for a while, longer each time."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Make it; `now` is a monotonic clock, seconds."""
        self._now = now
        self._wrong: dict[str, _Wrong] = {}

    def wrong(self, url: str, what: str) -> None:
        """Note a wrong answer."""
        found = self._wrong.pop(url, None) or _Wrong(0, "", 0.0)
        found.count += 1
        found.last = what
        found.until_s = self._now() + min(ALONE_MAX_S, ALONE_S * 2 ** min(found.count - 1, 16))
        if len(self._wrong) >= KNOWN_MAX:
            del self._wrong[next(iter(self._wrong))]
        self._wrong[url] = found

    def may_ask(self, url: str) -> bool:
        """Whether it is asked now."""
        found = self._wrong.get(url)
        return found is None or found.until_s <= self._now()

    def status(self) -> list[dict[str, Any]]:
        """What a person is shown."""
        return [{"url": url, "count": one.count, "last": one.last} for url, one in self._wrong.items()]
