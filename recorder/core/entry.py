"""Entries: COSE_Sign1 over a header, bound to one origin (FORMAT.md section 2)."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Struct, ValidationError, convert

from recorder.core import cbor
from recorder.core.errors import FormatError
from recorder.core.keys import Signer, kid
from recorder.core.controls import RULES
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
)
from recorder.core.limits import ENTRY_MAX_BYTES, KID_BYTES

VERSION = 1
LABEL = "lineage/entry/1"
SIGNATURE_BYTES = 64
ZERO_HASH = bytes(32)
COMMITS_MAX = 200  # keeps an entry with its claims within one `read` reply

# d2: tag 18.  84: array of 4.  4d: 13 bytes of protected header {1: -19, 4: kid}.  a0: empty unprotected header.
_HEAD = bytes.fromhex("d2844da201320448")
_PAYLOAD_AT = len(_HEAD) + KID_BYTES + 1
_PROTECTED_HEAD = _HEAD[3:]
_SIGNATURE_HEAD = b"\x58\x40"
# A payload as long as that has a head of 3 bytes; 2 are the head of the signature.
PAYLOAD_MAX_BYTES = ENTRY_MAX_BYTES - _PAYLOAD_AT - 3 - 2 - SIGNATURE_BYTES
_CONTEXT = b"\x84\x6aSignature1"

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


class Entry(NamedTuple):
    """A decoded entry; its signature has not been checked by decoding it."""

    raw: bytes
    hash: bytes
    kid: bytes
    header: Header
    payload: bytes
    signature: bytes


def entry_hash(raw: bytes) -> bytes:
    """SHA-256(0x00 ‖ entry): the RFC 6962 leaf, the next entry's `prev` and the target of references."""
    return sha256(b"\x00" + raw).digest()


def external_aad(origin: str) -> bytes:
    """What binds an entry to its log: the label and the origin, each with a line feed."""
    return f"{LABEL}\n{origin}\n".encode()


def to_be_signed(protected: bytes, aad: bytes, payload: bytes) -> bytes:
    """The Sig_structure of RFC 9052 section 4.4 for COSE_Sign1."""
    return _CONTEXT + _bstr(protected) + _bstr(aad) + _bstr(payload)


def sign(header: dict[int, Any], aad: bytes, signer: Signer, signer_kid: bytes | None = None) -> bytes:
    """Make the bytes of an entry.

    Args:
        header: keys 1 to 18 as FORMAT.md numbers them; what it holds has been checked already.
        aad: `external_aad` of the log.
        signer: identity key for boot and epoch entries, else the epoch key in force.
        signer_kid: `kid(signer.public_key)`, where the caller has it at hand.

    Raises:
        FormatError: entry_too_large.

    """
    return sign_payload(cbor.pack(header), aad, signer, signer_kid or kid(signer.public_key))


def sign_payload(payload: bytes, aad: bytes, signer: Signer, signer_kid: bytes) -> bytes:
    """As `sign`, of a header that is encoded already.

    Raises:
        FormatError: entry_too_large.

    """
    protected = _PROTECTED_HEAD + signer_kid
    if len(payload) > PAYLOAD_MAX_BYTES:
        raise FormatError("entry_too_large", f"a header of {len(payload)} bytes is over {PAYLOAD_MAX_BYTES}")
    signature = signer.sign(to_be_signed(protected, aad, payload))
    return b"".join((_HEAD[:3], protected, b"\xa0", _bstr(payload), _SIGNATURE_HEAD, signature))


def decode(raw: bytes) -> Entry:
    """Read an entry and check its encoding, its keys and their shapes; not its signature, not its place in a log.

    Raises:
        FormatError: entry_too_large, entry_malformed, cbor_malformed, header_keys, header_value.

    """
    signer_kid, payload, signature = split(raw)
    return Entry(raw, entry_hash(raw), signer_kid, read_header(payload), payload, signature)


def decode_in_order(raw: bytes) -> Entry:
    """Read an entry as `decode` does, but for the comparison with its deterministic encoding (`cbor.load`).

    Raises:
        FormatError: as `decode`.

    """
    signer_kid, payload, signature = split(raw)
    return Entry(raw, entry_hash(raw), signer_kid, header_of(cbor.load(payload)), payload, signature)


def split(raw: bytes) -> tuple[bytes, bytes, bytes]:
    """Take kid, payload and signature out of the one encoding that an entry has.

    Raises:
        FormatError: entry_too_large, entry_malformed.

    """
    if len(raw) > ENTRY_MAX_BYTES:
        raise FormatError("entry_too_large", f"an entry of {len(raw)} bytes is over {ENTRY_MAX_BYTES}")
    signature_at = len(raw) - SIGNATURE_BYTES
    payload_end = signature_at - len(_SIGNATURE_HEAD)
    if (
        raw[: len(_HEAD)] != _HEAD
        or raw[_PAYLOAD_AT - 1 : _PAYLOAD_AT] != b"\xa0"
        or raw[payload_end:signature_at] != _SIGNATURE_HEAD
    ):
        raise FormatError("entry_malformed", "not a COSE_Sign1 with the protected header {1: -19, 4: kid}")
    for head in (1, 2, 3):
        payload = raw[_PAYLOAD_AT + head : payload_end]
        if _bstr(payload) == raw[_PAYLOAD_AT:payload_end]:
            return raw[len(_HEAD) : _PAYLOAD_AT - 1], payload, raw[signature_at:]
    raise FormatError("entry_malformed", "the payload is not one byte string of the length that is left for it")


def protected_of(signer_kid: bytes) -> bytes:
    """The protected header that names this key."""
    return _PROTECTED_HEAD + signer_kid


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
        raise FormatError("header_value", f"{_name(kind)}: {error}") from None
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
        raise FormatError("header_keys", f"{_name(kind)} lacks keys {sorted(missing)}")
    unknown = present - _PERMITTED.get(kind, _PERMITTED_OF_UNKNOWN)
    if unknown:
        listed = ", ".join(sorted(map(str, unknown)))
        raise FormatError("header_keys", f"{_name(kind)} has keys {listed}, which this kind does not permit")
    if None in header.values():
        raise FormatError("header_value", f"{_name(kind)}: a key that stands with null; what is absent is left out")


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
        raise FormatError("header_value", f"{_name(header.kind)} has decision 1 (refused)")
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


def _name(kind: int) -> str:
    return Kind(kind).name.lower() if kind in RULES else f"kind {kind}"


def _bstr(data: bytes) -> bytes:
    """A CBOR byte string of at most 65,535 bytes."""
    length = len(data)
    if length < 24:
        return bytes((0x40 + length,)) + data
    if length < 256:
        return bytes((0x58, length)) + data
    return b"\x59" + length.to_bytes(2, "big") + data
