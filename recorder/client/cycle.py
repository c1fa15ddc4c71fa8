"""`Cycle`: one durable why, and what is done under it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from recorder.client.answers import Receipt
from recorder.client.commits import Act
from recorder.client.connection import NS_PER_MS, boottime_ns
from recorder.client.errors import NotRecorded, Unavailable
from recorder.client.port import Port
from recorder.client.ring import RowRing
from recorder.client.rows import Source
from recorder.client.statement import Claims, check, given, request, wanted
from recorder.client.stream import Field, Stream
from recorder.core import ids
from recorder.core.errors import FormatError, Misuse
from recorder.core.message_replies import Opened
from recorder.core.messages import Verb
from recorder.core.rows import size_of, struct_format

CYCLE_UNKNOWN = "cycle_unknown"
LOG = logging.getLogger("recorder.client")


class Cycle:
    """Commits and rows that share one why; leaving its context ends it, disconnecting does not."""

    def __init__(self, port: Port, opened: Opened, who: Claims, act: tuple[Claims, Claims] | None = None) -> None:
        """Made by `Recorder.open_cycle` and `join_cycle`."""
        self._port = port
        self._opened = opened
        self._streams: list[Source] = []
        self._closed = False
        self.who = who
        self.act = act  # what and where as contemplated; None where nothing was, and of a cycle that was joined
        self.seq = opened.seq
        self.id = str(ids.entry_id(opened.entry_hash, opened.seq))  # for `join_cycle`, also in another process

    @property
    def actuators(self) -> tuple[str, ...]:
        """Names of the actuators that it admits."""
        return tuple(self._opened.actuators)

    @property
    def not_after_mono_ns(self) -> int:
        """End of its validity, CLOCK_BOOTTIME."""
        return self._opened.not_after_mono_ns

    @property
    def max_commits(self) -> int:
        """Commits and rows that it admits."""
        return self._opened.max_commits

    def commit(
        self,
        actuator: str,
        /,
        *,
        what: Claims,
        where: Claims | None = None,
        action_class: str | None = None,
        at_mono_ns: int | None = None,
        deadline_ms: int | None = None,
        witnesses: int | None = None,
        within_ms: int | None = None,
    ) -> Receipt:
        """Return when the commit is durable.

        Args:
            actuator: one of the cycle's.
            what: claims of the act, with the required keys.
            where: claims of place and state.
            action_class: None means the only one of the cycle.
            at_mono_ns: when it is to happen, CLOCK_BOOTTIME; now if left out.
            deadline_ms: how long the act can wait; the recorder's `timeout_ms` if left out.
            witnesses: how many witnesses to ask, chosen as the entry is written; its class's rule is the least.
            within_ms: within what time their signatures are wanted.  Nothing waits for them.

        Returns:
            A durable receipt; or, where the recorder is away or late and the class says `continue_ungated`, one whose
            `durable` is False, and the act follows as an ungated event.

        Raises:
            Refused: not admitted; the refusal is recorded.
            Unavailable: away or late, and the class says `hold`: do not act.
            NotRecorded: the recorder did not understand, permit or manage it.
            Misuse: claims are missing, or the cycle has no such actuator or class.

        """
        deadline_ns = self._deadline_ns(self._port.timeout_ms if deadline_ms is None else deadline_ms)
        asked = wanted(witnesses, within_ms)
        return self._port.perform(
            self._act(actuator, (what, where or {}), action_class, at_mono_ns, deadline_ns, asked)
        )

    def submit(
        self,
        actuator: str,
        /,
        *,
        what: Claims,
        where: Claims | None = None,
        action_class: str | None = None,
        at_mono_ns: int | None = None,
        deadline_ms: int | None = None,
        witnesses: int | None = None,
        within_ms: int | None = None,
    ) -> Future[Receipt]:
        """Like `commit`, pipelined; the future ends as `commit` would.  Without a deadline it outlives reconnects.

        Callbacks of the future run in the client's own thread: they must not wait for the recorder.

        Raises:
            Unavailable: as many are in flight as may be, and none ended within the recorder's `timeout_ms`.
            Misuse: as for `commit`.

        """
        deadline_ns = None if deadline_ms is None else self._deadline_ns(deadline_ms)
        asked = wanted(witnesses, within_ms)
        act = self._act(actuator, (what, where or {}), action_class, at_mono_ns, deadline_ns, asked)
        return self._port.perform_later(act)

    def stream(
        self,
        actuator: str,
        /,
        *,
        fields: Sequence[Field],
        what: Claims,
        where: Claims | None = None,
        action_class: str | None = None,
        max_rate_hz: int = 1000,
    ) -> Stream:
        """Declare rows: their fields, and the what and where that they share.

        Args:
            actuator: one of the cycle's.
            fields: (name, numpy type such as "<f4", count, unit) of each.
            what: claims of all rows.
            where: claims of all rows.
            action_class: None means the only one of the cycle.
            max_rate_hz: sizes the ring: it holds the recorder's `ring_ms` at this rate.

        Raises:
            Misuse: fields that no row can have, missing claims, no such actuator or class.

        """
        check("what", what)
        check("where", where or {})
        self.number_of(actuator)
        schema = [list(field) for field in fields]
        try:
            row_format = struct_format(schema)
        except FormatError as error:
            raise Misuse(error.detail) from None
        ring = RowRing(size_of(row_format), max(2, self._port.ring_ms * max_rate_hz // 1000))
        declaration = bytes(request(Verb.DECLARE_STREAM, actuator, schema, what, where or {}).tail[0])
        self.class_of(action_class)
        source = Source(ring, declaration, self.seq, action_class, actuator)
        self._streams.append(source)
        return Stream(source, row_format, fields, self._port.adopt)

    def close(self, reason: str = "done") -> Receipt | None:
        """End the cycle, after its rows; None if it had ended before.

        Raises:
            Unavailable: the recorder did not answer in time; it will be told, and the cycle ends at its time anyway.

        """
        if self._closed:
            return None
        # A row that arrives behind its cycle's end would stand outside the grant.
        self._port.drain(self._streams, self._port.timeout_ms / 1000)
        self._end()
        try:
            return self._port.confirm(request(Verb.CLOSE_CYCLE, self.seq, reason), self._port.timeout_ms)
        except NotRecorded as failed:
            if failed.error == CYCLE_UNKNOWN:
                return None
            raise

    def abort(
        self,
        *,
        what: Claims,
        reason: str,
        where: Claims | None = None,
        action_class: str | None = None,
        at_mono_ns: int | None = None,
    ) -> bool:
        """End the cycle by what is done instead, such as a halt; return at once, whatever the recorder does.

        It is an event, and never refused. Rows that the recorder gets after it stand outside the grant: so push none
        once it is decided to abort, and flush first where that can wait.

        Args:
            what: claims of what is done instead; keys may be missing.
            reason: why.
            where: claims; may be empty.
            action_class: None means the only one of the cycle.
            at_mono_ns: when it happened, CLOCK_BOOTTIME; now if left out.

        Returns:
            True if it was taken, False if thousands wait already; then it is counted, and declared lost, and the cycle
            goes on to its end.

        Raises:
            Misuse: the cycle has no such class, or a claim has no place in the format.

        """
        name = self.class_of(action_class)
        at = boottime_ns() if at_mono_ns is None else at_mono_ns
        families = (self.who, what, where or {}, {"reason": reason})
        taken = self._port.put_event(name, self.actuators, families, at, self.seq)
        if taken:
            self._end()
        return taken

    def number_of(self, actuator: str) -> int:
        """Its number in the log; raises Misuse where the cycle does not have it."""
        number = self._opened.actuators.get(actuator)
        if number is None:
            raise Misuse(f"cycle {self.id} has no actuator {actuator!r}; it has {', '.join(self.actuators)}")
        return number

    def class_of(self, action_class: str | None) -> str:
        """Name of the class meant; raises Misuse where the cycle does not have it."""
        names = self._opened.action_classes
        if action_class is None and len(names) == 1:
            return names[0]
        if action_class is None or action_class not in names:
            raise Misuse(f"cycle {self.id} has the classes {', '.join(names)}; say which, not {action_class!r}")
        return action_class

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        try:
            self.close("done" if kind is None else f"left by {kind.__name__}")
        except Unavailable as unavailable:
            # Nothing is lost by it: the cycle ends at its time, and raising here would stop a controller that flies.
            LOG.warning("cycle %s could not be closed: %s", self.id, unavailable)

    def _end(self) -> None:
        self._closed = True
        for source in self._streams:
            source.closed = True

    def _act(
        self,
        actuator: str,
        claims: tuple[Claims, Claims],
        action_class: str | None,
        at_mono_ns: int | None,
        deadline_ns: int | None,
        asked: list[int] | None,
    ) -> Act:
        what, where = claims
        check("what", what)
        check("where", where)
        name = self.class_of(action_class)
        at = boottime_ns() if at_mono_ns is None else at_mono_ns
        number = self.number_of(actuator)
        trailing = given(Verb.COMMIT, asked)
        commit = request(Verb.COMMIT, self.seq, action_class, number, what, where, at, deadline_ns, *trailing)
        rule = self._port.hello.classes.get(name)
        return Act(commit, actuator, name, rule, (self.who, what, where), at, deadline_ns, asked)

    @staticmethod
    def _deadline_ns(within_ms: int) -> int:
        return boottime_ns() + within_ms * NS_PER_MS


def seq_of(cycle: Cycle | str | int | None) -> int | None:
    """Seq of a cycle however it is named; raises Misuse."""
    if isinstance(cycle, Cycle):
        return cycle.seq
    if isinstance(cycle, str):
        try:
            return ids.parse_id(cycle).seq
        except FormatError as error:
            raise Misuse(error.detail) from None
    return cycle
