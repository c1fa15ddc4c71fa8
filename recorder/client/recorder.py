"""`Recorder`: the client's face."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from recorder.client.answers import Hello, Receipt
from recorder.client.commits import Act, Commits, checked
from recorder.client.connection import NS_PER_MS, boottime_ns
from recorder.client.control import Control
from recorder.client.counts import Counts, Lagging
from recorder.client.cycle import Cycle, seq_of
from recorder.client.errors import Unavailable
from recorder.client.outbox import Outbox
from recorder.client.queries import Queries
from recorder.client.rows import Source
from recorder.client.session import Outgoing
from recorder.client.statement import NOBODY, Claims, check, request, who_of
from recorder.client.subscription import heads
from recorder.core import ids
from recorder.core.errors import FormatError, Misuse
from recorder.core.messages import Flag, Head, Opened, Verb
from recorder.core.protocol import body_of

LOG = logging.getLogger("recorder.client")
LAST_FLUSH_S = 0.2


class Recorder(Queries):
    """One process's way to the recorder; may be used from several threads.

    Making one does not fail while the recorder is away: `event`, `gap` and `record` work and are delivered later, and
    what needs an answer raises `Unavailable`.
    """

    def __init__(
        self,
        socket_path: str | os.PathLike[str],
        *,
        client_name: str | None = None,
        who: Claims | None = None,
        timeout_ms: int = 1000,
        ring_ms: int = 2000,
    ) -> None:
        """Connect, if the recorder is there.

        Args:
            socket_path: as given to `lineage run --socket`.
            client_name: shown on the recorder's status page.
            who: claims that every cycle and event of this process shares.
            timeout_ms: how long to wait where no deadline is given.
            ring_ms: how long rows are kept while the recorder is away, at a stream's greatest rate.

        """
        self.ring_ms = ring_ms
        self._path = os.fspath(socket_path)
        self._client = client_name or f"pid {os.getpid()}"
        self._who = dict(who or {})
        self._hello: Hello | None = None
        self._outbox = Outbox(self._path, self._client, self._greeted, lambda: self._hello)
        super().__init__(Control(self._path, self._client, self._greeted, self._outbox.wake), timeout_ms)
        self._commits = Commits(self._control, self._put_ungated)
        self._outbox.start(self._control)
        self._control.connect(self.deadline_ns(timeout_ms))
        if self._hello is None:
            LOG.warning("%s", self._control.trouble)

    @property
    def hello(self) -> Hello:
        """Whom we speak to, as of the last hello.

        Raises:
            Unavailable: we never met it.

        """
        if self._hello is None:
            self._control.connect(self.deadline_ns(self.timeout_ms))
        if self._hello is None:
            raise Unavailable(self._control.trouble)
        return self._hello

    @property
    def counts(self) -> Counts:
        """Where everything is that was given to `record`, `event` and `gap`."""
        return self._outbox.counts()

    @property
    def lagging(self) -> Lagging | None:
        """More is at risk than the recorder's hello promised, or None."""
        return self._outbox.lagging()

    def open_cycle(
        self,
        *,
        who: Claims | None = None,
        why: Claims,
        actuators: Sequence[str],
        action_classes: Sequence[str],
        max_commits: int = 1000,
        valid_ms: int = 2000,
        supersedes: Cycle | str | int | None = None,
        deadline_ms: int | None = None,
    ) -> Cycle:
        """Make a why durable; commits and rows then refer to it.

        Args:
            who: claims over those that the recorder was made with; `platform` is filled in.
            why: claims, with the required keys.
            actuators: names that the recorder's configuration gives to this user.
            action_classes: at least one.
            max_commits: commits and rows that it admits.
            valid_ms: how long it admits them.
            supersedes: a cycle that this one takes over from.
            deadline_ms: `timeout_ms` if left out.

        Raises:
            Refused: not admitted; the refusal is recorded.
            Unavailable: the recorder is away, or too late.
            NotRecorded: the recorder did not understand, permit or manage it.
            Misuse: claims are missing, or no such actuator or class.

        """
        hello = self.hello
        merged = who_of(hello.platform, self._who, who)
        check("who", merged)
        check("why", why)
        self._known(action_classes, actuators)
        deadline_ns = self.deadline_ns(self.timeout_ms if deadline_ms is None else deadline_ms)
        opening = request(
            Verb.OPEN_CYCLE,
            *(merged, why, list(actuators), list(action_classes), max_commits, valid_ms),
            seq_of(supersedes),
            deadline_ns,
        )
        rules = {hello.classes[name].on_unavailable for name in action_classes}
        answer = self.ask(opening, deadline_ns, rules.pop() if len(rules) == 1 else None)
        opened: Opened = body_of(checked(answer), Opened)
        if opened.flags & Flag.LATE and answer.outgoing.sent_as is not None:
            self._control.give_up(answer.outgoing.sent_as)
            raise Unavailable("the cycle was opened after the deadline", late=True)
        return Cycle(self, opened, merged)

    def join_cycle(self, cycle_id: str) -> Cycle:
        """Join a cycle that another process opened, by its printed id; raises as `open_cycle` does."""
        try:
            parsed = ids.parse_id(cycle_id)
        except FormatError as error:
            raise Misuse(error.detail) from None
        joining = request(Verb.JOIN_CYCLE, parsed.seq, parsed.digits)
        answer = self.ask(joining, self.deadline_ns(self.timeout_ms))
        opened: Opened = body_of(checked(answer), Opened)
        return Cycle(self, opened, self._event_who(None))

    def event(
        self,
        action_class: str,
        /,
        *,
        actuators: Sequence[str],
        what: Claims,
        reason: str,
        where: Claims | None = None,
        who: Claims | None = None,
        at_mono_ns: int | None = None,
    ) -> bool:
        """Record what happens without a cycle and return at once, whatever the recorder does.

        Args:
            action_class: such as "emergency_stop".
            actuators: names.
            what: claims of the act.
            reason: why it happened.
            where: claims; may be empty.
            who: claims over those that the recorder was made with; nobody if left out.
            at_mono_ns: when it happened, CLOCK_BOOTTIME; now if left out.

        Returns:
            True if it was taken, False if thousands wait already; then it is counted, and declared lost.

        Raises:
            Misuse: no such actuator or class, or a claim that has no place in the format; keys may be missing.

        """
        self._known([action_class], actuators)
        at = boottime_ns() if at_mono_ns is None else at_mono_ns
        families = (self._event_who(who), what, where or {}, {"reason": reason})
        return self._outbox.put_event(action_class, tuple(actuators), families, at)

    def gap(
        self, *, actuators: Sequence[str], reason: str, lost_count: int | None = None, duration_ms: int | None = None
    ) -> bool:
        """Declare what was not recorded, up to now, and return at once; False where thousands wait already."""
        self._known([], actuators)
        now_ns = boottime_ns()
        times = None if duration_ms is None else (max(0, now_ns - duration_ms * NS_PER_MS), now_ns)
        return self._outbox.put_gap(tuple(actuators), lost_count, times, reason)

    def subscribe(self) -> Iterator[Head]:
        """Heads as they come, on a connection of their own; raises Unavailable, NotRecorded when iterated."""
        return heads(self._path, self._client, self.timeout_ms / 1000)

    def flush(self, timeout_s: float, /) -> None:
        """Wait until the rows, events and gaps given so far are durable.

        Raises:
            Unavailable: they are not in time; `pending` says how many, and they go on being delivered.

        """
        if not self._outbox.flush(timeout_s):
            counts = self.counts
            raise Unavailable(f"{counts} after {timeout_s} s: {self._outbox.problem}", pending=counts)

    def close(self, timeout_s: float = 2.0) -> None:
        """Deliver what is left and end.

        Raises:
            Unavailable: what `pending` says could not be delivered, and is lost with this process.

        """
        if self._outbox.is_closed:
            return
        self._outbox.flush(timeout_s, also=lambda: self._control.is_idle)
        for waiting in self._control.close():  # futures: each ends as its class says, which may leave an event
            if waiting.ended is not None:
                waiting.ended(waiting)
        if self.counts.events_pending:
            self._outbox.flush(LAST_FLUSH_S)
        counts = self.counts
        self._outbox.close()
        if counts.pending:
            raise Unavailable(f"closed with {counts}: {self._outbox.problem}", pending=counts)

    # What a cycle needs of its recorder (cycle.Port).

    def perform(self, act: Act) -> Receipt:
        """Commit, and fail as the class says."""
        return self._commits.perform(act)

    def perform_later(self, act: Act) -> Future[Receipt]:
        """Commit, pipelined, and fail as the class says."""
        return self._commits.perform_later(act, self.timeout_ms)

    def confirm(self, question: Outgoing, timeout_ms: int) -> Receipt:
        """Wait for a request's receipt; after the time-out it is still delivered, but Unavailable is raised."""
        return self._commits.confirm(question, timeout_ms)

    def adopt(self, source: Source) -> None:
        """Send a source's rows."""
        self._outbox.adopt(source)

    def drain(self, sources: Sequence[Source], timeout_s: float) -> bool:
        """Wait until all rows of these sources are answered."""
        return self._outbox.drain(sources, timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        try:
            self.close()
        except Unavailable as unavailable:
            if kind is None:
                raise
            LOG.error("%s", unavailable)  # the error on its way matters more  # noqa: TRY400

    def _greeted(self, hello: Hello) -> None:
        self._hello = hello

    def _put_ungated(self, act: Act, why: Claims) -> None:
        who, what, where = act.claims
        self._outbox.put_event(act.action_class, (act.actuator,), (who, what, where, why), act.at_mono_ns)

    def _event_who(self, who: Claims | None) -> Claims:
        return {**NOBODY, **self._who, **(who or {})}

    def _known(self, action_classes: Sequence[str], actuators: Sequence[str]) -> None:
        hello = self._hello
        if hello is None:
            return  # never met: the recorder will judge
        for names, known, word in (
            (action_classes, hello.classes, "action class"),
            (actuators, hello.actuators, "actuator"),
        ):
            if unknown := [name for name in names if name not in known]:
                raise Misuse(f"no {word} {', '.join(map(repr, unknown))} for this user; there are {', '.join(known)}")
