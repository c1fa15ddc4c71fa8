"""Makes lineages whose cycles are decided under a signed policy, as a recorder would; a test changes one thing and lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from recorder.core import grant, policy
from recorder.core.credential import Credential
from recorder.core.decided import counterfactual
from recorder.core.ids import entry_id
from recorder.core.kinds import Decision, Kind
from recorder.core.policy import Policy
from recorder.core.policy_replay import Artefact, Given, Situation, artefact_hash
from recorder.core.policy_source import parse
from recorder.core.policy_terms import FACTS
from recorder.core.revocation import Revoked
from recorder.core.revocation import make as make_list
from recorder.core.scope import Area, Counts, Scope, Times
from recorder.gate.cel import Cel
from recorder.gate.decision import Decided
from recorder.gate.program import Program
from tests.credential_builder import BEGIN_S, DAY_S, ROOT, issued, signer, terms
from tests.lineage_builder import MS, WHERE, LineageBuilder, OpenCycle
from tests.policies import clause, source

Claims = dict[str, Any]
Change = Callable[[Claims], None]

ENGINE = (Cel.name, "0.1.2")  # as whys of that version have it, whichever makes the vectors
NAMES = {1: "shoulder", 2: "elbow", 3: "gripper"}
SCOPE = Scope(
    action_classes=frozenset({"motion"}),
    actuators=frozenset({"shoulder", "elbow"}),
    limits={"rad": (-1.5, 1.5)},
    areas=frozenset({Area("base", (-1.0, -1.0, 0.0), (1.0, 1.0, 2.0))}),
    times=frozenset({Times(6 * 3600, 22 * 3600, 0b0011111)}),
    counts=Counts(1000, 3600),
    delegations=2,
)
CLAUSES = (
    clause("input.force_n > 40.0", identifier="too_strong"),
    clause("1000 / what.duration_ms > 200", identifier="too_quick"),
    clause("what.magnitude > 1.0", "deviate", "too_fast", deviate_to='"slow"'),
)


def cell(**changed: Any) -> Policy:
    """The policy of these lineages, valid as long as credentials are."""
    said = parse(source(*CLAUSES)).policy
    return replace(said, **{"nbf": BEGIN_S, "exp": BEGIN_S + DAY_S, **changed})


@cache
def program(raw: bytes) -> Program:
    """The program of a bundle."""
    return Program(policy.read(raw).policy, Cel())


def root_signed(said: Policy, by: str = ROOT.name) -> bytes:
    return policy.sign(said, signer(by))


class GatedBuilder(LineageBuilder):
    """A lineage under a signed policy."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(roots=(ROOT,), **rest)
        self.signed = b""
        self.doing: Claims = {}

    def what(self) -> Claims:
        """What commits do, with what `doing` changes."""
        return {**super().what(), **self.doing}

    def begin(self) -> GatedBuilder:
        """A boot and the actuators."""
        self.boot()
        for number, name in NAMES.items():
            self.actuator(number, name)
        return self

    def platform(self, scope: Scope = SCOPE, *, by: str = ROOT.name, **changed: Any) -> Credential:
        """A credential for this platform; not in the lineage yet."""
        said = {"role": "platform", "key": self.identity.public_key, **changed}
        return issued(by, terms("arm-7", said.pop("issuer", by), scope=scope, **said))

    def bring(self, **signed: bytes) -> int:
        """Bring a credential, a matrix or a revocation list."""
        (raw,) = signed.values()
        return self.control(Kind.CREDENTIAL, sha256(raw).digest(), body=dict(signed))

    def hold(self, *credentials: Credential) -> int:
        """Bring credentials and have what follows be done under the last."""
        for one in credentials:
            self.bring(credential=one.signed.raw)
        self.acting(delegation=credentials[-1].hash)
        return self.seq - 1

    def revoke(self, credential: Credential, by: str = ROOT.name) -> int:
        """Bring a list that revokes it."""
        return self.bring(revocation=make_list(1, [Revoked(credential.hash, BEGIN_S, "lost")], signer(by)))

    def govern(self, said: Policy | None = None, by: str = ROOT.name) -> int:
        """Put a signed policy in force."""
        self.signed = root_signed(said or cell(), by)
        return self.policy(self.signed)

    def ready(self, *credentials: Credential, **changed: Any) -> GatedBuilder:
        """All that a gated cycle needs."""
        self.begin()
        self.hold(*(credentials or (self.platform(**changed),)))
        self.govern()
        return self

    def seen(self, observed: bytes | None = None, *, body: Claims | None = None) -> str:
        """Record an observation, signed or as claims; its printed id."""
        if observed is None:
            seq = self.control(Kind.OBSERVATION, body=body)
        else:
            seq = self.control(Kind.OBSERVATION, sha256(observed).digest(), body={"observation": observed})
        return str(entry_id(self.hash_of(seq), seq))

    def gated(
        self,
        actuators: Sequence[int] = (1,),
        *,
        force_n: float = 1.0,
        observed: bytes | None = None,
        seen: str | None = None,
        signed: bool = False,
        max_commits: int = 100,
        valid_ms: int = 2_000,
        classes: Sequence[str] = ("motion",),
        lying: Change | None = None,
        decision: int | None = None,
        grant_by: Credential | None = None,
        granting: Claims | None = None,
        nonce: bytes | None = None,
        **what: Any,
    ) -> OpenCycle:
        """Decide about a cycle and open it, or refuse it; `lying` changes the why after the decision."""
        now_ns = self.clock.mono_ns + MS
        act = {"what": {**self.what(), **what}, "where": WHERE}
        items = [{"name": "force_n", "value": force_n, "unit": "N", "at_mono_ns": now_ns - 10 * MS, "signed": False}]
        if observed is not None:
            items[0] |= {"signed": True, "observation": observed}
        if seen is not None:
            items[0] |= {"signed": signed, "entry": seen}
        why: Claims = {"evaluator": " ".join(ENGINE), "contemplated": act, "inputs": items, "alternatives": []}
        until_ns = now_ns + valid_ms * MS
        control = [self.request(), nonce]
        if grant_by is None:
            decided = self._decide(actuators, act, items, now_ns, max_commits, valid_ms, classes[0])
            why |= self._explained(decided, act)
            without = partial(program(self.signed).without, decided)
            why["counterfactual"] = counterfactual(decided, without, refused_anyway=False)
            made = int(decided.decision)
        else:
            made = int(Decision.EXTERNAL)
            why |= {"clauses": [], "grant": b""}
            control[1] = nonce = nonce or self.octets(f"nonce {self.seq}", 16)
            names = tuple(NAMES[number] for number in actuators)
            says: Claims = {
                "origin": self.origin, "os_boot": self.os_boot, "nonce": nonce, "credential": grant_by.hash,
                "action_class": classes[0], "actuators": names, "max_commits": max_commits,
                "not_after_mono_ns": until_ns, "delegation": self.who_claims["delegation"],
                "contemplated_hash": grant.contemplated_hash(act["what"], act["where"]),
                "inputs_hash": grant.inputs_hash(items), "decision": "admitted", **(granting or {}),
            }  # fmt: skip
            why["grant"] = grant.make(grant.Grant(**says), signer(grant_by.terms.subject))
        if lying is not None:
            lying(why)
        made = made if decision is None else decision
        who, held = self.who()
        seq = self.seq
        digest, held_why = self.family("why", why)
        keys = {
            **self.policy_axis(self.bundle), 8: who, 9: [digest, seq], 13: [classes[0], "standard"], 14: 0, 15: control,
            16: made,
        }  # fmt: skip
        if made == Decision.REFUSED:
            keys[15] = [control[0], why["reasons"]]
            self.add(Kind.REFUSAL, keys, {**held, 9: held_why})
            return OpenCycle(seq, digest, self.bundle, classes[0])
        keys[17] = [until_ns, max_commits, list(actuators), list(classes)]
        self.add(Kind.CYCLE, keys, {**held, 9: held_why})
        self.made[seq] = 0
        return OpenCycle(seq, digest, self.bundle, classes[0])

    def _decide(
        self, actuators: Sequence[int], act: Claims, items: list[Claims], now_ns: int, commits: int, ms: int, of: str
    ) -> Decided:
        facts: Claims = {
            "act.class": of, "act.stage": "direct", "act.actuators": [NAMES[number] for number in actuators],
            "act.max_commits": commits, "act.valid_ms": ms,
        }  # fmt: skip
        for family, claims in (("who", self.who_claims), ("what", act["what"]), ("where", act["where"])):
            facts |= {f"{family}.{key}": value for key, value in claims.items() if f"{family}.{key}" in FACTS}
        given = {
            one["name"]: Given(one["value"], one["unit"], (now_ns - one["at_mono_ns"]) // MS, one["signed"])
            for one in items
        }
        return program(self.signed).decide(Situation(of, given, facts))

    def _explained(self, decided: Decided, act: Claims) -> Claims:
        artefact = Artefact(self.secret(), self.bundle, *ENGINE, decided.situation).encode()
        why: Claims = {
            "policy": self.bundle,
            "clauses": [one._asdict() for one in decided.clauses],
            "reasons": decided.reasons,
            "artefact": artefact,
            "replay": artefact_hash(artefact),
        }
        if decided.deviate_to is not None:
            conformant = act["what"]
            why["deviation"] = {"conformant": conformant, "committed": decided.deviate_to, "clause": "too_fast"}
        return why


def evaluator(name: str = "planner", **changed: Any) -> Credential:
    """The credential of an external evaluator."""
    return issued(ROOT.name, terms(name, ROOT.name, role="evaluator", **changed))
