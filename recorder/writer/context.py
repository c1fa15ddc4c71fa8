"""What the writer's verbs share: the journal, the table in force, the refusals, the numbers of actuators."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from recorder.core.kinds import UNCLASSIFIED, Kind
from recorder.core.message_replies import Failed
from recorder.core.message_requests import Wanted
from recorder.core.messages import Status
from recorder.core.required import REQUIRED
from recorder.gate.authorities import Authorities
from recorder.gate.engine import Engine
from recorder.gate.table import Table
from recorder.store.tail import Op
from recorder.writer.asking import NOBODY, Wish, made, wish_of
from recorder.writer.header import Fields
from recorder.writer.journal import Draft, Journal
from recorder.writer.readings import Readings
from recorder.writer.refusals import Refusals
from recorder.writer.session import Answer, Session
from recorder.writer.uncovered import Uncovered


class Context:
    """State of the writer between requests."""

    def __init__(
        self,
        journal: Journal,
        table: Table,
        platform: str,
        *,
        authorities: Authorities,
        engine: Callable[[], Engine],
        identity_key: bytes,
        require_policy: bool = False,
    ) -> None:
        """Begin with what is in force.

        Args:
            journal: where entries go.
            table: the bundle in force.
            platform: `<fleet>/<name>`.
            authorities: whom this recorder recognises.
            engine: of conditions, made when a policy is installed.
            identity_key: of this platform.
            require_policy: without a signed policy no cycle of a gated class is opened.

        """
        self.journal = journal
        self.table = table
        self.platform = platform
        self.authorities = authorities
        self.engine = engine
        self.require_policy = require_policy
        self.readings = Readings()
        self.refusals = Refusals(journal)
        self.uncovered = Uncovered(journal.tail.origin, identity_key)
        self.names = {number: name for name, number in journal.tail.actuators.items()}
        self.halted: frozenset[str] = frozenset()  # classes whose cycles are refused since the disk was full
        self.groups: dict[tuple[int, str, int, Wish | None], Draft] = {}  # open drafts by what all their commits share
        self.witnesses = NOBODY  # who may be asked
        self.brought: list[tuple[int, bytes]] = []  # evidence of this transaction: seqs, and notes with cosignatures
        self.fork_proofs: list[tuple[int, bytes]] = []  # evidence of late: seqs, and proofs that nobody has looked at

    def who(self, session: Session, claims: dict[str, Any]) -> dict[str, Any]:
        """Who claims with what the recorder itself knows; the peer's word for these keys does not count."""
        peer = session.peer
        return {**claims, "platform": self.platform, "uid": peer.uid, "gid": peer.gid, "pid": peer.pid, "exe": peer.exe}

    def number(self, name: str) -> int:
        """An actuator's number, declared by an entry the first time."""
        tail = self.journal.tail
        found = tail.actuators.get(name)
        if found is None:
            found = len(tail.actuators)
            body = self.journal.family("body", {"name": name, "credential": None})
            self.journal.draft(Kind.ACTUATOR, {11: body.digest, 15: [found]}, {11: body.claims})
            self.journal.move(Op.ACTUATOR, name, found)
            self.names[found] = name
        return found

    def wish(self, action_class: str, asked: Wanted | None) -> Wish | None:
        """What an act of a class asks of witnesses."""
        row = self.table.classes.get(action_class)
        return wish_of(None if row is None else row.witnesses, asked)

    def actuation(
        self, fields: Fields, claims: dict[int, bytes] | None, wish: Wish | None, *, bundle: bytes | None
    ) -> Draft:
        """Draft an actuation, which asks for witnesses where it is to."""
        if wish is None:
            return self.journal.draft(Kind.ACTUATION, fields, claims, bundle=bundle)
        journal = self.journal
        ask, fields, choice = made(journal.next_seq, wish, self.witnesses, journal.randomness, fields)
        drafted = journal.draft(Kind.ACTUATION, fields, {**(claims or {}), **choice}, bundle=bundle)
        drafted.ask = ask
        drafted.claims_bytes += sum(map(len, choice.values()))
        return drafted

    def is_gated(self, action_classes: Iterable[str]) -> bool:
        """Whether one of the classes is."""
        rows = map(self.table.classes.get, action_classes)
        return any(row is not None and row.gated for row in rows)

    def is_whole(self, action_class: str) -> bool:
        """Whether the class keeps whole maps instead of claim by claim."""
        row = self.table.classes.get(action_class)
        return row is not None and row.claims == "whole"

    def retention(self, action_class: str) -> str:
        """Retention class of an action class."""
        row = self.table.classes.get(action_class)
        return UNCLASSIFIED if row is None else row.retention


def failed(error: str, detail: str) -> Answer:
    """An answer that leaves no entry."""
    return Answer(Status.ERROR, Failed(error, detail))


def completed(family: str, claims: dict[str, Any]) -> dict[str, Any]:
    """Claims with null for what is missing: what has happened is stored as told, with "none" for the rest."""
    if family == "where" and not claims:
        return claims
    return {**dict.fromkeys(REQUIRED[family]), **claims}
