"""Declarations and entries of other kinds: actuators, streams, gaps, abandoned requests, appended entries."""

from __future__ import annotations

from typing import Any

from msgspec import ValidationError, convert

from recorder.core import cbor, claims, devicegap, observation, peerheads, rows
from recorder.core.controls import RULES, Fact, Fault, Hold
from recorder.core.cosignature import CLAIM as COSIGNED
from recorder.core.entry import entry_hash
from recorder.core.errors import FormatError
from recorder.core.forks import CLAIM as FORK_PROOF
from recorder.core.kinds import Kind, Ref
from recorder.core.limits import SALT_BYTES
from recorder.core.message_requests import AbandonRequest, AppendRequest, DeclareActuator, DeclareStream, GapRequest
from recorder.core.messages import Status
from recorder.core.required import CONTROL_BODY, missing
from recorder.store.errors import StoreError
from recorder.store.tail import Op
from recorder.writer import holds, install
from recorder.writer.context import Context, failed
from recorder.writer.session import Answer, Session, Stream, receipt

STREAMS_MAX = 256  # a connection
FORK_PROOFS_MAX = 16  # that are looked at in a second; the log has all of them, for `verify`
REPORTED = frozenset({"bridge"})  # faults that others may append; all other names are the recorder's own words
SCHEMA_MAX_BYTES = 16 * 1024
SCHEMAS_MAX = 4096  # an origin: each stays in memory and in every snapshot
SCHEMAS_MAX_BYTES = 512 * 1024  # of them all: a snapshot fits the smallest segment


def actuator(context: Context, session: Session, asked: DeclareActuator) -> Answer:
    """The number of a configured actuator."""
    if asked.name not in session.permissions.actuators:
        return failed("not_permitted", f"uid {session.peer.uid} may not act for {asked.name!r}")
    return _after(context, session, context.number(asked.name))


def stream(context: Context, session: Session, asked: DeclareStream) -> Answer:
    """Declare what the rows of this connection share; the schema becomes an entry the first time."""
    if asked.actuator not in session.permissions.actuators:
        return failed("not_permitted", f"uid {session.peer.uid} may not act for {asked.actuator!r}")
    if len(session.streams) >= STREAMS_MAX:
        return failed("streams_max", f"a connection declares at most {STREAMS_MAX} streams")
    lacking = [f"what.{key}" for key in missing("what", asked.what)]
    lacking += [f"where.{key}" for key in missing("where", asked.where)]
    if lacking:
        return failed("claim_missing", ", ".join(lacking))
    try:
        row_bytes = rows.size_of(rows.struct_format(asked.fields))
    except FormatError as error:
        return failed(error.error, error.detail)
    tail = context.journal.tail
    schema = rows.schema_id(asked.fields)
    if schema not in tail.schemas:
        size = len(cbor.pack(asked.fields))
        if len(tail.schemas) >= SCHEMAS_MAX or size > SCHEMA_MAX_BYTES or tail.schema_bytes + size > SCHEMAS_MAX_BYTES:
            detail = f"at most {SCHEMAS_MAX} schemas, of {SCHEMA_MAX_BYTES} bytes each and {SCHEMAS_MAX_BYTES} in all"
            return failed("schemas_max", detail)
        context.journal.draft(Kind.SCHEMA, {15: [asked.fields]})
        context.journal.move(Op.SCHEMA, schema, asked.fields)
    number = context.number(asked.actuator)
    session.streams.append(Stream(number, asked.actuator, schema, row_bytes, asked.what, asked.where, {}))
    return _after(context, session, len(session.streams) - 1)


def _after(context: Context, session: Session, body: int) -> Answer:
    """Answer once what was drafted so far is durable; at once where nothing was.

    What the session sends next may use the declaration, so it joins no entry that is drafted before that.
    """
    journal = context.journal
    session.last_seq = max(session.last_seq, journal.next_seq - 1)
    return Answer(Status.OK, body, None if journal.is_empty else journal.next_seq - 1)


def gap(context: Context, session: Session, asked: GapRequest) -> Answer:
    """Store what a controller knows that it did not record."""
    strangers = [name for name in asked.actuators if name not in session.permissions.actuators]
    if strangers:
        return failed("not_permitted", f"uid {session.peer.uid} may not act for {', '.join(strangers)}")
    # A device forgets what a gap says is gone: only who brings its confirmations may say so.
    if Kind.CONFIRMATION not in session.permissions.append and devicegap.read(asked.reason) is not None:
        return failed("not_permitted", f"uid {session.peer.uid} may not speak of a device's frames")
    numbers = [context.number(name) for name in asked.actuators]
    span = None if asked.at_mono_ns is None else list(asked.at_mono_ns)
    seq = context.journal.next_seq
    context.journal.draft(Kind.GAP, {15: [numbers, asked.count, span, asked.reason]})
    return receipt(seq)


def abandon(context: Context, _session: Session, asked: AbandonRequest) -> Answer:
    """Store that a controller gave up waiting for its own requests."""
    seq = context.journal.next_seq
    context.journal.draft(Kind.ABANDON, {15: [list(asked.requests)]})
    return receipt(seq)


def append(context: Context, session: Session, asked: AppendRequest) -> Answer:
    """Store an entry of another kind, where the configuration permits it to this peer."""
    if asked.kind not in session.permissions.append:
        return failed("not_permitted", f"uid {session.peer.uid} may not append entries of kind {asked.kind}")
    kind = Kind(asked.kind)
    if kind in install.KINDS:
        return install.install(context, asked)
    rule = RULES[kind]
    control = None
    fields: dict[int, Any] = {}
    held: dict[int, Any] = {}
    present = {key for key, value in ((11, asked.body), (12, asked.refs), (15, asked.control)) if value is not None}
    if not rule.required <= present <= rule.permitted:
        return failed("header_keys", f"{kind.name.lower()} takes keys {sorted(rule.required)} of 11, 12 and 15")
    try:
        if asked.control is not None:
            control = convert(asked.control, rule.control, builtin_types=(bytes,))
            fields[15] = asked.control
        if asked.refs is not None:
            _check_refs(context, asked.refs)
            fields[12] = asked.refs
        if isinstance(control, Hold):
            holds.check(context, control, asked.refs)
    except (ValidationError, StoreError) as error:
        return failed("header_value", f"{kind.name.lower()}: {error}")
    if wrong := _wrong(kind, asked.body, control):
        return wrong
    if asked.body is not None:
        body = context.journal.family("body", asked.body)
        fields[11] = body.digest
        held[11] = body.claims
    seq = context.journal.next_seq
    context.journal.draft(kind, fields, held)
    if kind == Kind.OBSERVATION and asked.body is not None:
        context.readings.note(seq, sum(map(len, held.values())), asked.body)
    context.uncovered.appended(seq, kind, asked.body or {})
    if kind == Kind.EVIDENCE and isinstance(note := _opened(asked.body).get(COSIGNED), bytes):
        context.brought.append((seq, note))
    if kind == Kind.EVIDENCE and isinstance(proof := _opened(asked.body).get(FORK_PROOF), bytes):
        context.fork_proofs = [*context.fork_proofs, (seq, proof)][:FORK_PROOFS_MAX]
    if isinstance(control, Hold):
        holds.take(context, seq, control, asked.refs)
    return receipt(seq)


def _wrong(kind: Kind, body: dict[str, Any] | None, control: Any) -> Answer | None:  # noqa: ANN401 -- RULES says which
    """What this kind asks for beyond its keys."""
    if isinstance(control, Fault) and control.fault not in REPORTED:
        return failed("not_permitted", f"a fault that is appended is one of {', '.join(sorted(REPORTED))}")
    if kind == Kind.OBSERVATION:
        return _wrong_observation(body, control)
    if kind == Kind.CONTROL_TRANSITION and (lacking := missing(CONTROL_BODY, _opened(body))):
        return failed("claim_missing", ", ".join(f"body.{key}" for key in lacking))
    return None


def _opened(body: dict[str, Any] | None) -> dict[str, Any]:
    """Claims as a reader will open them, also under the only key "*"."""
    return claims.disclosed("body", [bytes(SALT_BYTES), body or {}])


def _wrong_observation(body: dict[str, Any] | None, control: Fact | None) -> Answer | None:
    """Refuse a signed observation that `verify` would find fault with, or that no reader could read.

    Who signed it is judged where it is used: a recorder may hear of an observer later than of its readings.
    """
    opened = _opened(body)
    if not observation.named_by(control and control.digest, opened):
        return failed("observation_digest", "control is not the SHA-256 of the bytes in the claim `observation`")
    try:
        if observation.CLAIM in opened:
            observation.read(opened[observation.CLAIM])
        peerheads.notes_in(opened)
    except FormatError as error:
        return failed(error.error, error.detail)
    return None


def _check_refs(context: Context, refs: dict[int, list[list[Any]]]) -> None:
    """A reference to an entry of this origin names one that is there, by its hash."""
    if not refs:
        raise StoreError("an empty map of references; leave it out")
    for listed in refs.values():
        if not listed:
            raise StoreError("an empty list of references")
        for item in listed:
            ref = convert(item, Ref, builtin_types=(bytes,))
            if ref.origin is None and entry_hash(context.journal.store.entry(ref.seq)) != ref.hash:
                raise StoreError(f"entry {ref.seq} has another hash")
