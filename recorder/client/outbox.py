"""What has happened and is on its way: rows, events and gaps, with the thread that sends them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from recorder.client import events
from recorder.client.answers import Hello
from recorder.client.connection import NS_PER_MS, Connection, boottime_ns
from recorder.client.control import Control
from recorder.client.counts import Counts, Lagging
from recorder.client.events import EventQueue, gap
from recorder.client.pump import Pump
from recorder.client.ring import Chunk
from recorder.client.rows import RowSender, Source
from recorder.client.session import Session
from recorder.client.statement import Claims, check, given, request
from recorder.client.wake import Wake
from recorder.core import required, rows
from recorder.core.errors import FormatError, Misuse
from recorder.core.messages import Verb

LOG = logging.getLogger("recorder.client")
EVENTS_WINDOW = 64  # unanswered at once
ROWS_WINDOW = 8  # messages of many rows each
REASON_MAX = 1024  # kinds.Reason
POLL_S = 0.01


class Outbox:
    """Two sessions, so that an emergency stop overtakes queued rows."""

    def __init__(
        self, path: str, client: str, greeted: Callable[[Hello], None], hello: Callable[[], Hello | None]
    ) -> None:
        """Make it without connecting.

        Args:
            path: the recorder's socket.
            client: our name.
            greeted: hears of every hello.
            hello: the last one.

        """
        self.is_closed = False
        self._hello = hello
        self._client = client
        self._wake = Wake()
        self._queue = EventQueue(client)
        self._sender = RowSender(Session(client, ROWS_WINDOW, patient=True), self._rejected, client)
        self._events = Connection(path, Session(client, EVENTS_WINDOW, patient=True), greeted)
        self._rows = Connection(path, self._sender.session, greeted)
        self._pump: Pump | None = None
        self._was_lagging = False

    def start(self, control: Control) -> None:
        """Start the thread, which serves the futures of `control` too."""
        self._pump = Pump(
            control,
            (self._events, self._queue),
            (self._rows, self._sender),
            wake=self._wake,
            hello=self._hello,
            watch=self._watch,
        )
        self._pump.start()

    def wake(self) -> None:
        """Have the thread look at once; never blocks."""
        self._wake.set()

    def put_event(
        self,
        action_class: str,
        actuators: tuple[str, ...],
        families: tuple[Claims, Claims, Claims, Claims],
        at: int,
        predecessor: int | None,
        asked: list[int] | None,
    ) -> bool:
        """Queue an event; families are who, what, where, why, the predecessor is the cycle that it aborts.

        What is asked of witnesses is how many, and within how many ms.

        Raises:
            Misuse: claims are missing or have no place in the format, or the recorder's client is closed.

        """
        self._check_open()
        who, what, where, why = families
        check("why", why, required.UNGATED_WHY)
        hello = self._hello()
        if hello is not None:
            who = {"platform": hello.platform, **who}
        families = (who, what, where, why)
        trailing = given(Verb.EVENT, predecessor, asked)
        event = request(Verb.EVENT, action_class, list(actuators), *families, at, *trailing)
        taken = self._queue.put_event(events.packed(event), actuators, at)
        self._wake_if_dozing()
        return taken

    def put_gap(
        self, actuators: tuple[str, ...], count: int | None, times: tuple[int, int] | None, reason: str, lost: int = 0
    ) -> bool:
        """Queue a gap; `lost` of what it declares is counted as declared when it is durable.

        Raises:
            Misuse: it has no place in the format, or the recorder's client is closed.

        """
        self._check_open()
        try:
            declared = gap(actuators, count, times, reason)
        except FormatError as error:
            raise Misuse(f"this gap can't be recorded: {error.detail}") from None
        taken = self._queue.put_gap(declared, actuators, boottime_ns(), lost)
        self._wake_if_dozing()
        return taken

    def adopt(self, source: Source) -> None:
        """Send a source's rows from now on."""
        self._check_open()
        if source not in self._sender.sources:
            self._sender.sources.append(source)
            self._wake_if_dozing()

    @property
    def problem(self) -> str:
        """Why events or rows don't move."""
        return self._events.problem or self._rows.problem or "the recorder does not answer"

    def drain(self, sources: Sequence[Source], timeout_s: float) -> bool:
        """Wait until the rows that these sources hold now are answered; False if they are not in time."""
        marks = [(source, source.ring.written) for source in sources]
        return self._wait_until(lambda: _reached(marks), timeout_s)

    def flush(self, timeout_s: float, also: Callable[[], bool] = lambda: True) -> bool:
        """Wait until all given so far is answered, and `also` holds; False if not in time."""
        marks = [(source, source.ring.written) for source in tuple(self._sender.sources)]
        number = self._queue.recorded
        return self._wait_until(lambda: _reached(marks) and self._queue.is_settled(number) and also(), timeout_s)

    def counts(self) -> Counts:
        """Count everything, as of now."""
        totals, queue = self._sender.totals(), self._queue
        return Counts(
            rows_recorded=totals.recorded,
            rows_acknowledged=totals.acknowledged,
            rows_rejected=totals.rejected,
            rows_dropped=totals.dropped,
            rows_pending=totals.pending,
            events_recorded=queue.recorded,
            events_acknowledged=queue.acknowledged,
            events_rejected=queue.rejected,
            events_dropped=queue.dropped,
            events_pending=queue.pending,
            losses_pending=totals.losses_pending + queue.losses_pending,
            lost_declared=totals.lost_declared + queue.lost_declared,
            lagging=self.lagging(),
        )

    def lagging(self) -> Lagging | None:
        """Compare what is at risk with what the recorder's hello promised."""
        hello = self._hello()
        if hello is None:
            return None
        pending = self._sender.totals().pending
        times = [at for source in tuple(self._sender.sources) if (at := source.ring.oldest_mono_ns()) is not None]
        oldest_ms = max(0, boottime_ns() - min(times)) // NS_PER_MS if times else 0
        if pending <= hello.at_risk_rows and oldest_ms <= hello.at_risk_ms:
            return None
        return Lagging(pending, oldest_ms, hello.at_risk_rows, hello.at_risk_ms)

    def close(self) -> None:
        """Stop the thread; what is left stays undelivered."""
        self.is_closed = True
        if self._pump is not None:
            self._pump.stop()
        self._wake.close()

    def _wake_if_dozing(self) -> None:
        if self._pump is None or self._pump.is_dozing:
            self.wake()

    def _check_open(self) -> None:
        if self.is_closed:
            raise Misuse("this Recorder is closed")

    def _rejected(self, source: Source, chunk: Chunk, why: str) -> None:
        LOG.error("the recorder did not take %d rows of %s: %s", chunk.count, source.actuator, why)
        times = rows.times_of(bytes(chunk.view), source.ring.row_bytes)
        reason = f"rows of client {self._client} not taken by the recorder: {why}"[:REASON_MAX]
        self.put_gap((source.actuator,), chunk.count, times, reason, lost=chunk.count)

    def _wait_until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        assert self._pump is not None, "started"
        until = time.monotonic() + timeout_s
        self._pump.hurry()
        with self._pump.progress:
            while not done():
                left_s = until - time.monotonic()
                if left_s <= 0:
                    return False
                self._pump.progress.wait(min(left_s, POLL_S))
        return True

    def _watch(self) -> None:
        if not self._sender.sources:
            return
        lagging = self.lagging()
        if lagging is not None and not self._was_lagging:
            LOG.warning("lagging: %s", lagging)
        elif lagging is None and self._was_lagging:
            LOG.info("no longer lagging")
        self._was_lagging = lagging is not None


def _reached(marks: Sequence[tuple[Source, int]]) -> bool:
    return all(
        source.ring.released >= written and not source.ring.losses_waiting and not source.losses_out
        for source, written in marks
    )
