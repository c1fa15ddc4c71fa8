"""The header of an entry: its keys, read and held against its kind (FORMAT.md section 2)."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Struct, ValidationError, convert

from recorder.core import cbor
from recorder.core.controls import RULES
from recorder.core.errors import FormatError
from recorder.core.kinds import (
    ActionClass,
    Axis,
    Bounds,
    Commit,
    Hash,
    Kind,
    PolicyAxis,
    Ref,
    ReferenceType,
    Rows,
    Shared,
    Time,
    Uint,
    Witnesses,
    kind_name,
)

VERSION = 1

_BUILTIN = (bytes,)
_COMMIT_FIELDS = len(Commit._fields)
_ROWS_FIELDS = len(Rows._fields)
_KEYS = (3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 16, 17, 18)  # in the order of _Fields; 10 and 15 are read apart
_NEEDED = {kind: rule.required | {1, 2, 3, 4, 5} for kind, rule in RULES.items()}
_PERMITTED = {kind: rule.permitted | {1, 2, 3, 4, 5} for kind, rule in RULES.items()}
_NEEDED_OF_UNKNOWN, _PERMITTED_OF_UNKNOWN = frozenset(range(1, 6)), frozenset(range(1, 19))


class _Fields(Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """The header keys of one shape whatever the kind: one conversion, 2 µs where one for each key takes 16."""

    seq: Uint
    prev: Hash
    time: Time
    actuator_axis: Annotated[dict[Uint, Axis | None], Meta(min_length=1)] | None
    policy_axis: PolicyAxis | None
    who: Shared | None
    why: Shared | None
    body: Hash | None
    refs: Annotated[dict[ReferenceType, Annotated[list[Ref], Meta(min_length=1)]], Meta(min_length=1)] | None
    classes: ActionClass | None
    stage: Annotated[int, Meta(ge=0, le=4)] | None
    decision: Annotated[int, Meta(ge=0, le=5)] | None
    bounds: Bounds | None
    witnesses: Witnesses | None


class _Commits(Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """A list of single commits, the usual one: msgspec keeps what it knows of a Struct, not of a list."""

    commits: list[Commit]


class Header(NamedTuple):
    """The signed content of an entry; None where its kind has no such key."""

    kind: int
    seq: int
    prev: bytes
    time: Time
    actuator_axis: dict[int, Axis | None] | None
    policy_axis: PolicyAxis | None
    who: Shared | None
    why: Shared | None
    commits: list[Commit | Rows] | None
    body: bytes | None
    refs: dict[int, list[Ref]] | None
    classes: ActionClass | None
    stage: int | None
    control: Any  # the kind's own NamedTuple out of `kinds`
    decision: int | None
    bounds: Bounds | None
    witnesses: Witnesses | None


def read_header(payload: bytes) -> Header:
    """Decode a header and check it against its kind (verification step 2).

    Raises:
        FormatError: cbor_malformed, header_keys, header_value.

    """
    return header_of(cbor.decode(payload))


def header_of(header: cbor.Value) -> Header:
    """Check a decoded header against its kind (verification step 2).

    Raises:
        FormatError: header_keys, header_value.

    """
    if not isinstance(header, dict) or type(header.get(1)) is not int or header[1] != VERSION:
        raise FormatError("header_value", "not a header of format version 1")
    kind = header.get(2)
    if type(kind) is not int or kind < 0:
        raise FormatError("header_value", "the kind (key 2) is no unsigned integer")
    rule = RULES.get(kind)
    _check_keys(kind, header)
    get = header.get
    control = get(15)
    try:
        fields = convert([get(key) for key in _KEYS], _Fields, builtin_types=_BUILTIN)
        commits = _commits(header[10]) if 10 in header else None
        if rule is not None and control is not None:
            control = convert(control, rule.control, builtin_types=_BUILTIN)
    except ValidationError as error:
        raise FormatError("header_value", f"{kind_name(kind)}: {error}") from None
    read = Header(
        kind, fields.seq, fields.prev, fields.time, fields.actuator_axis, fields.policy_axis, fields.who, fields.why,
        commits, fields.body, fields.refs, fields.classes, fields.stage, control, fields.decision, fields.bounds,
        fields.witnesses,
    )  # fmt: skip
    _check_combination(read)
    return read


def _check_keys(kind: int, header: dict[int, Any]) -> None:
    present = header.keys()
    # An unknown kind verifies in the chain; its keys must still be keys of this version.
    missing = _NEEDED.get(kind, _NEEDED_OF_UNKNOWN) - present
    if missing:
        raise FormatError("header_keys", f"{kind_name(kind)} lacks keys {sorted(missing)}")
    unknown = present - _PERMITTED.get(kind, _PERMITTED_OF_UNKNOWN)
    if unknown:
        listed = ", ".join(sorted(map(str, unknown)))
        raise FormatError("header_keys", f"{kind_name(kind)} has keys {listed}, which this kind does not permit")
    if None in header.values():
        raise FormatError("header_value", f"{kind_name(kind)}: a key that stands with null; what is absent is left out")


def _check_combination(header: Header) -> None:
    """Rules between keys that no single key's type can say."""
    if (header.actuator_axis is None) != (header.commits is None):
        raise FormatError("header_keys", "keys 6 and 10 stand together or not at all")
    if header.commits is not None and header.actuator_axis is not None:
        named = {commit.actuator for commit in header.commits}
        if named != header.actuator_axis.keys():
            raise FormatError("header_value", f"key 6 names {sorted(header.actuator_axis)}, key 10 {sorted(named)}")
    if header.kind == Kind.REFUSAL:
        if header.decision != 1:
            raise FormatError("header_value", f"a refusal has decision 1, not {header.decision}")
        if (header.control.request is None) != (header.commits is not None):
            raise FormatError("header_value", "a refusal names its request in key 10 or in key 15, in one of them")
    elif header.decision == 1:
        raise FormatError("header_value", f"{kind_name(header.kind)} has decision 1 (refused)")
    if header.kind == Kind.ACTUATION and header.policy_axis is not None:  # noqa: SIM102
        if (header.decision == 4) != (header.policy_axis.bundle is None):
            raise FormatError("header_value", "an ungated actuation, and no other, has no policy bundle")
    if header.policy_axis is not None and header.policy_axis.bundle is None and header.policy_axis.previous is not None:
        raise FormatError("header_value", "key 7 names a predecessor without a bundle")


def _commits(value: object) -> list[Commit | Rows]:
    if not isinstance(value, list) or not value:
        raise FormatError("header_value", "key 10 is not a list of commits")
    if all(type(item) is list and len(item) == _COMMIT_FIELDS for item in value):
        return list(convert([value], _Commits, builtin_types=_BUILTIN).commits)
    return [_commit(item) for item in value]


def _commit(value: object) -> Commit | Rows:
    if isinstance(value, list) and len(value) == _ROWS_FIELDS:
        return convert(value, Rows, builtin_types=_BUILTIN)
    if isinstance(value, list) and len(value) == _COMMIT_FIELDS:
        return convert(value, Commit, builtin_types=_BUILTIN)
    raise FormatError("header_value", f"a commit has {_COMMIT_FIELDS} or {_ROWS_FIELDS} elements")
