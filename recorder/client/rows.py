"""From rings to messages: declares streams, cuts chunks, declares losses, frees room when rows are acknowledged.

Pure but for the rings, which control loops fill.  One sender serves one session; the numbers of its streams hold for
one connection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from recorder.client.events import gap
from recorder.client.ring import Chunk, Lost, RowRing
from recorder.client.session import Answer, Outgoing, Session
from recorder.core import cbor
from recorder.core.message_replies import Failed, Refused
from recorder.core.messages import Status, Verb
from recorder.core.protocol import body_of

STREAMS_MAX = 64  # declared on one connection; beyond it the connection is reopened when nothing is under way
CHUNK_MAX_BYTES = 32 * 1024  # a receipt every few milliseconds at most, and an entry that fits one `read` reply
ROWS_ELEMENTS = 6


@dataclass(slots=True, eq=False)
class Source:
    """The rows of one actuator under one cycle."""

    ring: RowRing
    declaration: bytes  # encoded [actuator, fields, what, where], without the list's head
    carrier: int
    action_class: str | None
    actuator: str
    closed: bool = False  # nobody will record into it any more
    losses_out: int = 0
    acknowledged: int = 0
    rejected: int = 0
    lost_declared: int = 0


@dataclass(slots=True, eq=False)
class _Declared:
    number: int | None = None
    failure: str | None = None

    @property
    def is_answered(self) -> bool:
        """Whether rows may be sent, or have to be given up."""
        return self.number is not None or self.failure is not None


@dataclass(slots=True, eq=False)
class _Piece:
    source: Source
    chunk: Chunk


@dataclass(slots=True, eq=False)
class _Loss:
    source: Source
    lost: Lost


@dataclass(slots=True)
class Totals:
    """Sums over all sources, those that are gone included."""

    recorded: int = 0
    acknowledged: int = 0
    rejected: int = 0
    dropped: int = 0
    pending: int = 0
    losses_pending: int = 0
    lost_declared: int = 0

    def add(self, source: Source) -> None:
        """Add one source."""
        self.recorded += source.ring.written
        self.acknowledged += source.acknowledged
        self.rejected += source.rejected
        self.dropped += source.ring.dropped
        self.pending += source.ring.written - source.ring.released
        self.losses_pending += source.ring.losses_waiting + source.losses_out
        self.lost_declared += source.lost_declared


@dataclass(slots=True, eq=False)
class RowSender:
    """Feeds one session from many rings; `rejected` hears of rows that the recorder would not take, and why."""

    session: Session
    rejected: Callable[[Source, Chunk, str], None]
    client: str
    sources: list[Source] = field(default_factory=list)
    gone: Totals = field(default_factory=Totals)
    wants_reopen: bool = False
    _declared: dict[bytes, _Declared] = field(default_factory=dict)
    _generation: int = 0
    _asked: int = 0  # declarations under way
    _served: Source | None = None

    def begin(self, generation: int) -> None:
        """Call before anything is sent: a new `generation` is a new connection, on which nothing is declared."""
        if generation == self._generation:
            return
        self._generation = generation
        self.wants_reopen = False
        self._asked = 0
        if not self.session.unsent:
            self._declared.clear()  # what is still of use is declared again when its rows come
            return
        # Messages that are sent again name their stream by number: the same declarations, in the same order.
        for encoded, declared in self._declared.items():
            self._declare(encoded, declared)

    def step(self) -> bool:
        """Give the session what it has room for; returns whether that is all that was in the rings."""
        gave = True
        while gave and not self.session.held:
            gave = False
            for source in self._in_turn():
                if self._step_source(source):
                    self._served, gave = source, True
        return not self.session.held and self.session.room > 0

    def _in_turn(self) -> list[Source]:
        """From the one after the last that was served: behind a full window, the later ones would wait for ever."""
        sources = list(self.sources)
        first = sources.index(self._served) + 1 if self._served in sources else 0
        return sources[first:] + sources[:first]

    def answered(self, answer: Answer) -> None:
        """Take the answer to a declaration, to rows or to a loss."""
        token = answer.outgoing.token
        failure = failure_of(answer)
        if isinstance(token, _Declared):
            self._take_number(token, answer, failure)
        elif isinstance(token, _Piece):
            self._settle(token, failure)
        elif isinstance(token, _Loss):
            token.source.losses_out -= 1
            if failure is None:
                token.source.lost_declared += token.lost.count

    def totals(self) -> Totals:
        """Count everything, as of now."""
        totals = Totals(**{name: getattr(self.gone, name) for name in Totals.__slots__})
        for source in tuple(self.sources):
            totals.add(source)
        return totals

    def _declare(self, encoded: bytes, declared: _Declared) -> None:
        self.session.give_urgent(Outgoing(Verb.DECLARE_STREAM, 6, (encoded,), declared))
        self._asked += 1
        self.session.held = True

    def _step_source(self, source: Source) -> bool:
        """Move one piece; True if there may be more."""
        ring = source.ring
        ring.settle_run()
        if ring.is_empty:
            if source.closed and source.losses_out == 0:
                self.gone.add(source)
                self.sources.remove(source)
            return False
        declared = self._declared.get(source.declaration)
        if declared is None:
            if len(self._declared) >= STREAMS_MAX:
                self.wants_reopen = True
                return False
            declared = self._declared[source.declaration] = _Declared()
            self._declare(source.declaration, declared)
            return False
        if self.session.room <= 0 or not declared.is_answered:
            return False
        piece = ring.take(CHUNK_MAX_BYTES)
        if piece is None:
            return False
        if isinstance(piece, Lost):
            source.losses_out += 1
            reason = f"row ring of client {self.client} full"
            request = gap([source.actuator], piece.count, (piece.first_mono_ns, piece.last_mono_ns), reason)
            request.token = _Loss(source, piece)
            self.session.give(request)
        elif declared.number is None:
            assert declared.failure is not None, "answered, and not with a number"
            self._settle(_Piece(source, piece), declared.failure)
        else:
            token = _Piece(source, piece)
            self.session.give(Outgoing(Verb.ROWS, ROWS_ELEMENTS, _rows_tail(token, declared.number), token))
        return True

    def _take_number(self, declared: _Declared, answer: Answer, failure: str | None) -> None:
        declared.failure = failure
        before, declared.number = declared.number, None if failure else body_of(answer.body, int)
        self._asked -= 1
        self.session.held = self._asked > 0
        if declared.number == before or before is None:
            return
        # The recorder numbers otherwise than on the last connection: what is sent again has to follow.
        for request in self.session.unsent:
            token = request.token
            if isinstance(token, _Piece) and self._declared.get(token.source.declaration) is declared:
                if declared.number is not None:
                    request.tail = _rows_tail(token, declared.number)
                else:
                    self.session.withdraw(request)
                    self._settle(token, failure)

    def _settle(self, piece: _Piece, failure: str | None) -> None:
        source, chunk = piece.source, piece.chunk
        if failure is None:
            source.acknowledged += chunk.count
        else:
            source.rejected += chunk.count
            self.rejected(source, chunk, failure)
        source.ring.release(chunk)


def failure_of(answer: Answer) -> str | None:
    """Why nothing was recorded, or None."""
    if answer.status is Status.OK:
        return None
    if answer.status is Status.REFUSED:
        return "; ".join(body_of(answer.body, Refused).reasons) or "refused"
    failed = body_of(answer.body, Failed)
    return f"{failed.error}: {failed.detail}"


def _rows_tail(piece: _Piece, stream: int) -> tuple[bytes, memoryview]:
    # Rows are sent from where they lie in the ring: no copy, and the same bytes whenever they are sent again.
    source, view = piece.source, piece.chunk.view
    head = cbor.pack([source.carrier, source.action_class, stream])[1:]
    return head + _length_head(len(view)), view


def _length_head(size: int) -> bytes:
    # RFC 8949: major type 2 with its length in the fewest bytes; CHUNK_MAX_BYTES and one row stay below 2^16.
    if size < 24:
        return bytes((0x40 + size,))
    return bytes((0x58, size)) if size < 2**8 else b"\x59" + size.to_bytes(2, "big")
