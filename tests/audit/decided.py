"""Lineages whose cycles were decided under a signed policy, with all that a why says of its decision."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from hashlib import sha256
from typing import Any

from recorder.audit.redecide import Recorded
from recorder.core import policy
from recorder.core.decided import counterfactual
from recorder.core.entry import decode
from recorder.core.kinds import Decision
from recorder.core.policy import Policy
from recorder.core.policy_replay import Artefact, Situation, artefact_hash
from recorder.gate.cel import Cel
from recorder.gate.decision import Decided
from recorder.gate.engine import Engine
from recorder.gate.program import Program
from tests.credential_builder import signer
from tests.lineage_builder import MS, LineageBuilder, OpenCycle
from tests.policies import example

Change = Callable[[dict[str, Any]], None]
DELEGATION = sha256(b"the credential of the platform").digest()


OURS = Cel()


@lru_cache(maxsize=64)
def _compiled(signed: bytes) -> Program:
    return Program(policy.read(signed).policy, OURS)


class DecidedBuilder(LineageBuilder):
    """Decides what is asked of it, as a recorder does, and writes the why."""

    def begin(self, said: Policy | None = None, engine: Engine | None = None) -> DecidedBuilder:
        """A boot, a signed policy, two actuators."""
        self.boot()
        self.enforce(said or example().policy, engine)
        self.actuator(1)
        self.actuator(2)
        return self

    def enforce(self, said: Policy, engine: Engine | None = None) -> int:
        """Put a policy in force."""
        self.engine = engine or OURS
        self.signed = policy.sign(said, signer("authority"))
        self.program = _compiled(self.signed) if engine is None else Program(said, engine)
        return self.policy(self.signed)

    def ask(
        self,
        situation: Situation,
        change: Change | None = None,
        artefact: Change | None = None,
        reasons: tuple[str, ...] = (),
        **options: Any,
    ) -> int:
        """Decide, and record a cycle or a refused opening.

        Args:
            situation: what is asked.
            change: of the claims of why before they are written.
            artefact: of the parts of the artefact before it is encoded.
            reasons: of the refusal, beside the policy's.
            options: of the cycle.

        """
        decided = self.program.decide(situation)
        parts: dict[str, Any] = {
            "salt": bytes(16), "bundle": self.bundle, "engine": self.engine.name, "engine_version": self.engine.version,
            "situation": decided.situation,
        }  # fmt: skip
        if artefact is not None:
            artefact(parts)
        why = self.why(decided, Artefact(**parts).encode(), situation)
        without = partial(self.program.without, decided)
        why["counterfactual"] = counterfactual(decided, without, refused_anyway=bool(reasons))
        if reasons:
            why["reasons"] = [*reasons, *(decided.reasons if decided.decision == Decision.REFUSED else [])]
            why.pop("deviation", None)
        if change is not None:
            change(why)
        if decided.decision == Decision.REFUSED or reasons:
            policys = decided.reasons if decided.decision == Decision.REFUSED else []
            return self.refuse_opening(why, [*reasons, *policys])
        self.breaking(lambda header: header.update({16: int(decided.decision)}))
        return self.cycle(why=why, **options).carrier

    def why(self, decided: Decided, artefact: bytes, situation: Situation) -> dict[str, Any]:
        """Claims of a decision; the clock of the entry is a millisecond on."""
        now_ns = self.clock.mono_ns + MS
        why: dict[str, Any] = {
            "evaluator": f"{self.engine.name} {self.engine.version}",
            "policy": self.bundle,
            "clauses": [one._asdict() for one in decided.clauses],
            "inputs": [
                {
                    "name": name, "value": given.value, "unit": given.unit, "signed": given.signed,
                    "at_mono_ns": None if given.age_ms is None else now_ns - given.age_ms * MS,
                }
                for name, given in situation.inputs.items()
            ],
            "contemplated": {"what": {"mode": "position", "magnitude": 1.0, "unit": "rad/s"}, "where": {}},
            "reasons": decided.reasons,
            "alternatives": [{"what": "slower", "reason": "too_late"}],
            "artefact": artefact,
            "replay": artefact_hash(artefact),
        }  # fmt: skip
        if decided.decision == Decision.DEVIATED:
            clause = next(one.id for one in decided.clauses if (one.effect, one.truth) == ("deviate", "true"))
            why["deviation"] = {
                "conformant": {"mode": "position"}, "committed": decided.deviate_to, "clause": clause,
                "credential": DELEGATION,
            }  # fmt: skip
        return why

    def recorded(self, seq: int) -> Recorded:
        """A decision as it is replayed, under the policy in force."""
        return Recorded(seq, *self.records[seq], self.signed)

    def opened(self, seq: int) -> OpenCycle:
        """The cycle that was opened at this entry."""
        header = decode(self.records[seq].raw).header
        assert header.why is not None
        assert header.classes is not None
        return OpenCycle(seq, header.why.digest, self.bundle, header.classes.action_class, header.stage or 0)
