"""Commits that other controllers make for a device's actuators: the device hears of them, so that it can confirm them.

The recorder tells a subscriber that there is more, and a READ says what; heads themselves are not looked at.
"""

from __future__ import annotations

from collections.abc import Collection

from firmware_bridge.line.messages import Receipt, Verdict
from firmware_bridge.places import DamagedError
from firmware_bridge.session import page_of, read_request
from recorder.client.connection import Connection
from recorder.client.session import Answer, outgoing
from recorder.core import cbor
from recorder.core.deviceframe import REF_HASH_BYTES, CommitRef
from recorder.core.entry import entry_hash, split
from recorder.core.errors import FormatError
from recorder.core.kinds import Decision, Kind
from recorder.core.message_replies import Head
from recorder.core.messages import Status, Verb
from recorder.core.protocol import body_of

_KIND, _SEQ, _COMMITS, _DECISION = 2, 3, 10, 16
_COMMIT_FIELDS, _ACTUATOR, _REQUEST = 5, 0, 4
_TO_CONFIRM = {int(one) for one in (Decision.ADMITTED, Decision.DEVIATED, Decision.EXTERNAL)}


class Following:
    """Reads on behind the log's head, from where it was when the device came up."""

    def __init__(self, connection: Connection, numbers: Collection[int]) -> None:
        """Make it; `numbers` are those of the device's actuators."""
        self.hashes: list[tuple[int, bytes]] = []  # of entries that were read, for whoever records confirmations
        self._connection, self._numbers = connection, numbers
        self._generation = 0
        self._pushes = 0
        self._next: int | None = None
        self._is_behind = self._is_reading = False

    def turn(self, own_session: bytes | None, answers: list[Answer]) -> list[Receipt]:
        """Take answers and ask for what is new; returns receipts for the device.

        Args:
            own_session: whose commits the device hears of otherwise.
            answers: what the connection has read.

        """
        found: list[Receipt] = []
        session = self._connection.session
        for answer in answers:
            if answer.outgoing.verb is Verb.SUBSCRIBE:
                if answer.status is Status.OK and self._next is None:
                    self._next = body_of(answer.body, Head).first
                self._is_behind = True
                continue
            self._is_reading = False
            try:
                page = page_of(answer)
            except DamagedError:
                self.skip()  # on from the head: what it says of these commits nobody can read
                continue
            if page is not None and answer.outgoing.token == self._next:  # else it was asked for another device's boot
                self._next, entries = page
                self._is_behind = bool(entries)
                for raw, _ in entries:
                    found += self._receipts(raw, own_session)
        if self._connection.is_ready and self._generation != self._connection.generation:
            self._generation, self._is_reading = self._connection.generation, False
            session.give(outgoing(Verb.SUBSCRIBE))
        if session.pushes != self._pushes:
            self._pushes, self._is_behind = session.pushes, True
        if self._is_behind and not self._is_reading and self._next is not None and session.room > 0:
            session.give(read_request(self._next))
            self._is_reading = True
        return found

    def skip(self) -> None:
        """Nobody is there to be told: what is made meanwhile is for no device."""
        self._next = None
        self._generation = 0

    def _receipts(self, raw: bytes, own_session: bytes | None) -> list[Receipt]:
        try:
            header = cbor.load(split(raw)[1])
        except FormatError:
            return []
        if not isinstance(header, dict) or header.get(_KIND) != Kind.ACTUATION or header[_DECISION] not in _TO_CONFIRM:
            return []
        digest, seq = entry_hash(raw), header[_SEQ]
        self.hashes.append((seq, digest))
        return [
            Receipt(
                bytes(4), 0, None, commit[_ACTUATOR], Verdict.ADMITTED,
                CommitRef(seq, place, digest[:REF_HASH_BYTES]), irreversible=False,
            )
            for place, commit in enumerate(header[_COMMITS])
            if len(commit) == _COMMIT_FIELDS
            and commit[_ACTUATOR] in self._numbers
            and commit[_REQUEST][:8] != own_session
        ]  # fmt: skip
