"""What must hold of authority after a start: the recorder knows what its entries say, and goes on by it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from recorder.audit.check import check_source
from recorder.audit.opening import open_source
from recorder.core import grant
from recorder.core.kinds import Kind
from recorder.core.message_requests import CommitRequest, OpenCycle
from recorder.core.messages import Status, Verb
from recorder.core.trust import parse_trust
from recorder.core.verdict import Report
from recorder.store.layout import TRUST
from recorder.store.tail import Op
from recorder.writer.context import Context
from recorder.writer.session import Answer, Peer, Permissions, Session
from recorder.writer.writer import Writer
from tests import fleet
from tests.faults.governed import FORCE
from tests.faults.recount import Recount, differences
from tests.running import ACTUATORS

VALID_MS = 1000


def findings(context: Context) -> list[str]:
    """What is wrong with a recorder that has started: in what it knows, in what it then does, and in what it knows after that."""
    made = Recount(context.journal.store)
    made.read_on()
    found = made.found + differences(context, made)
    if context.table.signed is None:
        return found
    found += _Client(context, made).findings()
    made.read_on()
    found += [f"having gone on: {line}" for line in made.found + differences(context, made)]
    context.journal.draft(Kind.STOP, {15: ["judged"]})
    context.journal.move(Op.STOP)
    context.journal.tick()
    context.journal.write()
    return found


def audited(state: Path) -> Report:
    """Verify a stopped recorder's lineage as anybody would who trusts its roots."""
    with closing(open_source(None, state)) as source:
        return check_source(source, trust=parse_trust((state / TRUST).read_bytes()), workers=1)


class _Client:
    """Asks a recorder for what it must grant and for what it must refuse."""

    def __init__(self, context: Context, made: Recount) -> None:
        self._context = context
        self._made = made
        self._writer = Writer(context)
        peer = Peer(os.getuid(), os.getgid(), os.getpid(), None)
        permissions = Permissions(frozenset(ACTUATORS), frozenset(), read=True)
        session_id = context.journal.tail.boot.to_bytes(4, "big") + b"\1\0\0\0"
        self._session = Session(session_id, peer, permissions, -1)

    def findings(self) -> list[str]:
        return [*self._used_again(), *self._carried(), *self._revoked(), *self._opened()]

    def _used_again(self) -> Iterator[str]:
        """Every grant that opened a cycle opens no other one."""
        for nonce, raw in self._made.used.items():
            answer = self._open(grant.read(raw).says.delegation, granted=raw)
            if f"nonce_reused: {nonce.hex()}" not in _reasons(answer):
                yield f"nonce {nonce.hex()} was used, and its grant comes to {_words(answer)}"

    def _carried(self) -> Iterator[str]:
        """Cycles that go on admit as much as they have left, and what is left of their budgets."""
        for cycle in list(self._context.journal.tail.cycles.values()):
            if cycle.delegation is None or self._now() > cycle.not_after_mono_ns:
                continue
            left = self._left(cycle.delegation)
            may = cycle.made < cycle.max_commits and (left is None or left[0] > 0)
            answer = self._commit(cycle.carrier)
            if (answer.status == Status.OK) != may:
                yield f"cycle {cycle.carrier} of {cycle.made}/{cycle.max_commits}, budget {left}: {_words(answer)}"

    def _revoked(self) -> Iterator[str]:
        """What hangs on a revoked credential opens nothing."""
        for digest in self._made.delegations():
            if self._made.is_revoked(digest):
                answer = self._open(digest)
                if not any(reason.startswith("credential_revoked") for reason in _reasons(answer)):
                    yield f"credential {digest.hex()[:8]} is revoked, and an opening comes to {_words(answer)}"

    def _opened(self) -> Iterator[str]:
        """Every other delegation opens a cycle, cut to what is left of its budget, and it can be used."""
        for digest in self._made.delegations():
            if self._made.is_revoked(digest):
                continue
            left = self._left(digest)
            answer = self._open(digest, max_commits=100)
            if left is not None and (left[0] == 0 or left[1] <= 0):
                if answer.status != Status.REFUSED:
                    yield f"nothing is left of {digest.hex()[:8]}, and an opening comes to {_words(answer)}"
                continue
            if answer.status != Status.OK:
                yield f"delegation {digest.hex()[:8]} with {left} left: {_words(answer)}"
            elif answer.body.max_commits != (100 if left is None else min(100, left[0])):
                yield f"of {left} a cycle got {answer.body.max_commits} commits"
            elif self._commit(answer.body.seq).status != Status.OK:
                yield f"delegation {digest.hex()[:8]}: a cycle is opened and takes no commit"

    def _left(self, digest: bytes) -> tuple[int, int] | None:
        self._made.read_on()
        return self._made.left(digest, self._now())

    def _now(self) -> int:
        return self._context.journal.tick().mono_ns

    def _open(self, digest: bytes, *, max_commits: int = 5, granted: bytes | None = None) -> Answer:
        who = {"operator": "ann", "delegation": digest}
        bounds = (["arm"], ["motion"], max_commits, VALID_MS, None, None)
        counter = self._session.counter + 1
        return self._ask(
            OpenCycle(Verb.OPEN_CYCLE, counter, who, {"inputs": FORCE}, *bounds, (fleet.WHAT, {}), granted)
        )

    def _commit(self, carrier: int) -> Answer:
        number = self._context.journal.tail.actuators["arm"]
        counter = self._session.counter + 1
        return self._ask(CommitRequest(Verb.COMMIT, counter, carrier, None, number, fleet.WHAT, {}, self._now(), None))

    def _ask(self, asked: Any) -> Answer:
        """A transaction of its own."""
        self._now()
        answer = self._writer.handle(self._session, asked, repr(asked).encode())
        if not self._context.journal.is_empty:
            self._writer.write()
        return answer


def _reasons(answer: Answer) -> list[str]:
    return list(answer.body.reasons) if answer.status == Status.REFUSED else []


def _words(answer: Answer) -> str:
    return f"{answer.status.name} {_reasons(answer) or answer.body}"[:200]
