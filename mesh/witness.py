"""The witness: whether to cosign a checkpoint, over what it holds of the log (C2SP tlog-witness, `add-incarnation`).

| status | when |
|---|---|
| 200 | cosigned; what is held was durable before |
| 400 | no request, no checkpoint, or an old size above the checkpoint's |
| 403 | the log did not sign, or a new incarnation has not shown itself |
| 404 | nobody is trusted to speak for this origin |
| 409 | the old size is not the one held: the body is the one that is |
| 410 | an incarnation that another one has followed; ours, not tlog-witness's |
| 422 | a proof that does not hold, another root for the size held, or a log of which two histories are proved |
| 503 | no trusted clock, or others were faster again and again; nothing was changed |
| 429 | all is right, but this log has cost as much here as it may: when to ask again; ours, not tlog-witness's |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias, TypeVar

from mesh import exchange
from mesh.exchange import AddCheckpoint, Answer, conflict, cosigned, parse_request, put_off, refused
from mesh.fleetlist import FleetList, Log
from mesh.standing import RETIRED_MAX, Standing, StandingStore, signed_by_log
from mesh.succession import UNPROVED, Succession, check_succession, parse_succession
from recorder.core.checkpoint import Checkpoint, OpenedCheckpoint, open_checkpoint, parse_checkpoint
from recorder.core.cosignature import cosign
from recorder.core.errors import FormatError
from recorder.core.forks import ForkProof, fork_of
from recorder.core.keys import Signer
from recorder.core.merkle import verify_consistency
from recorder.core.note import parse_note
from recorder.core.splits import boot_entry

UNKNOWN = "incarnation_unknown"  # the submitter shows it, by add-incarnation
RACES_MAX = 4  # how often another request may be faster


class Cosigner(NamedTuple):
    """The witness key and its name in the fleet list."""

    name: str
    signer: Signer


class Outcome(NamedTuple):
    """The answer, and what else came to light."""

    answer: Answer
    offered: OpenedCheckpoint | None = None  # a head that the log signed, cosigned or not: for the archive
    fork: ForkProof | None = None  # it contradicts the head that is held
    boot: bytes | None = None  # with which the log of that head begins, as its key signed it; followed or not

    @property
    def is_cosigned(self) -> bool:
        """Whether the head that was offered is now the one held."""
        return self.answer.status == exchange.OK


_Verdict: TypeAlias = Standing | Answer  # what is to be held from now on, or why not
_Request = TypeVar("_Request", AddCheckpoint, Succession)
IsForked: TypeAlias = Callable[[str], bool]
# A line of the fleet list, and whether the head is the first of another incarnation -> 0 where that is taken off what
# the line may cost, else seconds until it could be (`allowance.Allowance.take`).
Spend: TypeAlias = Callable[[str, bool], float]


class _Offered(NamedTuple):
    """A head that its log signed."""

    log: Log
    opened: OpenedCheckpoint
    note: bytes  # with the log's own signature alone

    @property
    def head(self) -> Checkpoint:
        return self.opened.checkpoint


class _Here(NamedTuple):
    """What a witness decides with."""

    store: StandingStore
    cosigner: Cosigner
    time_s: int | None
    spend: Spend


def _never(_: str) -> bool:
    return False


def _free(_: str, __: bool) -> float:  # noqa: FBT001 -- a `Spend`
    return 0.0


def add_checkpoint(
    body: bytes,
    fleet: FleetList,
    store: StandingStore,
    cosigner: Cosigner,
    time_s: int | None,
    is_forked: IsForked = _never,
    spend: Spend = _free,
) -> Outcome:
    """Answer an `add-checkpoint` request, in the order of tlog-witness.

    1. It is a request and holds a checkpoint (400).  2. The origin is known (404).  3. The log signed (403), and no two
    histories of it are proved (422).  4. What is held decides (`_judged`).  5. Another head than the one held has to be
    within what the log may cost here (429).  6. It is held durably, unless another request was faster: then 4. again.
    7. It is cosigned.

    Args:
        body: of the request.
        fleet: whom to trust.
        store: what is held; its errors pass through, and then there is no answer.
        cosigner: signs.
        time_s: POSIX seconds of a clock that is trusted, None without one.
        is_forked: whether two histories of an origin are proved.
        spend: takes off what a log may cost.

    """
    return _answered(body, parse_request, _judged, fleet, is_forked, _Here(store, cosigner, time_s, spend))


def add_incarnation(
    body: bytes,
    fleet: FleetList,
    store: StandingStore,
    cosigner: Cosigner,
    time_s: int | None,
    is_forked: IsForked = _never,
    spend: Spend = _free,
) -> Outcome:
    """Answer an `add-incarnation` request; steps and arguments as `add_checkpoint`, and 4. is `_succeeded`."""
    here = _Here(store, cosigner, time_s, spend)
    return _answered(body, parse_succession, _succeeded, fleet, is_forked, here)


def _answered(
    body: bytes,
    parse: Callable[[bytes], _Request],
    judge: Callable[[_Request, _Offered, Standing | None], _Verdict],
    fleet: FleetList,
    is_forked: IsForked,
    here: _Here,
) -> Outcome:
    """All steps; what tells one kind of request from the other is how it is read, and step 4."""
    try:
        request = parse(body)
        offered = _offered(request.note, fleet, is_forked)
    except FormatError as error:
        return Outcome(_refused(error))
    outcome = _settled(lambda held: judge(request, offered, held), offered, here)
    return outcome._replace(boot=_boot_in(request, offered.log))


def _boot_in(request: AddCheckpoint | Succession, log: Log) -> bytes | None:
    """The boot entry that a request shows, where the log's key signed it."""
    if isinstance(request, AddCheckpoint):
        return None
    try:
        boot_entry(request.boot, log.key)
    except FormatError:
        return None
    return request.boot


def _offered(note: bytes, fleet: FleetList, is_forked: IsForked) -> _Offered:
    """Steps 1 to 3 of a note: a checkpoint, of a known origin, that its log signed and that has one history."""
    origin = parse_checkpoint(parse_note(note).text, may_extend=True).origin
    log = fleet.log_of(origin)
    if log is None:
        raise FormatError("origin_unknown", f"nobody is trusted here to speak for {origin!r}")
    opened = open_checkpoint(note, log.key, may_extend=log.is_foreign)
    if is_forked(origin):
        raise FormatError("origin_forked", f"the key of {origin} signed two histories; `forks` has the proof")
    return _Offered(log, opened, signed_by_log(opened, log.key))


def _judged(request: AddCheckpoint, offered: _Offered, held: Standing | None) -> _Verdict:
    """Step 4: sizes (400, 409), proof (422); an incarnation that is over (410) or has not shown itself (403)."""
    old, head = request.old, offered.head
    if old > head.size:
        raise FormatError("old_size", f"a proof from {old} to {head.size} entries")
    if held is None:
        return conflict(0) if old else _grown(None, request, offered)
    if held.head.origin != head.origin:
        _refuse_retired(held, head.origin)
        raise FormatError(UNKNOWN, f"{held.head.origin} is in force here; show the new one by add-incarnation")
    if old != held.head.size:
        return conflict(held.head.size)
    return _grown(held, request, offered)


def _grown(held: Standing | None, request: AddCheckpoint, offered: _Offered) -> Standing:
    head, proof = offered.head, request.proof
    if held is None:
        if proof:
            raise FormatError("consistency_proof", f"{len(proof)} hashes where the proof from 0 is empty")
        return Standing(offered.note)
    verify_consistency(held.head.size, held.head.root, head.size, head.root, proof)
    return held.grown(offered.note)


def _succeeded(shown: Succession, offered: _Offered, held: Standing | None) -> _Verdict:
    """Step 4 of a new incarnation: `check_succession`, where another one is in force."""
    key = offered.log.key
    if held is None or held.head.origin == key.name:
        return conflict(0 if held is None else held.head.size)  # on with add-checkpoint
    _refuse_retired(held, key.name)
    check_succession(shown, offered.head, key, held.head)
    return held.succeeded(offered.note)


def _refuse_retired(held: Standing, origin: str) -> None:
    if (ended := held.retired_head(origin)) is not None:
        raise FormatError("incarnation_retired", f"{origin} ended at {ended.size}, {held.head.origin} has followed it")
    if len(held.retired) >= RETIRED_MAX:
        raise FormatError("incarnation_retired", f"{RETIRED_MAX} incarnations are over; a person has to look")


def _settled(judge: Callable[[Standing | None], _Verdict], offered: _Offered, here: _Here) -> Outcome:
    """Steps 4 to 7: judge, spend, hold, cosign."""
    log, opened, fork = offered.log, offered.opened, None
    for _ in range(RACES_MAX):
        held = here.store.held(log.line)
        fork = fork or _contradiction(held, offered)
        try:
            verdict = judge(held)
        except FormatError as error:
            verdict = _refused(error)
        if isinstance(verdict, Answer):
            return Outcome(verdict, opened, fork)
        if here.time_s is None:
            # Before anything is held: else a witness that cannot sign would move on to sizes that it never vouched for.
            refusal = FormatError("clock_untrusted", "no trusted clock here, so no time to cosign at")
            return Outcome(_refused(refusal), opened, fork)
        # What is held already costs no sync: whoever repeats heads, which are public, uses up nothing of their log's.
        if verdict != held and (wait_s := here.spend(log.line, _is_another(held, opened.checkpoint))) > 0:
            return Outcome(put_off(_too_much(held, opened.checkpoint), wait_s), opened, fork)
        if here.store.swap(log.line, held, verdict):
            # If we crash here, the log gets 409 with this very size, and is cosigned at its next attempt.
            line = cosign(opened.checkpoint, here.cosigner.name, here.cosigner.signer, here.time_s)
            return Outcome(cosigned([line]), opened, fork)
    refusal = FormatError("witness_busy", f"another request was faster {RACES_MAX} times")
    return Outcome(_refused(refusal), opened, fork)


def _is_another(held: Standing | None, head: Checkpoint) -> bool:
    """Whether a head is the first of an incarnation that follows one that is held."""
    return held is not None and held.head.origin != head.origin


def _too_much(held: Standing | None, head: Checkpoint) -> FormatError:
    if _is_another(held, head):
        return FormatError("too_many_incarnations", "this platform began as many as it may for now; nothing is changed")
    return FormatError("too_many_heads", "this log had as many heads made durable here as it may; nothing is changed")


def _contradiction(held: Standing | None, offered: _Offered) -> ForkProof | None:
    """Two roots for one size; heads of other sizes are for the archive to compare, which has the tree."""
    head = offered.head
    if held is None or (held.head.origin, held.head.size) != (head.origin, head.size):
        return None
    return fork_of(held.note, offered.note)


_STATUS = {
    "add_checkpoint_malformed": 400,
    "add_incarnation_malformed": 400,
    "checkpoint_malformed": 400,
    "note_malformed": 400,
    "old_size": 400,
    "note_signature": 403,
    UNKNOWN: 403,
    "origin_unknown": 404,
    "incarnation_retired": 410,
    "origin_forked": 422,
    "consistency_proof": 422,
    UNPROVED: 422,
    "clock_untrusted": 503,
    "witness_busy": 503,
}


def _refused(error: FormatError) -> Answer:
    return refused(_STATUS[error.error], error)
