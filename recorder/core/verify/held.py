"""Claims of single families, read in order where a later entry is judged by them; only what leads to its digest."""

from __future__ import annotations

from typing import Any, NamedTuple

from recorder.core import cbor
from recorder.core.claims import WHOLE, digest_of, disclosed, withheld
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.kinds import Shared
from recorder.core.verify.disclosure import BODY, WHO, WHY

Values = dict[str, Any]

WHO_KEPT = 8_192  # carriers of who, as step 6 keeps; and not more of their claims than these:
WHO_KEPT_BYTES = 64 << 20


class Family(NamedTuple):
    """The claims of a family that led to its digest."""

    values: Values  # that are disclosed
    withheld: frozenset[str]  # keys

    def hides(self, key: str) -> bool:
        """Whether a claim may be there and cannot be read."""
        return key in self.withheld or WHOLE in self.withheld


def read(claims: bytes | None, key: int, name: str, digest: bytes | None) -> Family | None:
    """Read a family; None where it is not here, or is another than the digest says."""
    if claims is None or digest is None:
        return None
    try:
        held = cbor.load(claims)
        family = held.get(key) if isinstance(held, dict) else None
        if isinstance(family, list | dict) and digest_of(name, family) == digest:
            return Family(disclosed(name, family), frozenset(withheld(family)))
    except FormatError:
        pass  # the job of this entry says so
    return None


def body_of(header: Header, claims: bytes | None) -> Values | None:
    """The disclosed body claims of an entry."""
    family = read(claims, BODY, "body", header.body)
    return None if family is None else family.values


def why_of(header: Header, claims: bytes | None) -> Family | None:
    """The why of an entry that carries it."""
    return read(claims, WHY, "why", header.why.digest if header.why is not None else None)


class Whos:
    """The claims beside carriers of who, unread until a cycle asks for them."""

    def __init__(self) -> None:
        self._claims: dict[int, bytes] = {}
        self._bytes = 0
        self._read: tuple[Shared, Family | None] | None = None  # cycle after cycle has the same

    def note(self, seq: int, claims: bytes) -> None:
        """Keep the claims of a carrier."""
        self._claims[seq] = claims
        self._bytes += len(claims)
        while len(self._claims) > WHO_KEPT or self._bytes > WHO_KEPT_BYTES:
            self._bytes -= len(self._claims.pop(next(iter(self._claims))))

    def of(self, who: Shared) -> Family | None:
        """Who it was; None where that is not here any more, or withheld."""
        if self._read is None or self._read[0] != who:
            self._read = who, read(self._claims.get(who.carrier), WHO, "who", who.digest)
        return self._read[1]
