"""A device beside a lineage that is built: it confirms what was committed, and its batches become entries."""

from __future__ import annotations

from typing import Any

from recorder.core import confirmation, deviceframe, devicegap
from recorder.core.confirmation import Batch
from recorder.core.deviceframe import Body, CommitRef, Confirmation, Outcome
from recorder.core.devicegap import Missing, Place
from recorder.core.keys import SeedSigner, Signer, kid
from recorder.core.kinds import Kind
from recorder.core.merkle import leaf_hash, root_of
from tests.frames import DEVICE, NONCE
from tests.lineage_builder import LineageBuilder


class InTheNameOf:
    """A thief's key under the name of another one."""

    def __init__(self, victim: Signer, thief: Signer) -> None:
        self.public_key, self.sign = victim.public_key, thief.sign


class Bench:
    """One device whose frames follow each other; `batch` and `gap` add entries."""

    def __init__(self, lineage: LineageBuilder, signer: SeedSigner = DEVICE) -> None:
        self.lineage, self.signer = lineage, signer
        self.kid = kid(signer.public_key)
        self.at = Place(1, 0)
        self.prev = deviceframe.first_prev(self.kid, 1)
        self.tick_us = 0

    def reached(self, seq: int, index: int = 0, value: float = 0.5) -> Confirmation:
        """A confirmation of a commit of the lineage."""
        ref = CommitRef(seq, index, self.lineage.hash_of(seq)[:16])
        return Confirmation(ref, Outcome.REACHED, [(2, value)])

    def frames(self, *bodies: Body) -> list[bytes]:
        """The next frames."""
        made = []
        for body in bodies:
            self.tick_us += 1000
            made.append(deviceframe.make(self.kid, self.at.boot, self.at.seq, self.tick_us, self.prev, body))
            self.prev = leaf_hash(made[-1])[: deviceframe.PREV_BYTES]
            self.at = Place(self.at.boot, self.at.seq + 1)
        return made

    def batch(
        self, *bodies: Body, by: Signer | None = None, origin: str | None = None, refs: list[Any] | None = None,
        made: list[bytes] | None = None,
        **body: Any,
    ) -> int:  # fmt: skip
        """The entry of the next frames, or of those in `made`; `refs` in place of the right ones, `body` over its claims."""
        boot, first = self.at
        if made is None:
            made = self.frames(*bodies)
        says = Batch(
            origin or self.lineage.origin,
            NONCE,
            boot,
            first,
            first + len(made) - 1,
            root_of([leaf_hash(raw) for raw in made]),
        )
        signed = confirmation.make(says, by or self.signer)
        if refs is None:
            found = [one.commit for one in bodies if isinstance(one, Confirmation)]
            refs = [[None, ref.seq, self.lineage.hash_of(ref.seq), ref.place] for ref in found]
        kind = Kind.CONFIRMATION if refs else Kind.OBSERVATION
        digest = confirmation.read(signed).signed.hash
        claims = {"signature": signed, "frames": made, **body}
        return self.lineage.control(kind, digest, body=claims, refs={2: refs} if refs else None)

    def gap(self, reason: str, until: Place) -> int:
        """The gap entry of what never came up to there."""
        missing = Missing(reason, self.kid, self.at, until)
        if until.boot != self.at.boot:
            self.prev, self.tick_us = deviceframe.first_prev(self.kid, until.boot), 0
        self.at = until
        return self.lineage.control(Kind.GAP, [1], missing.frames, None, devicegap.say(missing))
