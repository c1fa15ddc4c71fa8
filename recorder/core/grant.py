"""Grants: the decision of an external evaluator, signed for one cycle of one recorder (FORMAT.md section 9).

A grant says what was decided about, so that it cannot be used for anything else: the act, the inputs, the bounds, the
delegation, the log and the start of the machine.  Whether its nonce was used before, only the log can tell.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import sha256
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from recorder.core import cbor, sign1
from recorder.core.credential import Credential
from recorder.core.delegation import require_role
from recorder.core.errors import FormatError
from recorder.core.fields import read_fields
from recorder.core.keys import Signer
from recorder.core.kinds import Bytes16, Hash, Name, Positive, Uint
from recorder.core.sign1 import GRANT, Sign1

ERROR = GRANT.error
CLAIM = "grant"  # key of the claim of a why that holds the signed bytes

_GIVEN = ("name", "value", "unit", "at_mono_ns")


class Grant(NamedTuple):
    """What an evaluator lets be done."""

    origin: Name
    os_boot: Bytes16
    nonce: Bytes16  # used once per origin
    credential: Hash  # SHA-256 of the evaluator's
    action_class: Name
    actuators: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=64)]  # a set: in order
    max_commits: Positive
    not_after_mono_ns: Uint
    delegation: Hash  # under which
    contemplated_hash: Hash
    inputs_hash: Hash
    decision: Literal["admitted"]


class Granted(NamedTuple):
    """A grant that was read; reading it has not checked who signed it, nor what for."""

    signed: Sign1
    says: Grant


def contemplated_hash(what: Mapping[str, cbor.Value], where: Mapping[str, cbor.Value]) -> bytes:
    """What a grant has for the act that it is about.

    Raises:
        FormatError: cbor_malformed.

    """
    return sha256(cbor.encode([dict(what), dict(where)])).digest()


def inputs_hash(items: cbor.Value) -> bytes:
    """What a grant has for the inputs that it rests on, the same for those that were sent and for those recorded.

    Of each item counts what its sender says: the signed observation or the entry that it names, or else name, value,
    unit and time, of which null and an empty unit are left out; not what the recorder adds when it takes them.

    Raises:
        FormatError: cbor_malformed.

    """
    listed = [_sent(item) for item in items] if isinstance(items, list) else items
    return sha256(cbor.encode(listed)).digest()


def make(says: Grant, signer: Signer) -> bytes:
    """Make the bytes of a grant; its actuators may be in any order.

    Raises:
        FormatError: grant_malformed: readers would refuse it.
        Misuse: it is too large.

    """
    try:
        in_order = sorted(says.actuators, key=cbor.encode)
        payload = cbor.encode(says._asdict() | {"actuators": in_order})
    except FormatError as error:
        raise FormatError(ERROR, error.detail) from None
    _read_payload(payload)
    return sign1.sign(signer, GRANT, payload)


def read(raw: bytes) -> Granted:
    """Read a grant and check its encoding and its shape.

    Raises:
        FormatError: grant_malformed.

    """
    signed = sign1.read(raw, GRANT)
    return Granted(signed, _read_payload(signed.payload))


def verify(granted: Granted, evaluator: Credential) -> None:
    """Check that the evaluator of this credential signed it, and has a say over the class.

    What the credential is worth at the moment is for `delegation.stand`.

    Raises:
        FormatError: grant_signature, role_mismatch, grant_beyond.

    """
    if granted.says.credential != evaluator.hash or not sign1.verify(granted.signed, evaluator.terms.key):
        raise FormatError("grant_signature", f"not signed by {evaluator.terms.subject} as the credential that it names")
    require_role(evaluator, "evaluator")
    classes = evaluator.terms.scope.action_classes
    if not isinstance(classes, str) and granted.says.action_class not in classes:
        detail = f"{evaluator.terms.subject} has no say over class {granted.says.action_class[:80]}"
        raise FormatError("grant_beyond", detail)


def check(
    granted: Grant,
    *,
    origin: str,
    os_boot: bytes,
    now_mono_ns: int,
    action_class: str,
    actuators: Collection[str],
    max_commits: int,
    not_after_mono_ns: int,
    delegation: bytes | None,
    act: tuple[Mapping[str, cbor.Value], Mapping[str, cbor.Value]],
    inputs: cbor.Value,
) -> None:
    """Check that a grant lets this cycle be opened.

    Args:
        granted: what the evaluator says.
        origin: of the log.
        os_boot: the operating system's boot id in force.
        now_mono_ns: CLOCK_BOOTTIME of the opening.
        action_class: of the cycle.
        actuators: of the cycle, by name.
        max_commits: of the cycle.
        not_after_mono_ns: of the cycle.
        delegation: hash of the credential under which it is opened, None where it has none.
        act: what and where, as contemplated.
        inputs: the claim `inputs`, as sent or as recorded.

    Raises:
        FormatError: grant_origin, grant_os_boot, grant_expired, grant_beyond, grant_inputs; cbor_malformed.

    """
    if granted.origin != origin:
        raise FormatError("grant_origin", f"for {granted.origin[:80]}, this is {origin}")
    if granted.os_boot != os_boot:
        raise FormatError("grant_os_boot", f"for OS boot {granted.os_boot.hex()}, this is {os_boot.hex()}")
    if now_mono_ns > granted.not_after_mono_ns:
        raise FormatError("grant_expired", f"at {now_mono_ns} ns, granted until {granted.not_after_mono_ns} ns")
    if granted.action_class != action_class:
        raise FormatError("grant_beyond", f"class {action_class[:80]}, granted is {granted.action_class[:80]}")
    if more := sorted({*actuators} - {*granted.actuators}):
        raise FormatError("grant_beyond", f"actuator {more[0][:80]} is not granted")
    if max_commits > granted.max_commits:
        raise FormatError("grant_beyond", f"{max_commits} commits, granted are {granted.max_commits}")
    if not_after_mono_ns > granted.not_after_mono_ns:
        raise FormatError("grant_beyond", f"until {not_after_mono_ns} ns, granted until {granted.not_after_mono_ns} ns")
    if granted.delegation != delegation:
        raise FormatError("grant_beyond", f"granted under delegation {granted.delegation.hex()[:16]}, not this one")
    if granted.contemplated_hash != contemplated_hash(*act):
        raise FormatError("grant_beyond", "the act is not the one that was granted")
    if granted.inputs_hash != inputs_hash(inputs):
        raise FormatError("grant_inputs", "the inputs are not those that the grant rests on")


def _sent(item: cbor.Value) -> cbor.Value:
    if not isinstance(item, dict):
        return item
    for reference in ("observation", "entry"):
        if reference in item:
            return {"name": item.get("name"), reference: item[reference]}
    given = {key: item[key] for key in _GIVEN if item.get(key) is not None}
    if given.get("unit") == "":
        del given["unit"]
    return given


def _read_payload(payload: bytes) -> Grant:
    says = read_fields(payload, Grant, ERROR)
    encoded = [cbor.pack(name) for name in says.actuators]
    if not all(one < other for one, other in pairwise(encoded)):
        raise FormatError(ERROR, "actuators are not in the order of their encodings, each once")
    return says
