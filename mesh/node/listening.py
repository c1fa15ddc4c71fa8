"""Digests that come: what each is taken for, cheapest question first (PROTOCOL.md section 4).

Every datagram has one fate, which is counted by its name; nothing that comes raises anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from mesh import digest
from mesh.digest import Digest
from mesh.fleetlist import FleetList
from mesh.node.budget import ADDRESSES_MAX, Budget
from mesh.node.desk import Clock
from mesh.node.present import Present
from mesh.node.runs import MS
from mesh.window import Seen
from recorder.core.errors import FormatError

READS_PER_ADDRESS_S, READS_S = 200.0, 1_000.0  # datagrams that are looked at, some 20 µs each
CHECKS_PER_ADDRESS_S, CHECKS_S = 100.0, 100.0  # signatures that are checked, some 100 µs each

TAKEN, OWN, CLONE = "taken", "own", "clone"
UNREAD, UNCHECKED = "too_many_to_read", "too_many_to_check"


class Archives(Protocol):
    """What keeps peers' logs."""

    def take(self, says: Digest, note: bytes | None) -> None:
        """Take a verified digest, and the note of its head where the log signed that; cheap, on the loop."""
        ...


class Listening:
    """The receiver; used on the event loop."""

    def __init__(
        self,
        fleet: FleetList,
        present: Present,
        ours: str | None,
        is_sent: Callable[[int, int], bool],
        clock: Clock,
        archives: Archives | None,
        say: Callable[[str], None],
    ) -> None:
        """Make it.

        Args:
            fleet: whom to trust.
            present: learns who is there.
            ours: this platform, FLEET/PLATFORM.
            is_sent: whether a digest of ours is one that we sent, by its run and number.
            clock: the time, where it is trusted.
            archives: get what was verified; None where nothing is archived.
            say: tells a person.

        """
        self.fates: Counter[str] = Counter()
        self._fleet = fleet
        self._present = present
        self._ours = ours
        self._is_sent = is_sent
        self._clock = clock
        self._archives = archives
        self._say = say
        self._reads = Budget(READS_PER_ADDRESS_S, READS_S)
        self._checks = Budget(CHECKS_PER_ADDRESS_S, CHECKS_S)
        self._verified: dict[str, None] = {}  # addresses that verified digests came from, in the order of use
        self._notes: dict[str, tuple[tuple[str, digest.Head], bytes | None]] = {}  # by platform, of the head last seen

    def take(self, datagram: bytes, address: str, now_s: float) -> str:
        """Take what came from an address; return its fate, which is counted."""
        try:
            fate = self._judged(datagram, address, now_s)
        except FormatError as error:
            fate = error.error
        self.fates[fate] += 1
        return fate

    def _judged(self, datagram: bytes, address: str, now_s: float) -> str:
        is_known = address in self._verified
        if not self._reads.take(address, now_s, known=is_known):
            return UNREAD
        received = digest.read(datagram)
        says = received.says
        platform = says.origin.rpartition("/")[0]
        if platform == self._ours:
            return self._own(received, address, now_s)
        if platform not in self._fleet.platforms:
            self._present.stranger(platform, address, "digest", now_s)
            return "digest_stranger"
        time_s = self._clock()
        utc_ms = None if time_s is None else time_s * MS
        # Before the signature, since what was seen is dropped whoever signed it: each network doubles some.
        if (seen := self._present.place(platform, says.run, says.number, utc_ms)) is not Seen.NEW:
            return str(seen.value)
        if not self._checks.take(address, now_s, known=is_known):
            return UNCHECKED
        digest.verify(received, self._fleet)
        self._present.heard(platform, says, address, now_s, utc_ms)
        self._note_verified(address)
        note = self._note_of(platform, says)
        if self._archives is not None:
            self._archives.take(says if note is not None else says._replace(head=None), note)
        return TAKEN

    def _own(self, received: digest.Received, address: str, now_s: float) -> str:
        """Our own come back where two interfaces are on one network; what we did not send has somebody else signed."""
        if self._is_sent(received.says.run, received.says.number):
            return OWN
        if not self._checks.take(address, now_s, known=False):
            return UNCHECKED
        digest.verify(received, self._fleet)
        if not self.fates[CLONE]:
            self._say(f"{address} sends digests with this platform's mesh key: a clone, or a run that was lost here")
        return CLONE

    def _note_verified(self, address: str) -> None:
        self._verified.pop(address, None)
        self._verified[address] = None
        if len(self._verified) > ADDRESSES_MAX:
            del self._verified[next(iter(self._verified))]

    def _note_of(self, platform: str, says: Digest) -> bytes | None:
        """The note of the head, whose signature is checked once; None where there is none that the log signed."""
        if says.head is None:
            return None
        key = (says.origin, says.head)
        known = self._notes.get(platform)
        if known is None or known[0] != key:
            known = self._notes[platform] = (key, self._checked(says))
        return known[1]

    def _checked(self, says: Digest) -> bytes | None:
        log = self._fleet.log_of(says.origin)
        assert log is not None, "its mesh key was found by the same list"
        try:
            return digest.note_of_head(says, log.key)
        except FormatError:
            self.fates["head_signature"] += 1  # beside the fate of the digest, whose other facts hold
            return None
