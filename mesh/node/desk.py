"""What this platform answers as a witness, over what it holds.  Values in, values out; it may wait for the disk."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from mesh import exchange, witness
from mesh.account import Account
from mesh.allowance import Allowance
from mesh.exchange import TEXT_TYPE, Answer, refused
from mesh.fleetlist import FleetList
from mesh.node.boots import Boots
from mesh.node.forkbook import ForkBook
from mesh.node.heldsizes import encode_held
from mesh.node.places import DamagedError
from mesh.node.standings import StandingFiles
from mesh.standing import Standing, signed_by_log
from mesh.submission import with_cosignatures
from mesh.witness import Cosigner, Outcome
from recorder.core.checkpoint import open_checkpoint
from recorder.core.cosignature import cosign
from recorder.core.errors import FormatError
from recorder.core.note import NoteSignature

Clock = Callable[[], int | None]  # POSIX seconds of a trusted clock, None without one


# What is held of one log cannot be read, so that one is not cosigned; which file it is is told to the owner alone.
_DAMAGED = refused(500, FormatError("standing_malformed", "what this witness held of the log cannot be read back"))


class _Latest(NamedTuple):
    note: bytes
    line: NoteSignature


class WitnessDesk:
    """The witness over its files; used from one thread, so requests are judged one after the other."""

    def __init__(
        self,
        fleet: FleetList,
        store: StandingFiles,
        forks: ForkBook,
        cosigner: Cosigner | None,
        clock: Clock,
        say: Callable[[str], None],
        allowance: Allowance | None = None,
        boots: Boots | None = None,
    ) -> None:
        """Make it.

        Args:
            fleet: whom to trust.
            store: what is held.
            forks: proofs that are known; a log of which there is one is not cosigned.
            cosigner: signs; None where the fleet list does not name our key, and then nothing is cosigned.
            clock: the time, where it is trusted.
            say: tells a person.
            allowance: what platforms may cost; None: as by default.
            boots: how incarnations began that were followed; None: they are not held against each other.

        """
        self.allowance = allowance or Allowance()
        self.answers: Counter[int] = Counter()  # to POST, by status
        self.offered: Callable[[bytes], object] | None = None  # told every head of a platform that its log signed
        self._fleet = fleet
        self._store = store
        self._forks = forks
        self._cosigner = cosigner
        self._clock = clock
        self._say = say
        self._boots = boots
        self._latest: dict[str, _Latest] = {}  # by line
        self._told: set[str] = set()  # damage that was said: whoever asks may ask again and again

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer `add-checkpoint`; StoreFailedError passes through."""
        return self._judged(witness.add_checkpoint, body)

    def add_incarnation(self, body: bytes) -> Answer:
        """Answer `add-incarnation`; StoreFailedError passes through."""
        return self._judged(witness.add_incarnation, body)

    def held(self) -> Answer:
        """How far each origin is cosigned; StoreFailedError passes through."""
        return Answer(exchange.OK, TEXT_TYPE, encode_held(one.head for _, one in self.standings()))

    def standings(self) -> list[tuple[str, Standing]]:
        """What is held, by line of the fleet list."""
        return self._store.all()

    def checkpoint(self, origin: str) -> Answer:
        """The head last cosigned of an origin, with our cosignature; StoreFailedError passes through."""
        log = self._fleet.log_of(origin)
        try:
            standing = None if log is None else self._store.held(log.line)
        except DamagedError as error:
            self._tell(error)
            return _DAMAGED
        if log is None or standing is None or standing.head.origin != origin or not self._is_listed(log.line, standing):
            return refused(404, FormatError("origin_unknown", f"nothing of {origin!r} was cosigned here"))
        note = self._cosigned_note(log.line, standing)
        if note is None:
            return refused(503, FormatError("clock_untrusted", "no trusted clock here, so no time to cosign at"))
        return Answer(exchange.OK, TEXT_TYPE, note)

    def monitored(self, digest: str) -> Answer:
        """The same by the SHA-256 of the origin in hex, as tlog-witness has it for monitors."""
        for _, standing in self.standings():
            if sha256(standing.head.origin.encode()).hexdigest() == digest:
                return self.checkpoint(standing.head.origin)
        return refused(404, FormatError("origin_unknown", "nothing of such an origin was cosigned here"))

    def account(self, platform: str) -> Account:
        """What this witness holds of a platform; StoreFailedError passes through."""
        try:
            standing = self._store.held(platform)
        except DamagedError as error:
            self._tell(error)
            standing = None
        if standing is None or not self._is_listed(platform, standing):
            return Account(platform, {}, [], [])
        note = self._cosigned_note(platform, standing)
        return Account(platform, {}, list(standing.retired), [standing.note if note is None else note])

    def _is_listed(self, line: str, standing: Standing) -> bool:
        """Whether the key that the fleet list has now signed what is held: a replaced one is vouched for no more."""
        if (known := self._latest.get(line)) is not None and known.note == standing.note:
            return True
        log = self._fleet.log_of(standing.head.origin)
        try:
            return log is not None and bool(open_checkpoint(standing.note, log.key, may_extend=log.is_foreign))
        except FormatError:
            return False

    def _cosigned_note(self, line: str, standing: Standing) -> bytes | None:
        """The head that is held, with our cosignature; None without a time to cosign at."""
        latest = self._latest.get(line)
        if latest is None or latest.note != standing.note:
            time_s = self._clock()
            if time_s is None or self._cosigner is None:
                return None
            # After a restart: that it is the largest tree seen is as true now as it was then.
            cosignature = cosign(standing.head, self._cosigner.name, self._cosigner.signer, time_s)
            latest = self._latest[line] = _Latest(standing.note, cosignature)
        return with_cosignatures(latest.note, [latest.line])

    def _tell(self, damage: DamagedError) -> None:
        if str(damage) not in self._told:
            self._told.add(str(damage))
            self._say(str(damage))

    def _spend(self, line: str, is_new: bool) -> float:  # noqa: FBT001 -- a `witness.Spend`
        return self.allowance.take(line, time.monotonic(), is_new=is_new)

    def _judged(self, judge: Callable[..., Outcome], body: bytes) -> Answer:
        answer = self._answered(judge, body)
        self.answers[answer.status] += 1
        return answer

    def _answered(self, judge: Callable[..., Outcome], body: bytes) -> Answer:
        if self._cosigner is None:
            return refused(
                503, FormatError("witness_unlisted", "the fleet list in force here does not name this witness")
            )
        try:
            outcome = judge(
                *(body, self._fleet, self._store, self._cosigner, self._clock(), self._forks.is_forked, self._spend)
            )
        except DamagedError as error:
            self._tell(error)
            return _DAMAGED
        if outcome.offered is not None and self.offered is not None:
            log = self._fleet.log_of(outcome.offered.checkpoint.origin)
            if log is not None and not log.is_foreign:  # the hashes of foreign logs nobody here serves
                self.offered(signed_by_log(outcome.offered, log.key))
        if outcome.fork is not None and self._forks.is_wanted(outcome.fork):
            self._forks.keep(outcome.fork, "by what it had this witness cosign")
        if outcome.boot is not None and outcome.offered is not None:
            self._hold(outcome.offered.checkpoint.origin, outcome.boot, is_followed=outcome.is_cosigned)
        return outcome.answer

    def _hold(self, origin: str, boot: bytes, *, is_followed: bool) -> None:
        """Hold the beginning of an incarnation against those that were followed before."""
        if self._boots is None:
            return
        for split in self._boots.splits(origin, boot):
            if self._forks.is_wanted(split):
                self._forks.keep(split, "by what it showed this witness")
        if is_followed:
            self._boots.keep(origin, boot)
