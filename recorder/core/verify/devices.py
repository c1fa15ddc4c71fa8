"""Step 9: whose word a device's batch is, in the order of the entries; step 10: that none of its frames is missing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from recorder.core import confirmation, devicegap
from recorder.core.confirmation import BATCH_MAX_FRAMES
from recorder.core.controls import Gap
from recorder.core.credential import Credential
from recorder.core.delegation import Moment
from recorder.core.devicegap import Place
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.kinds import Kind, Ref, RefType
from recorder.core.scope import ANY
from recorder.core.verify.found import Found
from recorder.core.verify.held import Family
from recorder.core.verify.holdings import Holdings
from recorder.core.verify.requests import Requests
from recorder.core.verify.under import Confirming

ROLE = "actuator"
ACTS_KEPT = 65_536  # of which it is known whose actuators they moved; a confirmation comes soon
DEVICES_KEPT = 4_096


class _End(NamedTuple):
    due: Place  # of the next frame
    unread: int  # how many batches had passed unread


_FIRST = _End(Place(1, 0), 0)


class Devices:
    """Batches of devices, and where each device's frames end."""

    def __init__(
        self, found: Found, origin: str, holdings: Holdings, names: Mapping[int, str], *, has_roots: bool, whole: bool
    ) -> None:
        """Begin with the first entry.

        Args:
            found: takes what is wrong.
            origin: of the log.
            holdings: the credentials so far.
            names: of actuators, by number, so far.
            has_roots: credentials can be judged; else only what is in the batches is.
            whole: all entries pass; else nobody can say that a frame is missing.

        """
        self.judged = self.indeterminate = self.unjudged = 0  # batches, or commits of them
        self._found, self._origin, self._holdings, self._names = found, origin, holdings, names
        self._has_roots, self._whole = has_roots, whole
        self._ends: OrderedDict[bytes, _End] = OrderedDict()  # by kid
        self._unread = 0  # entries so far that may carry a batch of anybody's, and do not show it
        self.requests = Requests()
        self._acts: OrderedDict[int, tuple[int, ...]] = OrderedDict()  # actuators of the commits of an entry

    def acted(self, header: Header, claims: bytes | None) -> None:
        """Note whose commits an actuation holds, once there is a device that could confirm or have asked for them."""
        if self._holdings.by_kid and header.commits is not None:
            self.requests.acted(header, claims)
            self._acts[header.seq] = tuple(commit.actuator for commit in header.commits)
            if len(self._acts) > ACTS_KEPT:
                self._acts.popitem(last=False)

    def unread(self) -> None:
        """Pass an entry that may carry a batch, whose claims are deleted or withheld: its frames are no gap."""
        self._unread += 1

    def gap(self, seq: int, gap: Gap) -> None:
        """Take a gap; one of a device's frames moves its end."""
        missing = devicegap.read(gap.reason)
        if missing is not None and self._whole:
            self._follow(seq, missing.kid, missing.since, missing.until)

    def take(self, header: Header, body: Family | None, moment: Moment) -> Confirming | None:
        """Take an entry that may carry a batch; returns what its job needs to know, None where it carries none.

        Args:
            header: of a confirmation or an observation.
            body: its claims; None where they are not here.
            moment: of the entry.

        """
        if not shows(body):
            self.unjudged += header.kind == Kind.CONFIRMATION
        if body is None or body.hides(confirmation.SIGNATURE_CLAIM):
            self.unread()
            return None
        raw = body.values.get(confirmation.SIGNATURE_CLAIM)
        if not isinstance(raw, bytes):
            if header.kind == Kind.CONFIRMATION:
                self._found(confirmation.ERROR, header.seq, "a confirmation without the claim `signature`")
            return None
        try:
            confirmed = confirmation.read(raw)
        except FormatError as error:
            self._found(error.error, header.seq, error.detail)
            return None
        says = confirmed.says
        if self._whole:
            self._follow(
                header.seq, confirmed.signed.kid, Place(says.boot, says.first), Place(says.boot, says.last + 1)
            )
        self.requests.signed(confirmed, body)
        key = self._key(header, confirmed.signed.kid, moment) if self._has_roots else None
        return Confirming(self._origin, key)

    def _follow(self, seq: int, kid: bytes, since: Place, until: Place) -> None:
        due, unread = self._ends.get(kid, _FIRST)
        # What is not shown may be this device's: batches of one boot, since a reboot is a gap, which is never withheld.
        hidden = BATCH_MAX_FRAMES * (self._unread - unread)
        if since.boot == due.boot and due.seq < since.seq <= due.seq + hidden:
            self.unjudged += 1
        elif since != due:
            what = "missing, and no gap says so" if since > due else "there before"
            self._found(
                "frames_unaccounted",
                seq,
                f"device {kid.hex()}: {_told(since)} where {_told(due)} is due: frames are {what}",
            )
        self._ends[kid] = _End(until, self._unread)
        self._ends.move_to_end(kid)
        if len(self._ends) > DEVICES_KEPT:
            self._ends.popitem(last=False)

    def _key(self, header: Header, kid: bytes, moment: Moment) -> bytes | None:
        """The key that must have signed; None where that cannot be said, or is said to be wrong."""
        held = [self._holdings.pool[digest] for digest in self._holdings.by_kid.get(kid, ())]
        fitting = [one for one in held if one.terms.role == ROLE]
        if not fitting:
            if self._holdings.is_partial:
                self.unjudged += 1
            elif held:
                terms = held[-1].terms
                self._found("role_mismatch", header.seq, f"{terms.subject} is of role {terms.role}, not {ROLE}")
            else:
                self._found("confirmation_signature", header.seq, f"no credential here is of the key {kid.hex()}")
            return None
        self.judged += 1
        held_by = self._standing(header.seq, fitting, moment)
        if held_by is None:
            return None
        self._check_actuators(header, held_by)
        return held_by.terms.key

    def _standing(self, seq: int, fitting: list[Credential], moment: Moment) -> Credential | None:
        """The credential that holds, or may hold; of a key that has several, one that does is enough."""
        found = [(one, standing) for one in fitting if (standing := self._holdings.standing(one.hash, moment))]
        for wanted in ("valid", "indeterminate"):
            for one, standing in found:
                if standing.verdict == wanted:
                    self.indeterminate += wanted == "indeterminate"
                    return one
        for reason in found[-1][1].reasons:
            self._found(reason.error, seq, reason.detail)
        return None

    def _check_actuators(self, header: Header, held: Credential) -> None:
        """A device speaks for its own actuators."""
        allowed = held.terms.scope.actuators
        if allowed == ANY:
            return
        for ref in (header.refs or {}).get(int(RefType.CONFIRMS), ()):
            name = self._actuator(ref)
            if name is None:
                self.unjudged += 1
            elif name not in allowed:
                self._found(
                    "confirmation_signature", header.seq, f"the credential of {held.terms.subject} is not for {name!r}"
                )

    def _actuator(self, ref: Ref) -> str | None:
        """Name of the actuator of a commit; None where it is not known here."""
        acts = self._acts.get(ref.seq, ()) if ref.origin is None else ()
        return self._names.get(acts[ref.index]) if 0 <= ref.index < len(acts) else None


def shows(body: Family | None) -> bool:
    """Whether a batch can be held against its signature: what is withheld or deleted proves nothing."""
    return body is not None and not (body.hides(confirmation.SIGNATURE_CLAIM) or body.hides(confirmation.FRAMES_CLAIM))


def _told(place: Place) -> str:
    return f"boot {place.boot} frame {place.seq}"
