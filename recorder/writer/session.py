"""A session as the writer sees it: who speaks, what it declared, what it is permitted."""

from __future__ import annotations

from typing import Any, NamedTuple

from recorder.core.message_replies import Receipt
from recorder.core.messages import Status
from recorder.writer.families import Family


class Peer(NamedTuple):
    """The process at the other end of the socket (SO_PEERCRED)."""

    uid: int
    gid: int
    pid: int
    exe: str | None  # None where it cannot be seen


class Permissions(NamedTuple):
    """What the configuration lets a peer do."""

    actuators: frozenset[str]
    append: frozenset[int]
    read: bool
    mesh: bool = False  # its word counts for who can witness, and for what peers hold


class Stream(NamedTuple):
    """Rows declared by a session: what they share."""

    actuator: int
    name: str
    schema: bytes
    row_bytes: int
    what: dict[str, Any]
    where: dict[str, Any]
    families: dict[bool, tuple[Family, Family]]  # what and where, by whether the class wants whole maps


class Session:
    """One session on one connection."""

    def __init__(self, session_id: bytes, peer: Peer, permissions: Permissions, durable_counter: int) -> None:
        self.id = session_id
        self.peer = peer
        self.permissions = permissions
        self.counter = durable_counter  # greatest counter of a durable request so far
        self.streams: list[Stream] = []
        self.last_seq = 0  # seq of the draft that took this session's last request: later ones go there or after


class Answer(NamedTuple):
    """A reply; where `hash_of` is a seq, the body's `entry_hash` is filled in once that entry is durable."""

    status: Status
    body: Any
    hash_of: int | None = None
    holds: bool = False  # a durable commit's, which leaves once as many witnesses have signed as it asked for


def receipt(seq: int, index: int = 0, decision: int | None = None, flags: int = 0) -> Answer:
    """A receipt for an entry that is drafted."""
    return Answer(Status.OK, Receipt(seq, index, b"", decision, flags), seq)
