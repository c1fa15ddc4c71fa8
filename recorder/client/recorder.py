"""`Recorder`: the client's face."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from recorder.client.connection import NS_PER_MS, boottime_ns
from recorder.client.counts import Counts, Lagging
from recorder.client.cycles import Cycles
from recorder.client.errors import Unavailable
from recorder.client.statement import Claims, check_known, wanted
from recorder.client.subscription import heads
from recorder.core.message_replies import Head

LOG = logging.getLogger("recorder.client")
LAST_FLUSH_S = 0.2


class Recorder(Cycles):
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
        self._path = os.fspath(socket_path)
        self._client = client_name or f"pid {os.getpid()}"
        super().__init__(self._path, self._client, who, timeout_ms, ring_ms)
        self._outbox.start(self._control)
        self._control.connect(self.deadline_ns(timeout_ms))
        if self._hello is None:
            LOG.warning("%s", self._control.trouble)

    @property
    def counts(self) -> Counts:
        """Where everything is that was given to `record`, `event` and `gap`."""
        return self._outbox.counts()

    @property
    def lagging(self) -> Lagging | None:
        """More is at risk than the recorder's hello promised, or None."""
        return self._outbox.lagging()

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
        witnesses: int | None = None,
        within_ms: int | None = None,
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
            witnesses: how many witnesses to ask, chosen as the entry is written; its class's rule is the least.
            within_ms: within what time their signatures are wanted.  Nothing waits for them.

        Returns:
            True if it was taken, False if thousands wait already; then it is counted, and declared lost.

        Raises:
            Misuse: no such actuator or class, or a claim that has no place in the format; keys may be missing.

        """
        check_known(self._hello, [action_class], actuators)
        at = boottime_ns() if at_mono_ns is None else at_mono_ns
        families = (self._event_who(who), what, where or {}, {"reason": reason})
        return self.put_event(action_class, tuple(actuators), families, at, asked=wanted(witnesses, within_ms))

    def gap(
        self, *, actuators: Sequence[str], reason: str, lost_count: int | None = None, duration_ms: int | None = None
    ) -> bool:
        """Declare what was not recorded, up to now, and return at once; False where thousands wait already."""
        check_known(self._hello, [], actuators)
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
