"""Messages on the recorder's local socket, version 1: what requests and replies share.

One `SOCK_SEQPACKET` message is one CBOR array.  A request is `[verb, counter, ...]` (`message_requests`), its reply
`[status, counter, body]` (`message_replies`); a subscriber also receives `[Status.PUSH, 0, body]`.  The counter names
the request within its session and rises with every request that leaves an entry; session ‖ counter is the id that ends
up in the entry.

A session belongs to one user and to one connection at a time: resuming it ends the older one.  The recorder issues it
(`Hello` with session None) and the client resumes it after a reconnect, so that a repeated request gets its first
answer instead of a second entry.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

PROTOCOL_VERSION = 1


class Verb(IntEnum):
    """First element of a request."""

    HELLO = 1
    OPEN_CYCLE = 2
    JOIN_CYCLE = 3
    CLOSE_CYCLE = 4
    DECLARE_ACTUATOR = 5
    DECLARE_STREAM = 6
    COMMIT = 7
    ROWS = 8
    EVENT = 9
    GAP = 10
    ABANDON = 11
    APPEND = 12
    SUBSCRIBE = 13
    READ = 14
    CHECKPOINT = 15
    SEAL = 16
    STATUS = 17
    WITNESSES = 18
    WITNESSED = 19
    HEADS = 20


class Status(IntEnum):
    """First element of a reply."""

    OK = 0
    REFUSED = 1  # body: Refused
    ERROR = 2  # body: Failed; nothing was recorded
    PUSH = 3  # body: Head, to a subscriber


class Flag(IntFlag):
    """Remarks on a receipt."""

    DUPLICATE = 1  # this request was answered before; this is the first answer
    LATE = 2  # durable, but only after its deadline


# Requests that leave an entry, and are answered exactly once.
DURABLE = frozenset(
    {
        Verb.OPEN_CYCLE,
        Verb.CLOSE_CYCLE,
        Verb.COMMIT,
        Verb.ROWS,
        Verb.EVENT,
        Verb.GAP,
        Verb.ABANDON,
        Verb.APPEND,
    }
)
