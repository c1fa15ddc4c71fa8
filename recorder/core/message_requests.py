"""What each request on the recorder's local socket holds, in the order of its elements (`messages`)."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from msgspec import Meta

from recorder.core.chosen import Candidate, Own
from recorder.core.kinds import Bytes16, Name, Positive, Reason, Uint
from recorder.core.messages import Verb
from recorder.core.policy_classes import Milliseconds

HEADS_MAX = 64  # of one HEADS: notes of some 300 bytes
SESSION = Annotated[bytes, Meta(min_length=8, max_length=8)]
Claims = dict[str, Any]
WITNESSES_MAX = 64  # that one commit may ask for
CANDIDATES_MAX = 256
WAIT_MAX_MS = 600_000
Wanted = tuple[Annotated[int, Meta(ge=1, le=WITNESSES_MAX)], Milliseconds]  # witnesses, and within what time


class Hello(NamedTuple):
    """Opens or resumes a session; the first message of a connection.  Reply: a map, `message_replies.HELLO_KEYS`."""

    verb: Uint
    counter: Uint
    version: Uint
    session: SESSION | None
    client: Name


class OpenCycle(NamedTuple):
    """Asks for a cycle.  Reply: `Opened`, or `Refused`."""

    verb: Uint
    counter: Uint
    who: Claims
    why: Claims
    actuators: Annotated[list[Name], Meta(min_length=1, max_length=64)]
    action_classes: Annotated[list[Name], Meta(min_length=1, max_length=16)]
    max_commits: Positive
    valid_ms: Positive
    supersedes: Uint | None  # carrier seq of a cycle that this one takes over from
    deadline_mono_ns: Uint | None
    act: tuple[Claims, Claims] | None = None  # what and where as contemplated; a policy decides about it
    grant: bytes | None = None  # decision of an external evaluator (`core.grant`)
    stage: Annotated[int, Meta(ge=0, le=3)] = 0  # kinds.Stage; aborting is an event
    predecessor: Uint | None = None  # carrier of the cycle whose next stage this is


class JoinCycle(NamedTuple):
    """Joins a cycle that another process opened.  Reply: `Opened`, or `Refused`."""

    verb: Uint
    counter: Uint
    carrier: Uint
    digits: Annotated[str, Meta(min_length=8, max_length=8)]  # of its printed id


class CloseCycle(NamedTuple):
    """Ends a cycle before its time.  Reply: `Receipt`."""

    verb: Uint
    counter: Uint
    carrier: Uint
    reason: Reason


class DeclareActuator(NamedTuple):
    """Gives a configured actuator its number.  Reply: the number."""

    verb: Uint
    counter: Uint
    name: Name


class DeclareStream(NamedTuple):
    """Declares rows for this connection: schema, what and where shared by its messages.  Reply: stream number."""

    verb: Uint
    counter: Uint
    actuator: Name
    fields: list[list[Any]]  # [ + [name, type, count, unit] ]
    what: Claims
    where: Claims


class CommitRequest(NamedTuple):
    """One discrete commit.  Reply: `Receipt`, or `Refused`."""

    verb: Uint
    counter: Uint
    carrier: Uint
    action_class: Name | None  # None: the only one of the cycle
    actuator: Uint
    what: Claims
    where: Claims
    at_mono_ns: Uint
    deadline_mono_ns: Uint | None
    witnesses: Wanted | None = None  # the class's own rule is the least


class RowsRequest(NamedTuple):
    """Rows of a declared stream, numbered from 0 in the order of declaration on each connection.

    A repeat must be the same bytes, so a client that resumes declares its streams again in the same order.  Rows have
    happened, so they are stored whatever the cycle says.  Reply: `Receipt`.
    """

    verb: Uint
    counter: Uint
    carrier: Uint
    action_class: Name | None
    stream: Uint
    packed: bytes


class EventRequest(NamedTuple):
    """What happened without a cycle: an emergency stop, a reflex, acting on while the recorder was away.

    `why` holds at least `reason`.  Reply: `Receipt`.
    """

    verb: Uint
    counter: Uint
    action_class: Name
    actuators: Annotated[list[Name], Meta(min_length=1, max_length=64)]
    who: Claims
    what: Claims
    where: Claims
    why: Claims
    at_mono_ns: Uint
    predecessor: Uint | None = None  # carrier of a staged cycle that this aborts
    witnesses: Wanted | None = None


class GapRequest(NamedTuple):
    """What a controller knows that it did not record.  Reply: `Receipt`."""

    verb: Uint
    counter: Uint
    actuators: Annotated[list[Name], Meta(max_length=64)]
    count: Uint | None  # type: ignore[assignment]  # hides tuple.count, which nobody calls
    at_mono_ns: tuple[Uint, Uint] | None
    reason: Reason


class AbandonRequest(NamedTuple):
    """Requests whose answer came too late or never; sent first thing on reconnect.  Reply: `Receipt`."""

    verb: Uint
    counter: Uint
    requests: Annotated[list[Bytes16], Meta(min_length=1, max_length=1024)]


class AppendRequest(NamedTuple):
    """An entry of another kind, as permitted per kind and uid.  Reply: `Receipt`."""

    verb: Uint
    counter: Uint
    kind: Uint
    body: Claims | None
    control: list[Any] | None
    refs: dict[int, list[list[Any]]] | None


class Subscribe(NamedTuple):
    """Heads and hashes from now on; what the subscriber is too slow for is dropped.  Reply: `Head`, then pushes."""

    verb: Uint
    counter: Uint


class Read(NamedTuple):
    """Stored entries with their claims, from a seq on.  Reply: `[next seq, [[raw, claims or null], ...]]`."""

    verb: Uint
    counter: Uint
    seq: Uint
    max_bytes: Positive


class Plain(NamedTuple):
    """CHECKPOINT (reply: signed note), SEAL (signed note), STATUS (map)."""

    verb: Uint
    counter: Uint


class Witnesses(NamedTuple):
    """Who may be asked to witness from now on, for as long as this connection is there.  Reply: how many those are."""

    verb: Uint
    counter: Uint
    candidates: Annotated[list[Candidate], Meta(max_length=CANDIDATES_MAX)]
    own: Own | None


class WitnessedRequest(NamedTuple):
    """Who has signed of those that an entry asked.  Reply: `Witnessed`, once it is settled or the wait is over."""

    verb: Uint
    counter: Uint
    seq: Uint
    wait_ms: Annotated[int, Meta(ge=0, le=WAIT_MAX_MS)]


class Heads(NamedTuple):
    """Heads of this platform as peers hold them: who holds each, and the signed note.  Reply: `Compared`."""

    verb: Uint
    counter: Uint
    heads: Annotated[list[tuple[Name, bytes]], Meta(max_length=HEADS_MAX)]


REQUESTS: dict[int, Any] = {
    Verb.HELLO: Hello,
    Verb.OPEN_CYCLE: OpenCycle,
    Verb.JOIN_CYCLE: JoinCycle,
    Verb.CLOSE_CYCLE: CloseCycle,
    Verb.DECLARE_ACTUATOR: DeclareActuator,
    Verb.DECLARE_STREAM: DeclareStream,
    Verb.COMMIT: CommitRequest,
    Verb.ROWS: RowsRequest,
    Verb.EVENT: EventRequest,
    Verb.GAP: GapRequest,
    Verb.ABANDON: AbandonRequest,
    Verb.APPEND: AppendRequest,
    Verb.SUBSCRIBE: Subscribe,
    Verb.READ: Read,
    Verb.CHECKPOINT: Plain,
    Verb.SEAL: Plain,
    Verb.STATUS: Plain,
    Verb.WITNESSES: Witnesses,
    Verb.WITNESSED: WitnessedRequest,
    Verb.HEADS: Heads,
}
