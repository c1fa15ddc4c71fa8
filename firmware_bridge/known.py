"""What a lineage has of one device, out of its entries in order; nothing here is believed that the device did not sign.

A bridge keeps no account of its own of what it recorded: the lineage is the account.  So it does not matter at which
instruction the process before this one ended.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

from msgspec import ValidationError, convert

from firmware_bridge.line.confirmations import Known
from recorder.core import cbor, claims, confirmation, devicegap
from recorder.core.deviceframe import DEVICE_CLAIM, PREV_BYTES, REF_HASH_BYTES, CommitRef
from recorder.core.devicegap import Place
from recorder.core.entry import decode_in_order, entry_hash
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.keys import kid
from recorder.core.kinds import Decision, Kind

ANSWERED_KEPT = 1024  # more than a device can hold unsigned
_COMMITS, _BODY = 10, 11  # keys of a claims record


class Admitted(NamedTuple):
    """What became of a commit request; without a commit it was refused."""

    commit: CommitRef | None


class Front(NamedTuple):
    """Where reading goes on, and what was known there; as a file it is a shortcut to what the entries below say."""

    origin: str
    seq: int  # of the first entry that was not taken
    known: Known | None
    events: list[Place]  # that are recorded as acts of their own, and whose batch is not
    answered: list[tuple[Place, Admitted]]


class Memory:
    """How far a lineage is with a device; `take` its entries in order."""

    def __init__(self, key: bytes, since: Front | None = None) -> None:
        """Begin with the first entry, or where another one stood."""
        self.front = since.known if since is not None else None
        self.events = OrderedDict.fromkeys(since.events if since is not None else ())  # recorded as acts of their own
        self.answered = OrderedDict(since.answered if since is not None else ())
        self._key, self._kid = key, kid(key)
        self._kid_text = self._kid.hex().encode()

    def front_at(self, origin: str, seq: int) -> Front:
        """What is known now, to go on from entry `seq`."""
        at = Place(self.front.boot, self.front.next) if self.front is not None else Place(1, 0)
        open_ = [(place, admitted) for place, admitted in self.answered.items() if place >= at]
        return Front(origin, seq, self.front, [place for place in self.events if place >= at], open_)

    def take(self, raw: bytes, beside: bytes | None) -> None:
        """Take an entry with its claims; one that cannot be read, or is of others, says nothing."""
        # Most entries are of others, and a look for our kid costs a hundredth of decoding them.
        if (beside is None or self._kid not in beside) and self._kid_text not in raw:
            return
        try:
            self._take(decode_in_order(raw).header, raw, beside)
        except FormatError:
            return

    def went_on(self, to: Known) -> None:
        """All below is in the lineage."""
        if self.front is None or (to.boot, to.next) > (self.front.boot, self.front.next):
            self.front = to

    def note(self, asked: Place, admitted: Admitted) -> None:
        """A commit request was answered."""
        self.answered[asked] = admitted
        while len(self.answered) > ANSWERED_KEPT:
            self.answered.popitem(last=False)

    def _take(self, header: Header, raw: bytes, beside: bytes | None) -> None:
        if header.kind == Kind.GAP:
            missing = devicegap.read(header.control.reason)
            if missing is not None and missing.kid == self._kid:
                self.went_on(Known(*missing.until, None))
            return
        held: Any = cbor.load(beside) if beside is not None else None
        if not isinstance(held, dict):
            return
        if header.kind in {Kind.CONFIRMATION, Kind.OBSERVATION}:
            self._batch(claims.disclosed("body", held.get(_BODY) or {}))
        elif header.kind in {Kind.ACTUATION, Kind.REFUSAL}:
            for place, families in enumerate(held.get(_COMMITS) or ()):
                what = claims.disclosed("what", families[0])
                if (asked := _device_of(what, self._kid)) is not None:
                    self._act(header, raw, place, asked)

    def _batch(self, body: dict[str, cbor.Value]) -> None:
        if confirmation.SIGNATURE_CLAIM not in body:
            return
        signed, frames = confirmation.of_body(body)
        # Whoever may append could put there what the device did not sign, and have it forget what it did.
        last = confirmation.verify(signed, frames, self._key)[-1]
        self.went_on(Known(last.boot, last.seq + 1, last.leaf[:PREV_BYTES]))

    def _act(self, header: Header, raw: bytes, place: int, asked: Place) -> None:
        if header.decision == Decision.UNGATED:
            # Each by itself: whoever may act could else name a frame far ahead, and no later event would be an act.
            self.events[asked] = None
            while len(self.events) > ANSWERED_KEPT:
                self.events.popitem(last=False)
        elif header.kind == Kind.REFUSAL:
            self.note(asked, Admitted(None))
        else:
            self.note(asked, Admitted(CommitRef(header.seq, place, entry_hash(raw)[:REF_HASH_BYTES])))


def _device_of(what: dict[str, cbor.Value], device_kid: bytes) -> Place | None:
    """The frame that an act came from, if it is this device's."""
    try:
        found, boot, seq = convert(what.get(DEVICE_CLAIM), tuple[bytes, int, int], builtin_types=(bytes,))
    except ValidationError:
        return None
    return Place(boot, seq) if found == device_kid else None
