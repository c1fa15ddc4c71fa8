"""Step 9: commits that name the frame of a device which asked for them, held against what devices signed.

`device` in a what is the word of whoever commits.  It is proven by a frame that the device signed: a request for that
very actuator, or the event that an ungated act is.  Either entry may come first, and a frame stands for one entry.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec import ValidationError, convert

from recorder.core import cbor, confirmation, deviceframe
from recorder.core.claims import disclosed
from recorder.core.confirmation import Confirmed
from recorder.core.deviceframe import DEVICE_CLAIM, CommitRequest, Event, FrameType
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.kinds import Decision
from recorder.core.verify.disclosure import COMMITS
from recorder.core.verify.held import Family

KEPT = 65_536  # frames of either side that wait for the other
_NAMED = cbor.pack(DEVICE_CLAIM)
_TYPE_AT = 2  # of a frame's bytes: behind the heads of the list and of its version
_TYPES = frozenset({int(FrameType.COMMIT_REQUEST), int(FrameType.EVENT)})  # one byte each

_Place = tuple[bytes, int, int]  # kid, boot and seq of a frame


class _Named(NamedTuple):
    entry: int
    actuator: int
    is_event: bool


class _Signed(NamedTuple):
    actuator: int | None  # that a request asks for; None for an event
    entry: int | None = None  # that named it


class Requests:
    """Takes actuations and batches in order."""

    def __init__(self) -> None:
        self.proven = 0  # commits
        self._wrong = 0  # of which a frame says something else, or which waited too long for one
        self._signed: OrderedDict[_Place, _Signed] = OrderedDict()
        self._named: OrderedDict[_Place, list[_Named]] = OrderedDict()

    @property
    def unproven(self) -> int:
        """Commits that name a frame which no batch so far has as a request for them."""
        return self._wrong + sum(map(len, self._named.values()))

    def acted(self, header: Header, claims: bytes | None) -> None:
        """Take an actuation."""
        if claims is None or _NAMED not in claims:
            return
        for place, named in _names(header, claims):
            if place in self._signed:
                self._hold(place, named)
                continue
            self._named.setdefault(place, []).append(named)
            if len(self._named) > KEPT:
                self._wrong += len(self._named.popitem(last=False)[1])

    def signed(self, confirmed: Confirmed, body: Family) -> None:
        """Take a batch; whether its signature holds is asked elsewhere."""
        raws = body.values.get(confirmation.FRAMES_CLAIM)
        for raw in raws if isinstance(raws, list) else ():
            if not isinstance(raw, bytes) or len(raw) <= _TYPE_AT or raw[_TYPE_AT] not in _TYPES:
                continue
            try:
                frame = deviceframe.read(raw)
            except FormatError:
                continue  # the job of this entry says so
            match frame.body:
                case CommitRequest():
                    made = _Signed(frame.body.actuator)
                case Event():
                    made = _Signed(None)
                case _:
                    continue
            place = confirmed.signed.kid, frame.boot, frame.seq
            self._signed[place] = made
            if len(self._signed) > KEPT:
                self._signed.popitem(last=False)
            for named in self._named.pop(place, ()):
                self._hold(place, named)

    def _hold(self, place: _Place, named: _Named) -> None:
        made = self._signed[place]
        fits = named.is_event if made.actuator is None else not named.is_event and made.actuator == named.actuator
        if fits and made.entry in {None, named.entry}:
            self.proven += 1
            self._signed[place] = made._replace(entry=named.entry)
        else:
            self._wrong += 1


def _names(header: Header, claims: bytes) -> Iterator[tuple[_Place, _Named]]:
    """The frames that the commits of an entry name."""
    try:
        record: Any = cbor.load(claims)
        items = record.get(COMMITS) if isinstance(record, dict) else None
        for commit, item in zip(header.commits or (), items or (), strict=False):
            said = disclosed("what", item[0]).get(DEVICE_CLAIM)
            if said is not None:
                place = convert(said, _Place, builtin_types=(bytes,))
                yield place, _Named(header.seq, commit.actuator, header.decision == Decision.UNGATED)
    except (FormatError, ValidationError, IndexError, TypeError):
        return  # the job of this entry says what is no claim; what names no frame is a claim like any other
