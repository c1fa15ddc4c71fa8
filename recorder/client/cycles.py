"""`Cycles`: the part of a `Recorder` that opens cycles, and what a cycle needs of it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from recorder.client import statement
from recorder.client.answers import Hello, Receipt
from recorder.client.commits import Act, Commits, checked
from recorder.client.control import Control
from recorder.client.cycle import Cycle, seq_of
from recorder.client.errors import Unavailable
from recorder.client.outbox import Outbox
from recorder.client.queries import Queries
from recorder.client.rows import Source
from recorder.client.session import Outgoing
from recorder.client.statement import NOBODY, Claims, check, request, who_of
from recorder.core import ids
from recorder.core.errors import FormatError, Misuse
from recorder.core.kinds import Stage
from recorder.core.message_replies import Opened
from recorder.core.messages import Flag, Verb
from recorder.core.protocol import body_of


class Cycles(Queries):
    """Opens cycles and joins them; carries out what is done under them."""

    def __init__(self, path: str, client: str, who: Claims | None, timeout_ms: int, ring_ms: int) -> None:
        """Make it without connecting; arguments are those of `Recorder`."""
        self.ring_ms = ring_ms
        self._who = dict(who or {})
        self._hello: Hello | None = None
        self._outbox = Outbox(path, client, self._greeted, lambda: self._hello)
        super().__init__(Control(path, client, self._greeted, self._outbox.wake), timeout_ms)
        self._commits = Commits(self._control, self._put_ungated)

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

    def open_cycle(
        self,
        *,
        who: Claims | None = None,
        delegation: bytes | str | None = None,
        why: Claims | None = None,
        inputs: Sequence[Claims] | None = None,
        alternatives: Sequence[Any] | None = None,
        what: Claims | None = None,
        where: Claims | None = None,
        grant: bytes | None = None,
        actuators: Sequence[str],
        action_classes: Sequence[str],
        max_commits: int = 1000,
        valid_ms: int = 2000,
        stage: Stage | str = Stage.DIRECT,
        predecessor: Cycle | str | int | None = None,
        supersedes: Cycle | str | int | None = None,
        deadline_ms: int | None = None,
    ) -> Cycle:
        """Make a why durable; commits and rows then refer to it.

        Under the configured table the controller decides, and `why` says how. With a signed policy in force the
        recorder decides about the contemplated act, `what` at `where`, and writes evaluator and clauses itself; or an
        external evaluator did, and its `grant` says so.

        An input is a map of one of these three: the value itself, `{"name", "value", "unit", "at_mono_ns"}`; an
        observation that is recorded (`observe`), `{"name", "entry": receipt.entry_id}`; or one that comes along,
        `{"name", "observation": bytes}`, made by `recorder.core.observation.make`. Only the latter two can be signed.

        Args:
            who: claims over those that the recorder was made with; `platform` is filled in.
            delegation: hash of the credential that lets this platform act, as 32 bytes or in hex; a claim of who.
            why: claims, with the required keys; those left out are null, or empty, where `what` is given.
            inputs: what the decision is made from; a claim of why.
            alternatives: what else was considered; a claim of why.
            what: the contemplated act; the predecessor's if that is a `Cycle` and this is left out.
            where: of it; empty if left out.
            grant: an external evaluator's decision, made from the same act and inputs (`recorder.core.grant`).
            actuators: names that the recorder's configuration gives to this user.
            action_classes: at least one; exactly one under a policy, where it is gated.
            max_commits: commits and rows that it admits.
            valid_ms: how long it admits them.
            stage: direct, tentative, witnessed or executed; `Cycle.abort` ends a sequence of stages.
            predecessor: the cycle of the stage before, which ends with this one's opening.
            supersedes: a cycle that this one takes over from.
            deadline_ms: `timeout_ms` if left out.

        Raises:
            Refused: not admitted; the refusal is recorded.
            Unavailable: the recorder is away, or too late.
            NotRecorded: the recorder did not understand, permit or manage it.
            Misuse: claims are missing, or no such actuator or class.

        """
        hello = self.hello
        act = statement.act_of(what, where)
        if act is None and isinstance(predecessor, Cycle):
            act = predecessor.act
        merged = who_of(hello.platform, self._who, who, statement.delegation_of(delegation))
        check("who", merged)
        whole = statement.why_of(why, inputs, alternatives, is_decided=act is None)
        check("why", whole)
        statement.check_known(self._hello, action_classes, actuators)
        deadline_ns = self.deadline_ns(self.timeout_ms if deadline_ms is None else deadline_ms)
        opening = request(
            Verb.OPEN_CYCLE,
            *(merged, whole, list(actuators), list(action_classes), max_commits, valid_ms),
            *(seq_of(supersedes), deadline_ns),
            *statement.given(Verb.OPEN_CYCLE, act and list(act), grant, statement.stage_of(stage), seq_of(predecessor)),
        )
        rules = {hello.classes[name].on_unavailable for name in action_classes}
        answer = self.ask(opening, deadline_ns, rules.pop() if len(rules) == 1 else None)
        opened: Opened = body_of(checked(answer), Opened)
        if opened.flags & Flag.LATE and answer.outgoing.sent_as is not None:
            self._control.give_up(answer.outgoing.sent_as)
            raise Unavailable("the cycle was opened after the deadline", late=True)
        return Cycle(self, opened, merged, act)

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

    # What a cycle needs of its recorder (port.Port).

    def perform(self, act: Act) -> Receipt:
        """Commit, and fail as the class says."""
        return self._commits.perform(act)

    def perform_later(self, act: Act) -> Future[Receipt]:
        """Commit, pipelined, and fail as the class says."""
        return self._commits.perform_later(act, self.timeout_ms)

    def confirm(self, question: Outgoing, timeout_ms: int) -> Receipt:
        """Wait for a request's receipt; after the time-out it is still delivered, but Unavailable is raised."""
        return self._commits.confirm(question, timeout_ms)

    def put_event(
        self,
        action_class: str,
        actuators: tuple[str, ...],
        families: tuple[Claims, Claims, Claims, Claims],
        at_mono_ns: int,
        predecessor: int | None = None,
        asked: list[int] | None = None,
    ) -> bool:
        """Queue an event, which may abort a cycle or ask for witnesses, and return at once."""
        return self._outbox.put_event(action_class, actuators, families, at_mono_ns, predecessor, asked)

    def adopt(self, source: Source) -> None:
        """Send a source's rows."""
        self._outbox.adopt(source)

    def drain(self, sources: Sequence[Source], timeout_s: float) -> bool:
        """Wait until all rows of these sources are answered."""
        return self._outbox.drain(sources, timeout_s)

    def _greeted(self, hello: Hello) -> None:
        self._hello = hello

    def _put_ungated(self, act: Act, why: Claims) -> None:
        who, what, where = act.claims
        families = (who, what, where, why)
        self.put_event(act.action_class, (act.actuator,), families, act.at_mono_ns, asked=act.asked)

    def _event_who(self, who: Claims | None) -> Claims:
        return {**NOBODY, **self._who, **(who or {})}
