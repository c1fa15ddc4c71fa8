"""What an entry leads to: carriers, references, inputs, declarations, the credential and the key that it stands on.

Every link names an entry below, so one pass upwards through a log meets a target before whatever leads to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from recorder.audit.declared import Declared
from recorder.core import confirmation, credential, grant, ids
from recorder.core.controls import Boot, CycleEnd, Fact
from recorder.core.errors import FormatError
from recorder.core.grant import Grant
from recorder.core.header import Header
from recorder.core.kinds import ABSENT, Kind, RefType, Rows
from recorder.core.limits import HASH_BYTES

WHO = "who"  # leads to the claims of who beside an entry, and to nothing else of it
KEY = "key"
INPUT = "input"
SUPERSEDES = RefType.SUPERSEDES.name.lower()  # what replaces another entry does not stand on it: told, not followed
# Relations to a credential entry.
CREDENTIALS = frozenset({"delegation", "credential", "delegated_from", "deviated_under", "observer", "granted_by"})
DEVICE = "device"  # to the credential of an actuator's device, by the kid in `of`
MATRIX = "matrix"  # the recognition matrix in force, where somebody acted under a credential
BY_DIGEST = CREDENTIALS | {"policy"}  # whose `of` is the digest that they name
_HEX = 2 * HASH_BYTES


class Link(NamedTuple):
    """One step from an entry to another."""

    relation: str
    seq: int | None  # None: nothing below declares it
    of: str = ""  # what names it: a digest, a number, an origin
    digits: str = ""  # the first hex digits of its hash, as far as the link says them
    index: int | None = None  # type: ignore[assignment]  # of its key 10; hides tuple.index
    row: int | None = None
    is_foreign: bool = False  # in the log of the origin in `of`


def links_of(header: Header, values: Mapping[str, Any], declared: Declared, index: int | None = None) -> Iterator[Link]:
    """Links of an entry, in the order in which they are told.

    Args:
        header: of the entry.
        values: `describe.values_of` its claims.
        declared: what was declared below it, or a part of that.
        index: of the one commit in key 10 that is meant; None for all.

    """
    seq, nearest = header.seq, declared.nearest
    if header.why is not None and header.why.carrier != seq:
        yield Link("cycle", header.why.carrier)
    if header.who is not None and header.who.carrier != seq:
        yield Link(WHO, header.who.carrier)
    yield from who_links(header, values, declared)
    yield from _references(header)
    yield from _inputs(values.get("why"))
    yield from _under(header, values.get("why"), declared)
    if header.policy_axis is not None and header.policy_axis.bundle is not None:
        bundle = header.policy_axis.bundle
        yield Link("policy", nearest(Kind.POLICY, bundle, seq), bundle.hex())
    commits = (header.commits or ()) if index is None else (header.commits or ())[index : index + 1]
    numbers = {commit.actuator for commit in commits} | set(header.bounds.actuators if header.bounds else ())
    for number in sorted(numbers):
        yield Link("actuator", nearest(Kind.ACTUATOR, number, seq), f"#{number}")
    for schema in sorted({commit.schema for commit in commits if isinstance(commit, Rows)}):
        yield Link("schema", nearest(Kind.SCHEMA, schema, seq), schema.hex())
    yield from _control(header, values, declared)
    if header.kind not in (Kind.BOOT, Kind.EPOCH):
        yield Link(KEY, declared.introduction(seq))


def who_links(header: Header, values: Mapping[str, Any], declared: Declared) -> Iterator[Link]:
    """The credential that the claims of who beside an entry name by its hash, and what it is judged by."""
    named = digest_of((values.get("who") or {}).get("delegation"))
    if named is not None:
        yield Link("delegation", declared.nearest(Kind.CREDENTIAL, named, header.seq), named.hex())
        if (matrix := declared.matrix(header.seq)) is not None:
            yield Link(MATRIX, matrix)


def granted_in(why: Mapping[str, Any]) -> Grant | None:
    """What the external evaluator's grant in a why says, whoever signed it; None where there is none to be read."""
    raw = why.get(grant.CLAIM)
    try:
        return grant.read(raw).says if isinstance(raw, bytes) else None
    except FormatError:
        return None


def digest_of(value: object) -> bytes | None:
    """A hash that stands in a claim, as bytes or in hex; None for anything else, such as the name of a delegation."""
    if isinstance(value, bytes) and len(value) == HASH_BYTES:
        return value
    if isinstance(value, str) and len(value) == _HEX and not set(value) - set("0123456789abcdef"):
        return bytes.fromhex(value)
    return None


def _references(header: Header) -> Iterator[Link]:
    for kind, refs in (header.refs or {}).items():
        relation = RefType(kind).name.lower()
        for ref in refs:
            index, row = (None if part == ABSENT else part for part in (ref.index, ref.row))
            yield Link(relation, ref.seq, ref.origin or "", ref.hash.hex(), index, row, ref.origin is not None)


def _inputs(why: object) -> Iterator[Link]:
    """Entries that inputs name under `entry` (FORMAT.md section 4)."""
    inputs = why.get("inputs") if isinstance(why, dict) else None
    for one in inputs if isinstance(inputs, list) else ():
        named = one.get("entry") if isinstance(one, dict) else None
        if isinstance(named, str):
            try:
                found = ids.parse_id(named)
            except FormatError:
                continue
            yield Link(INPUT, found.seq, str(one.get("name", "")), found.digits, found.index, found.row)


def _under(header: Header, why: object, declared: Declared) -> Iterator[Link]:
    """Credentials that a why names: of the deviation, of who signed an input, of the evaluator that granted it."""
    if not isinstance(why, dict):
        return
    deviation, inputs = why.get("deviation"), why.get("inputs")
    items = [("deviated_under", deviation)]
    items += [("observer", one) for one in inputs] if isinstance(inputs, list) else []
    told: dict[tuple[str, bytes], None] = {}
    for relation, item in items:
        named = digest_of(item.get("credential")) if isinstance(item, dict) else None
        if named is not None:
            told[relation, named] = None
    if (granted := granted_in(why)) is not None:
        told["granted_by", granted.credential] = None
    for relation, named in told:
        yield Link(relation, declared.nearest(Kind.CREDENTIAL, named, header.seq), named.hex())


def _control(header: Header, values: Mapping[str, Any], declared: Declared) -> Iterator[Link]:
    """What control names, and what a credential says of its parent."""
    control, body = header.control, values.get("body") or {}
    named: bytes | None = None
    relation = "credential"
    if isinstance(control, CycleEnd):
        yield Link("ends", control.carrier)
    elif isinstance(control, Boot):
        named = control.credential
    elif header.kind == Kind.ACTUATOR:
        named = digest_of(body.get("credential"))
    elif header.kind == Kind.CREDENTIAL and isinstance(control, Fact):
        named, relation = _parent(control.digest, body), "delegated_from"
    if named is not None:
        yield Link(relation, declared.nearest(Kind.CREDENTIAL, named, header.seq), named.hex())
    if header.kind in (Kind.CONFIRMATION, Kind.OBSERVATION):
        yield from _device(header.seq, body, declared)


def _device(seq: int, body: Mapping[str, Any], declared: Declared) -> Iterator[Link]:
    """The credential of the device that signed a batch, and what that is judged by."""
    kid = confirmation.kid_in(body)
    if (found := declared.device(kid, seq)) is not None and kid is not None:
        yield Link(DEVICE, found, kid.hex())
        if (matrix := declared.matrix(seq)) is not None:
            yield Link(MATRIX, matrix)


def _parent(digest: bytes, body: Mapping[str, Any]) -> bytes | None:
    """The parent that a credential names, if its bytes are among the claims."""
    for value in body.values():
        if isinstance(value, bytes) and sha256(value).digest() == digest:
            try:
                return credential.read(value).terms.delegated_from
            except FormatError:
                return None
    return None
