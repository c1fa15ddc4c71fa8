"""What the claims of an entry rest on: credentials that they name by hash, and entries of this log by id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from recorder.core import cbor, confirmation, credential, grant, ids, observation, policy
from recorder.core.claims import FAMILIES, disclosed
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.kinds import Kind
from recorder.core.sign1 import SIGNED
from recorder.core.verify.disclosure import BODY, WHO, WHY
from recorder.core.verify.opening import digest_in

_FAMILY = dict(zip((WHO, WHY, BODY), (name for name in FAMILIES if name in ("who", "why", "body")), strict=True))
LISTS = ("matrix", "revocation")  # body claims of credential entries by which others are judged


class Resting(NamedTuple):
    """What an entry rests on."""

    credentials: list[bytes]
    entries: list[int]
    is_list: bool  # it brings a matrix or a revocation list
    enrols: bytes | None  # kid of the actuator's device whose credential it brings
    device: bytes | None  # kid of the device that signed what it holds


def resting(header: Header, claims: bytes) -> Resting:
    """Read it out of the claims as they are held; what cannot be read names nothing."""
    credentials: list[bytes] = []
    entries: list[int] = []
    families = _families(claims)
    body, who, why = (families.get(key, {}) for key in (BODY, WHO, WHY))
    if (named := digest_in(who.get("delegation"))) is not None:
        credentials.append(named)
    try:
        if header.kind == Kind.POLICY:
            credentials += _issuer(body.get("bundle"))
        elif header.kind == Kind.CREDENTIAL:
            credentials += _parent(body.get("credential"))
        elif isinstance(raw := why.get(grant.CLAIM), bytes):
            credentials.append(grant.read(raw).says.credential)
    except FormatError:
        pass  # verification says so
    for item in why.get("inputs") or ():
        if isinstance(item, dict):
            credentials += _observer(item)
            entries += _entry(item.get("entry"))
    is_list = header.kind == Kind.CREDENTIAL and any(name in body for name in LISTS)
    enrols = credential.device_kid_in(body.get("credential")) if header.kind == Kind.CREDENTIAL else None
    is_batch = header.kind in (Kind.CONFIRMATION, Kind.OBSERVATION)
    return Resting(credentials, entries, is_list, enrols, confirmation.kid_in(body) if is_batch else None)


def _families(claims: bytes) -> dict[int, Mapping[str, Any]]:
    try:
        held = cbor.load(claims) if claims else {}
        return {key: disclosed(name, held[key]) for key, name in _FAMILY.items() if key in held}
    except (FormatError, TypeError):
        return {}


def _issuer(raw: object) -> Iterator[bytes]:
    if isinstance(raw, bytes) and raw.startswith(SIGNED) and (issuer := policy.read(raw).policy.issuer) is not None:
        yield issuer


def _parent(raw: object) -> Iterator[bytes]:
    if isinstance(raw, bytes) and (above := credential.read(raw).terms.delegated_from) is not None:
        yield above


def _observer(item: Mapping[str, Any]) -> Iterator[bytes]:
    raw = item.get(observation.CLAIM)
    if isinstance(raw, bytes):
        try:
            named = observation.read(raw).says.credential
        except FormatError:
            return
        if named is not None:
            yield named
    elif (recorded := digest_in(item.get("credential"))) is not None:  # of who signed what lies in another entry
        yield recorded


def _entry(printed: object) -> Iterator[int]:
    if isinstance(printed, str):
        try:
            yield ids.parse_id(printed).seq
        except FormatError:
            return
