"""Step 8: witnesses that entries asked for, against the evidence that follows: who signed, and after how long.

That fewer signed than were wanted is told and fails nothing: the entry says what was wanted, and a network may be away.
What cannot be is a choice that its rule does not lead to.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import NamedTuple

from recorder.core import cbor
from recorder.core.checkpoint import Checkpoint, open_checkpoint
from recorder.core.chosen import CHOICE_KEY, INDEPENDENT, RULES, Candidate, Choice, Own, choose, read_choice
from recorder.core.cosignature import CLAIM, cosigner_key
from recorder.core.errors import FormatError
from recorder.core.header import Header
from recorder.core.keys import kid
from recorder.core.kinds import Kind, Time, Witnesses
from recorder.core.note import ED25519, VerifierKey
from recorder.core.verdict import Unwitnessed
from recorder.core.verify.found import Found
from recorder.core.verify.held import body_of

ERROR = "witness_choice"
PENDING_MAX = 4096  # entries whose signatures may still come; an older one is judged by those that it has
LISTED_MAX = 100
NS_PER_MS = 1_000_000


class Signature(NamedTuple):
    """Of one witness, on the first head that covers an entry."""

    kid: bytes
    after_ms: int | None  # from the entry to the evidence, by their own times; None where these do not tell


class Pending:
    """An entry that asked, and who has signed so far."""

    __slots__ = ("asked", "kids", "seq", "signed", "time")

    def __init__(self, seq: int, time: Time, asked: Witnesses, kids: Collection[bytes]) -> None:
        self.seq = seq
        self.time = time
        self.asked = asked
        self.kids = dict.fromkeys(kids)  # that have still to sign
        self.signed: list[Signature] = []

    def sign(self, one: bytes, at: Time) -> None:
        """Take the first signature of one that was asked."""
        del self.kids[one]
        self.signed.append(Signature(one, after_ms(self.time, at)))

    @property
    def in_time(self) -> int:
        """How many signed within the time that was given."""
        return sum(one.after_ms is not None and one.after_ms <= self.asked.within_ms for one in self.signed)


class Asked:
    """Judges entries as they pass, in memory that does not grow with their number."""

    def __init__(self, found: Found, origin: str, witnesses: Collection[Candidate]) -> None:
        """Judge.

        Args:
            found: takes what is wrong.
            origin: of the log.
            witnesses: that the verifier trusts; of others nobody here can say whether they signed.

        """
        self._found = found
        self._origin = origin
        self._known = by_kid(witnesses)
        self._keys = {place: cosigner_key(one.name, one.public_key) for place, one in self._known.items()}
        self._pending: OrderedDict[int, Pending] = OrderedDict()
        self.asked = self.in_time = self.late = self.short = self.unjudged = 0
        self.listed: list[Unwitnessed] = []

    def check(self, header: Header, claims: bytes | None, identity: bytes | None) -> None:
        """Take the next entry.

        Args:
            header: of it.
            claims: beside it, where they are held.
            identity: the log's identity key, where it is known.

        """
        if header.witnesses is not None:
            self.asked += 1
            self._ask(header.seq, header.time, header.witnesses, claims)
        elif header.kind == Kind.EVIDENCE and self._pending and identity is not None:
            self._evidence(header, claims, identity)

    def waiting(self, seq: int) -> Pending | None:
        """An entry that was taken and waits for signatures."""
        return self._pending.get(seq)

    def finish(self) -> None:
        """Judge what still waits by what it has."""
        while self._pending:
            self._judge(self._pending.popitem(last=False)[1])

    def notes(self) -> dict[str, int]:
        """Counts for the report; nothing where nobody was asked."""
        if not self.asked:
            return {}
        return {
            "witnesses_asked": self.asked,
            "witnessed_in_time": self.in_time,
            "witnessed_late": self.late,
            "witnessed_short": self.short,
            "witnessed_unjudged": self.unjudged,
        }

    def _ask(self, seq: int, time: Time, asked: Witnesses, claims: bytes | None) -> None:
        choice = choice_beside(asked, claims)
        if choice is None:
            self.unjudged += 1  # withheld or deleted; what does not lead to its digest is found beside
            return
        if wrong := choice_fault(asked, choice, self._known):
            self._found(ERROR, seq, wrong)
        pending = Pending(seq, time, asked, choice.kids)
        if not self._known or not self._known.keys() & pending.kids.keys():
            if choice.kids:
                self.unjudged += 1
            else:
                self._judge(pending)
            return
        self._pending[seq] = pending
        if len(self._pending) > PENDING_MAX:
            self._judge(self._pending.popitem(last=False)[1])

    def _evidence(self, header: Header, claims: bytes | None, identity: bytes) -> None:
        body = body_of(header, claims)
        note = None if body is None else body.get(CLAIM)
        if not isinstance(note, bytes):
            return
        wanted = {one for pending in self._pending.values() for one in pending.kids if one in self._keys}
        try:
            head, signed = self._signed(note, identity, wanted)
        except FormatError:
            return  # counted where evidence is collected: it says nothing against the lineage
        for pending in list(self._pending.values()):
            if pending.seq >= head.size:
                break
            for one in [one for one in pending.kids if one in signed]:
                pending.sign(one, header.time)
            if not pending.kids:
                self._judge(self._pending.pop(pending.seq))

    def _signed(self, note: bytes, identity: bytes, wanted: Collection[bytes]) -> tuple[Checkpoint, set[bytes]]:
        log = VerifierKey.derive(self._origin, ED25519, identity)
        opened = open_checkpoint(note, log, [self._keys[one] for one in wanted])
        verified = {key for key, _ in opened.note.verified}
        return opened.checkpoint, {one for one in wanted if self._keys[one] in verified}

    def _judge(self, pending: Pending) -> None:
        k = pending.asked.k
        if pending.in_time >= k:
            self.in_time += 1
            return
        if any(one not in self._known for one in pending.kids):
            self.unjudged += 1
            return
        signed = len(pending.signed)
        self.late += signed >= k
        self.short += signed < k
        if len(self.listed) < LISTED_MAX:
            chosen = signed + len(pending.kids)
            self.listed.append(Unwitnessed(pending.seq, k, pending.asked.within_ms, chosen, signed, pending.in_time))


def choice_fault(asked: Witnesses, choice: Choice, known: Mapping[bytes, Candidate]) -> str | None:
    """Why a choice is none that its rule leads to; None where it is, or where that cannot be told.

    Args:
        asked: key 18 of the entry.
        choice: which it binds.
        known: witnesses that the verifier trusts, by kid.

    """
    kids = choice.kids
    if len(kids) > asked.k or len(set(kids)) < len(kids):
        return f"{len(kids)} witnesses stand in a choice of {asked.k}, or one twice"
    if asked.rule not in RULES or any(one not in known for one in kids):
        return None
    chosen = [known[one] for one in kids]
    # Of a choice, its rule makes the same choice again.  Which operator is the recorder's own, the log does not
    # say: at most one is, and its witnesses come last.
    owns: list[Own | None] = [None]
    if asked.rule == INDEPENDENT:
        owns += [Own("", operator) for operator in dict.fromkeys(one.operator for one in chosen)]
    if any(choose(chosen, asked.k, asked.rule, choice.salt, own) == chosen for own in owns):
        return None
    return f"the rule {asked.rule} leads from this salt to another choice among these witnesses, or another order"


def by_kid(witnesses: Collection[Candidate]) -> dict[bytes, Candidate]:
    """Witnesses as entries name them."""
    return {kid(one.public_key): one for one in witnesses}


def choice_beside(asked: Witnesses, claims: bytes | None) -> Choice | None:
    """The choice that lies beside an entry; None where it is not there, or is not the one that the entry binds."""
    if claims is None:
        return None
    try:
        record = cbor.decode(claims)
        choice = read_choice(record[CHOICE_KEY])
    except (FormatError, KeyError, TypeError):
        return None
    return choice if choice.digest() == asked.chosen else None


def after_ms(asked: Time, signed: Time) -> int | None:
    """How long a signature took, by the times of two entries of one log; None where they do not tell."""
    if asked.boot == signed.boot:
        return max(0, signed.mono_ns - asked.mono_ns) // NS_PER_MS
    if asked.quality and signed.quality:
        return max(0, signed.utc_ns - asked.utc_ns) // NS_PER_MS
    return None
