"""Requests that were answered: what makes a repeat get its first answer (ARCHITECTURE: exactly once).

At most 256 sessions with the last 1,024 requests each, bound to the user who made them.  The session used least
recently makes room for a new one and is never reopened: `closed_below` is the greatest number that ever made room, and
session numbers only rise.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

from recorder.core.limits import SESSION_BYTES

SESSIONS_MAX = 256
REQUESTS_MAX = 1024
DIGEST_BYTES = 16  # of SHA-256 over the message

_RECORD_BYTES = 8 + 8 + DIGEST_BYTES


class Answered(NamedTuple):
    """A durable request: the entry that answers it and the start of the message's SHA-256."""

    seq: int
    digest: bytes


class Sessions:
    """Durable sessions, least recently used first."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[bytes, OrderedDict[int, Answered]] = OrderedDict()
        self._uids: dict[bytes, int] = {}
        self.closed_below = -1

    def add(self, session: bytes, counter: int, seq: int, digest: bytes, uid: int) -> None:
        """Remember a request that becomes durable with entry `seq`."""
        requests = self._sessions.get(session)
        if requests is None:
            if len(self._sessions) >= SESSIONS_MAX:
                oldest, _ = self._sessions.popitem(last=False)
                del self._uids[oldest]
                self.closed_below = max(self.closed_below, int.from_bytes(oldest, "big"))
            requests = self._sessions[session] = OrderedDict()
            self._uids[session] = uid
        else:
            self._sessions.move_to_end(session)
        requests[counter] = Answered(seq, digest)
        if len(requests) > REQUESTS_MAX:
            requests.popitem(last=False)

    def last_counter(self, session: bytes) -> int:
        """Greatest durable counter, or -1."""
        requests = self._sessions.get(session)
        return next(reversed(requests)) if requests else -1

    def uid(self, session: bytes) -> int | None:
        """Whose session it is; None of one that made nothing durable yet."""
        return self._uids.get(session)

    def find(self, session: bytes, counter: int) -> Answered | None:
        """The answer to a request, where it is still remembered."""
        requests = self._sessions.get(session)
        return requests.get(counter) if requests else None

    def is_closed(self, session: bytes) -> bool:
        """Whether this session made room for others, so that its requests cannot be told from new ones."""
        return session not in self._sessions and int.from_bytes(session, "big") <= self.closed_below

    def snapshot(self) -> list[Any]:
        """A value for `restore`."""
        return [
            self.closed_below,
            [
                [
                    session,
                    self._uids[session],
                    b"".join(
                        counter.to_bytes(8, "big") + answered.seq.to_bytes(8, "big") + answered.digest
                        for counter, answered in requests.items()
                    ),
                ]
                for session, requests in self._sessions.items()
            ],
        ]

    @classmethod
    def restore(cls, snapshot: list[Any]) -> Sessions:
        """The sessions that `snapshot` wrote."""
        sessions = cls()
        sessions.closed_below = snapshot[0]
        for session, uid, packed in snapshot[1]:
            assert len(session) == SESSION_BYTES
            sessions._uids[session] = uid
            sessions._sessions[session] = OrderedDict(
                (
                    int.from_bytes(packed[at : at + 8], "big"),
                    Answered(int.from_bytes(packed[at + 8 : at + 16], "big"), packed[at + 16 : at + _RECORD_BYTES]),
                )
                for at in range(0, len(packed), _RECORD_BYTES)
            )
        return sessions
