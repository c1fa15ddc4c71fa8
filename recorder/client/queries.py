"""What is asked of the recorder and answered, beside cycles and commits."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from recorder.client.answers import Page, Receipt, Signed, Witnessed
from recorder.client.commits import checked, receipt_from
from recorder.client.connection import NS_PER_MS, boottime_ns
from recorder.client.control import Control, Waiting
from recorder.client.errors import Unavailable
from recorder.client.session import Answer, Outgoing
from recorder.client.statement import request
from recorder.core import message_replies, observation
from recorder.core.errors import FormatError, Misuse
from recorder.core.kinds import Kind
from recorder.core.messages import Verb
from recorder.core.protocol import body_of

READ_MAX_BYTES = 64 * 1024


class Queries:
    """The part of a `Recorder` that asks and waits; all raise `Unavailable` and `NotRecorded`."""

    def __init__(self, control: Control, timeout_ms: int) -> None:
        self.timeout_ms = timeout_ms
        self._control = control

    def append(
        self,
        kind: Kind | int,
        *,
        body: dict[str, Any] | None = None,
        control: list[Any] | None = None,
        refs: dict[int, list[list[Any]]] | None = None,
    ) -> Receipt:
        """Append an entry of another kind, as far as the recorder permits this user."""
        # It has no commits: with index 0 the id would name the first of them.
        return receipt_from(self.query(Verb.APPEND, int(kind), body, control, refs))._replace(index=None)

    def observe(self, signed: bytes) -> Receipt:
        """Record an observation as its observer signed it (`recorder.core.observation`), durable on return.

        A later why refers to it by `entry_id` in its `inputs`, an entry with references by `[None, seq, entry_hash]`.

        Raises:
            FormatError: observation_malformed; nothing was sent.

        """
        observation.read(signed)
        digest = sha256(signed).digest()
        return self.append(Kind.OBSERVATION, body={observation.CLAIM: signed}, control=[digest])

    def control_transition(
        self, *, asked: str | None, in_control: str | None, means: str | None, reason: str | None = None
    ) -> Receipt:
        """Record that control passed from one to another, durable on return.

        Args:
            asked: who was asked to be in control; None for nobody.
            in_control: who is from now on; None for nobody.
            means: by which it passed: a switch, a hand on the arm, a lost link; None where nothing is known of it.
            reason: why, where there is something to say.

        """
        body = {"asked": asked, "in_control": in_control, "means": means}
        return self.append(Kind.CONTROL_TRANSITION, body=body | ({} if reason is None else {"reason": reason}))

    def witnessed(self, receipt: Receipt, /, *, wait_ms: int = 0) -> Witnessed:
        """Say who has signed of the witnesses that a commit asked; nothing but this call waits for them.

        Args:
            receipt: of a commit, durable.
            wait_ms: how long to wait, at most, until as many have signed as it wanted, or all that it asked.

        Raises:
            Misuse: the act has no entry yet.
            NotRecorded: not_asked: it asked nobody, or before the recorder's last start, or too long ago.

        """
        if receipt.seq is None:
            raise Misuse("the act is not recorded yet, so nobody was asked")
        deadline_ns = self.deadline_ns(self.timeout_ms + wait_ms)
        answer = self.ask(request(Verb.WITNESSED, receipt.seq, wait_ms), deadline_ns)
        found: message_replies.Witnessed = _body(answer, message_replies.Witnessed)
        signed = tuple(Signed(*one) for one in found.signed)
        return Witnessed(found.k, found.within_ms, tuple(found.asked), signed)

    def read(self, seq: int, max_bytes: int = READ_MAX_BYTES) -> Page:
        """Read stored entries from `seq` on, with their claims."""
        next_seq, entries = _body(self.query(Verb.READ, seq, max_bytes), tuple[int, list[tuple[bytes, Any]]])
        return Page(next_seq, entries)

    def checkpoint(self) -> bytes:
        """Ask for a signed note of the log as it is."""
        return _note(self.query(Verb.CHECKPOINT))

    def seal(self) -> bytes:
        """Have the segment rolled, so that others may read it; returns a signed note."""
        return _note(self.query(Verb.SEAL))

    def status(self) -> dict[str, Any]:
        """Ask the recorder how it does."""
        status: dict[str, Any] = _body(self.query(Verb.STATUS), dict[str, Any])
        return status

    def declare_actuator(self, name: str) -> int:
        """Give a configured actuator its number; opening a cycle does it too."""
        number: int = _body(self.query(Verb.DECLARE_ACTUATOR, name), int)
        return number

    def query(self, verb: Verb, *parts: Any) -> Answer:  # noqa: ANN401 -- CBOR values
        """Ask and wait for `timeout_ms`.

        Raises:
            Unavailable: no answer in time.
            Misuse: a part has no place in the format.

        """
        return self.ask(request(verb, *parts), self.deadline_ns(self.timeout_ms))

    def ask(self, question: Outgoing, deadline_ns: int, on_unavailable: str | None = None) -> Answer:
        """Ask and wait.

        Raises:
            Unavailable: no answer in time.

        """
        waiting = Waiting(question, deadline_ns)
        answer = self._control.ask(waiting)
        if answer is None:
            within_ms = (boottime_ns() - waiting.started_ns) // NS_PER_MS
            raise Unavailable(
                f"no answer to {question.verb.name.lower()} within {within_ms} ms: {self._control.trouble}",
                on_unavailable=on_unavailable,
            )
        return answer

    @staticmethod
    def deadline_ns(within_ms: int) -> int:
        """Turn a time span into a time of CLOCK_BOOTTIME."""
        return boottime_ns() + within_ms * NS_PER_MS


def _body(answer: Answer, kind: Any) -> Any:  # noqa: ANN401 -- the reply body of that type
    try:
        return body_of(checked(answer), kind)
    except FormatError as error:
        raise Unavailable(f"the recorder's answer is not one of this protocol: {error}") from None


def _note(answer: Answer) -> bytes:
    note: bytes = _body(answer, bytes)
    return note
