"""Grants and receipts on their way to the device: numbered, and sent again until it has taken them."""

from __future__ import annotations

from collections import deque
from itertools import islice

from firmware_bridge.line.messages import Grant, Receipt

WINDOW = 4  # a device takes them in order and keeps none, so more would only fill the line
AGAIN_AFTER_US = 200_000
WAITING_MAX = 256  # a device that is so far behind has no use for what is told it any more


class Outbox:
    """Go-back-N for what must not be lost; numbers begin anew with each session."""

    __slots__ = ("_first", "_sent", "_sent_us", "_session", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[Grant | Receipt] = deque()
        self._session = bytes(4)
        self._first = 0  # number of the first that waits
        self._sent = 0  # how many of those that wait have been sent
        self._sent_us = 0

    def begin(self, session: bytes, *, keep: bool) -> None:
        """A session has begun; what waits stays only where it is the same boot that it was said to."""
        if not keep:
            self._waiting.clear()
        self._session, self._first, self._sent = session, 0, 0

    def put(self, message: Grant | Receipt) -> bool:
        """Add one, whose session and number are put in here; false where too many wait already."""
        if len(self._waiting) >= WAITING_MAX:
            return False
        self._waiting.append(message)
        return True

    def taken(self, number: int) -> None:
        """All below the number have come."""
        while self._waiting and self._sent and self._first < number:
            self._waiting.popleft()
            self._first += 1
            self._sent -= 1

    def due(self, now_us: int) -> list[Grant | Receipt]:
        """What goes out now."""
        if self._sent and now_us - self._sent_us >= AGAIN_AFTER_US:
            self._sent = 0
        if self._sent >= min(WINDOW, len(self._waiting)):
            return []
        fresh = list(islice(self._waiting, self._sent, WINDOW))
        numbered = [
            message._replace(session=self._session, number=self._first + self._sent + place)
            for place, message in enumerate(fresh)
        ]
        self._sent += len(fresh)
        self._sent_us = now_us
        return numbered
