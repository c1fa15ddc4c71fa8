"""Requests that were answered: what makes a repeat get its first answer (PROTOCOL.md section 4).

At most 256 sessions with the last 1,024 requests each, bound to the user who made them.  The session used least
recently makes room for a new one and is never reopened: `closed_below` is the greatest number that ever made room, and
session numbers only rise.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from struct import Struct
from typing import Any, NamedTuple

from recorder.core.limits import SESSION_BYTES

SESSIONS_MAX = 256
REQUESTS_MAX = 1024
DIGEST_BYTES = 16  # of SHA-256 over the message

_RECORD = Struct(f">QQ{DIGEST_BYTES}s")  # counter, seq, digest


class Answered(NamedTuple):
    """A durable request: the entry that answers it and the start of the message's SHA-256."""

    seq: int
    digest: bytes


class _Requests:
    """The last requests of one session, packed in a ring: as objects they would take ten times the memory.

    Counters rise, so they are found by bisection.
    """

    __slots__ = ("_made", "_ring", "uid")

    def __init__(self, uid: int, packed: bytes = b"") -> None:
        self.uid = uid
        self._ring = bytearray(packed)
        self._made = len(packed) // _RECORD.size  # so many were ever added; the ring holds the last of them

    def add(self, counter: int, seq: int, digest: bytes) -> None:
        at = self._at(self._made)
        self._ring[at : at + _RECORD.size] = _RECORD.pack(counter, seq, digest)
        self._made += 1

    def last_counter(self) -> int:
        return self._counter(self._made - 1)

    def find(self, counter: int) -> Answered | None:
        kept = range(max(0, self._made - REQUESTS_MAX), self._made)
        found = bisect_left(kept, counter, key=self._counter)
        if found == len(kept) or self._counter(kept[found]) != counter:
            return None
        _, seq, digest = _RECORD.unpack_from(self._ring, self._at(kept[found]))
        return Answered(seq, digest)

    def packed(self) -> bytes:
        """Oldest first."""
        oldest = self._at(self._made) if self._made > REQUESTS_MAX else 0
        return bytes(self._ring[oldest:] + self._ring[:oldest])

    def _counter(self, number: int) -> int:
        return int.from_bytes(self._ring[self._at(number) : self._at(number) + 8], "big")

    @staticmethod
    def _at(number: int) -> int:
        return number % REQUESTS_MAX * _RECORD.size


class Sessions:
    """Durable sessions, least recently used first."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[bytes, _Requests] = OrderedDict()
        self.closed_below = -1

    def add(self, session: bytes, counter: int, seq: int, digest: bytes, uid: int) -> None:
        """Remember a request that becomes durable with entry `seq`; a session's counters rise."""
        requests = self._sessions.get(session)
        if requests is None:
            if len(self._sessions) >= SESSIONS_MAX:
                oldest, _ = self._sessions.popitem(last=False)
                self.closed_below = max(self.closed_below, int.from_bytes(oldest, "big"))
            requests = self._sessions[session] = _Requests(uid)
        else:
            self._sessions.move_to_end(session)
            if counter <= requests.last_counter():  # a segment that is sealed on request may have it in its snapshot
                return
        requests.add(counter, seq, digest)

    def last_counter(self, session: bytes) -> int:
        """Greatest durable counter, or -1."""
        requests = self._sessions.get(session)
        return requests.last_counter() if requests is not None else -1

    def uid(self, session: bytes) -> int | None:
        """Whose session it is; None of one that made nothing durable yet."""
        requests = self._sessions.get(session)
        return requests.uid if requests is not None else None

    def find(self, session: bytes, counter: int) -> Answered | None:
        """The answer to a request, where it is still remembered."""
        requests = self._sessions.get(session)
        return requests.find(counter) if requests is not None else None

    def is_closed(self, session: bytes) -> bool:
        """Whether this session made room for others, so that its requests cannot be told from new ones."""
        return session not in self._sessions and int.from_bytes(session, "big") <= self.closed_below

    def snapshot(self) -> list[Any]:
        """A value for `restore`."""
        return [
            self.closed_below,
            [[session, requests.uid, requests.packed()] for session, requests in self._sessions.items()],
        ]

    @classmethod
    def restore(cls, snapshot: list[Any]) -> Sessions:
        """The sessions that `snapshot` wrote."""
        sessions = cls()
        sessions.closed_below = snapshot[0]
        for session, uid, packed in snapshot[1]:
            assert len(session) == SESSION_BYTES
            assert len(packed) % _RECORD.size == 0
            assert 0 < len(packed) <= REQUESTS_MAX * _RECORD.size
            sessions._sessions[session] = _Requests(uid, packed)
        return sessions
