"""The writer's door: one request in, one answer out; exactly once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

from recorder.core import entry
from recorder.core.kinds import Commit, Kind, Rows
from recorder.core.limits import SESSION_BYTES
from recorder.core.message_replies import Receipt
from recorder.core.messages import DURABLE, Flag, Status, Verb
from recorder.core.protocol import request_id
from recorder.store.errors import StoreError
from recorder.store.sessions import DIGEST_BYTES
from recorder.store.tail import Op
from recorder.writer import commits, cycles, declare, opening
from recorder.writer.context import Context, failed
from recorder.writer.journal import Written
from recorder.writer.refusals import refused_before
from recorder.writer.session import Answer, Session

# What a policy adds to a why must fit one `read` reply with it: the clauses, and what was consumed once more.
OPENING_MAX_BYTES = 24 * 1024
_VERBS: dict[int, Callable[[Context, Session, Any], Answer]] = {
    Verb.OPEN_CYCLE: opening.open_cycle,
    Verb.JOIN_CYCLE: cycles.join_cycle,
    Verb.CLOSE_CYCLE: cycles.close_cycle,
    Verb.DECLARE_ACTUATOR: declare.actuator,
    Verb.DECLARE_STREAM: declare.stream,
    Verb.ROWS: commits.rows_message,
    Verb.EVENT: commits.event,
    Verb.GAP: declare.gap,
    Verb.ABANDON: declare.abandon,
    Verb.APPEND: declare.append,
}
VERBS = frozenset(_VERBS) | {Verb.COMMIT}


class Writer:
    """Requests to entries."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._drafted: dict[bytes, Answer] = {}  # answers of this transaction, by request id

    def handle(self, session: Session, request: Any, message: bytes) -> Answer:  # noqa: ANN401 -- one of REQUESTS
        """Draft what a request asks for.

        A request with a counter that is durable already gets its first answer again; so does one whose first answer
        is not written yet.
        """
        verb = request.verb
        if verb not in DURABLE:
            return _VERBS[verb](self._context, session, request)
        tail = self._context.journal.tail
        if tail.sessions.is_closed(session.id):
            return failed("session_closed", "too many newer sessions; say hello for a new one")
        digest = sha256(message).digest()[:DIGEST_BYTES]
        if request.counter <= session.counter:
            return self._again(session, request.counter, digest)
        if verb == Verb.OPEN_CYCLE and len(message) > OPENING_MAX_BYTES and self._context.table.signed is not None:
            return failed("opening_too_large", f"{len(message)} bytes, over {OPENING_MAX_BYTES} under a signed policy")
        if verb == Verb.COMMIT:
            answer = commits.commit(self._context, session, request, len(message))
        else:
            answer = _VERBS[verb](self._context, session, request)
        if answer.hash_of is not None:
            session.counter = request.counter
            session.last_seq = max(session.last_seq, answer.hash_of)  # a repeated refusal names an older entry
            self._context.journal.move(
                Op.REQUEST, session.id, request.counter, answer.hash_of, digest, session.peer.uid
            )
            self._drafted[request_id(session.id, request.counter)] = answer
        return answer

    def write(self) -> Written:
        """Make what was drafted durable.

        Raises:
            SyncFailedError: whether it is durable is not known.

        """
        written = self._context.journal.write()
        self._context.readings.settle(written.first, written.hashes)
        self._context.groups.clear()
        self._drafted.clear()
        return written

    def _again(self, session: Session, counter: int, digest: bytes) -> Answer:
        tail, store = self._context.journal.tail, self._context.journal.store
        answered = tail.sessions.find(session.id, counter)
        if answered is None:
            return failed("request_forgotten", f"request {counter} is older than the requests remembered")
        if answered.digest != digest:
            return failed("request_changed", f"request {counter} was made before with other content")
        request = request_id(session.id, counter)
        drafted = self._drafted.get(request)
        if drafted is not None:
            return drafted._replace(body=drafted.body._replace(flags=drafted.body.flags | int(Flag.DUPLICATE)))
        try:
            raw = store.entry(answered.seq)
        except StoreError as error:
            return failed("store_damaged", str(error))
        return _from_entry(self._context, raw, request)


def _from_entry(context: Context, raw: bytes, request: bytes) -> Answer:
    """The first answer, out of the entry that it was given for."""
    read = entry.decode(raw)
    header = read.header
    flags = int(Flag.DUPLICATE)
    if header.kind == Kind.REFUSAL:
        return refused_before(raw, flags)
    if header.kind == Kind.CYCLE and header.bounds is not None and header.policy_axis is not None:
        bundle = header.policy_axis.bundle or b""
        return cycles.opened_before(context, header.seq, read.hash, header.bounds, bundle, flags)
    index = _index_of(request, header.commits or [])
    holds = header.witnesses is not None and bool(header.witnesses.before)
    return Answer(Status.OK, Receipt(header.seq, index, read.hash, header.decision, flags), holds=holds)


def _index_of(request: bytes, commits: Sequence[Commit | Rows]) -> int:
    """Place of a request's commit: its own, or that of the session's last rows before it, which took it in."""
    session = request[:SESSION_BYTES]
    found = 0
    for at, commit in enumerate(commits):
        if commit.request == request:  # the first of those that share it
            return at
        if commit.request[:SESSION_BYTES] == session and commit.request < request:
            found = at
    return found
