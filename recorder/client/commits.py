"""Commits, and what the client does in the recorder's absence: fail as the action class says.

`hold`: the controller learns that it must not act.  `continue_ungated`: it acts, and what it did follows as an
ungated event with the reason and how long the recorder was away.  The recorder never chooses between the two, nor does
this client: the class table of the bundle in force says it, as of the last hello.

In both cases a request that may have reached the recorder is abandoned, so that a commit that nobody acted on does not
stand in the log as an act.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import BoundedSemaphore
from typing import NamedTuple

from recorder.client.answers import ActionClass, Receipt, receipt_of, ungated_pending
from recorder.client.connection import NS_PER_MS, boottime_ns
from recorder.client.control import Control, Waiting
from recorder.client.errors import NotRecorded, Refused, Unavailable
from recorder.client.session import STORE_FULL, Answer, Outgoing
from recorder.client.statement import Claims
from recorder.core import ids, message_replies
from recorder.core.errors import LineageError
from recorder.core.message_replies import Failed
from recorder.core.messages import Status
from recorder.core.protocol import body_of

IN_FLIGHT_MAX = 256
CONTINUE = "continue_ungated"
DEADLINE_PASSED = ("deadline_passed",)  # a refusal for no other reason than that


class Act(NamedTuple):
    """One commit, with what is needed to state it as an ungated event."""

    outgoing: Outgoing
    actuator: str
    action_class: str
    rule: ActionClass | None
    claims: tuple[Claims, Claims, Claims]  # who, what, where
    at_mono_ns: int
    deadline_ns: int | None
    asked: list[int] | None  # of witnesses

    @property
    def continues(self) -> bool:
        """The class goes on without a recorder."""
        return self.rule is not None and self.rule.on_unavailable == CONTINUE


class Commits:
    """Carries out acts through the control session."""

    def __init__(self, control: Control, put_ungated: Callable[[Act, Claims], None]) -> None:
        """Make it.

        Args:
            control: the session.
            put_ungated: queues an act as an event with this why.

        """
        self._control = control
        self._put_ungated = put_ungated
        self._slots = BoundedSemaphore(IN_FLIGHT_MAX)

    def perform(self, act: Act) -> Receipt:
        """Wait until the act is durable.

        Raises:
            Refused, Unavailable, NotRecorded.

        """
        waiting = Waiting(act.outgoing, act.deadline_ns)
        self._control.ask(waiting, while_down=not act.continues)
        return self._end(act, waiting)

    def perform_later(self, act: Act, timeout_ms: int) -> Future[Receipt]:
        """Send the act; its future ends as `perform` would.

        Raises:
            Unavailable: too many are in flight.

        """
        if not self._slots.acquire(timeout=timeout_ms / 1000):
            raise Unavailable(
                f"{IN_FLIGHT_MAX} commits are in flight and none ended within {timeout_ms} ms: {self._control.trouble}",
                on_unavailable=act.rule.on_unavailable if act.rule else None,
            )
        future: Future[Receipt] = Future()
        future.set_running_or_notify_cancel()  # what was sent can't be cancelled

        def end(waiting: Waiting) -> None:
            self._slots.release()
            try:
                future.set_result(self._end(act, waiting))
            except LineageError as error:
                future.set_exception(error)

        self._control.submit(Waiting(act.outgoing, act.deadline_ns, end))
        return future

    def confirm(self, question: Outgoing, timeout_ms: int) -> Receipt:
        """Wait for a request's receipt; after the time-out it stays under way.

        Raises:
            Refused, Unavailable, NotRecorded.

        """
        future: Future[Answer | None] = Future()
        self._control.submit(Waiting(question, None, lambda waiting: future.set_result(waiting.answer)))
        try:
            answer = future.result(timeout_ms / 1000)
        except TimeoutError:
            answer = None
        if answer is None:
            raise Unavailable(
                f"no answer to {question.verb.name.lower()} within {timeout_ms} ms: {self._control.trouble}"
            )
        return receipt_from(answer)

    def _end(self, act: Act, waiting: Waiting) -> Receipt:
        answer = waiting.answer
        if answer is None:
            return self._without(act, waiting, late=False)
        try:
            receipt = receipt_from(answer)
        except Unavailable as unable:
            return self._without(act, waiting, late=False, why=str(unable))
        except Refused as refused:
            if refused.reasons == DEADLINE_PASSED:
                return self._without(act, waiting, late=True)
            raise
        if not receipt.late:
            return receipt
        if act.outgoing.sent_as is not None:
            self._control.give_up(act.outgoing.sent_as)
        return self._without(act, waiting, late=True)

    def _without(self, act: Act, waiting: Waiting, *, late: bool, why: str | None = None) -> Receipt:
        since_ns = min(waiting.started_ns, self._control.lost_ns or waiting.started_ns)
        away_ms = (boottime_ns() - since_ns) // NS_PER_MS
        if act.continues:
            self._put_ungated(act, {"reason": "recorder_unavailable", "unavailable_ms": away_ms})
            return ungated_pending(late=late)
        if why is None:
            why = "the answer came after the deadline" if late else self._control.trouble
        raise Unavailable(
            f"no durable commit of {act.actuator} within {(boottime_ns() - waiting.started_ns) // NS_PER_MS} ms: {why}",
            on_unavailable=act.rule.on_unavailable if act.rule else None,
            late=late,
        )


def receipt_from(answer: Answer) -> Receipt:
    """Read a receipt, or raise what stands in its place.

    Raises:
        Refused, NotRecorded; Unavailable where the recorder is there but cannot store.

    """
    return receipt_of(body_of(checked(answer), message_replies.Receipt))


def checked(answer: Answer) -> object:
    """Return the body of a reply that says OK.

    Raises:
        Refused, NotRecorded; Unavailable where the recorder is there but cannot store.

    """
    if answer.status is Status.REFUSED:
        refused = body_of(answer.body, message_replies.Refused)
        raise Refused(refused.reasons, str(ids.entry_id(refused.entry_hash, refused.seq)), refused.seq)
    if answer.status is not Status.OK:
        failed = body_of(answer.body, Failed)
        if failed.error == STORE_FULL:
            raise Unavailable(f"the recorder cannot store: {failed.detail}")
        raise NotRecorded(failed.error, failed.detail)
    return answer.body
