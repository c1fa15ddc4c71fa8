"""An opening, the ground on which it is judged, and its judging, as tests of `gate.judging` ask for it."""

from __future__ import annotations

from typing import Any

from recorder.core import cbor, policy
from recorder.core.credential import Credential
from recorder.core.delegation import Moment
from recorder.core.kinds import Decision, Stage
from recorder.core.policy_source import parse
from recorder.gate.authorities import Authorities
from recorder.gate.cel import Cel
from recorder.gate.inputs import Now
from recorder.gate.judging import Asked, Ground, Judged, judge
from recorder.gate.program import Program
from tests.credential_builder import (
    ARM,
    BEGIN_S,
    EVERYTHING,
    NS,
    ROOT,
    at,
    delegated,
    from_root,
    signer,
)
from tests.policies import CLASS, PERMIT, clause

HEAD = 'name = "cell"\nversion = 3\nvalid_from = 2025-10-01T00:00:00Z\nvalid_until = 2025-10-10T00:00:00Z\n'
POLICY_EXP_S = 1_760_054_400
INPUT = '[input.force_n]\ntype = "double"\nunit = "N"\nmax_age_ms = 100\n'
LIMIT = clause("input.force_n > 50.0")
SLOW = clause("input.force_n > 30.0", "deviate", "slower", deviate_to='"slow"')
ENGINE = Cel()

DEPOT = from_root("depot", role="authority", scope=EVERYTHING)
ANN = delegated(DEPOT, "ann", role="operator", scope=ARM)  # 1000 commits, 3600 s
HELD = delegated(ANN, "identity")
EVALUATOR = from_root("planner check", role="evaluator")
LIDAR = from_root("lidar", role="actuator")

WHAT = {
    "mode": "move", "target": "pallet", "magnitude": 1.2, "unit": "m/s", "duration_ms": 500, "reversibility": "reversible",
    "confirm_by_ms": None,
}  # fmt: skip
WHERE = {"frame": "cell", "position_m": [0.1, 0.2, 0.3]}
BEGIN_NS = BEGIN_S * NS
NOW = Now(5 * NS, BEGIN_NS + NS)
SALT = b"\7" * 16
FORCE = {"name": "force_n", "value": 10.0, "unit": "N", "at_mono_ns": NOW.mono_ns - 1_000_000}


def ground(*clauses: str, more: tuple[Credential, ...] = (), **changed: Any) -> Ground:
    text = HEAD + changed.pop("inputs", INPUT) + CLASS + "".join(clauses or (LIMIT, SLOW)) + PERMIT
    bundle = policy.read(policy.sign(parse(text).policy, signer(ROOT.name)))
    authorities = Authorities([ROOT])
    for one in (DEPOT, ANN, HELD, EVALUATOR, LIDAR, *more):
        authorities.add(authorities.judge_credential(one.signed.raw))
    plain = Ground(
        Program(bundle.policy, ENGINE), bundle, authorities, signer("identity").public_key, "acme/arm-7/a", b"\4" * 16,
        spent={}, nonces={}, resolve=lambda printed: None,
    )  # fmt: skip
    return plain._replace(**changed)


def asked(**changed: Any) -> Asked:
    why = {"evaluator": "mine", "clauses": [], "inputs": [FORCE], "alternatives": ["wait"], **changed.pop("why", {})}
    plain = Asked(
        "motion", Stage.DIRECT, ["elbow"], 100, 5000, {"platform": "arm", "operator": "ann", "delegation": HELD.hash}, why,
        (WHAT, WHERE), HELD.hash, None,
    )  # fmt: skip
    return plain._replace(**changed)


def judged(request: Asked, on: Ground, moment: Moment | None = None, now: Now = NOW) -> Judged:
    found = judge(request, on, moment=moment or at(seq=9), now=now, salt=SALT)
    assert (found.decision == Decision.REFUSED) == (found.why.get("deviation") is None and found.reasons not in _GOOD)
    assert found.why["reasons"] == found.reasons
    cbor.encode(found.why)
    return found


_GOOD = (["allowed: clause allow"], ["granted: by an external evaluator"])


def names(found: Judged) -> list[str]:
    return [reason.partition(":")[0] for reason in found.reasons]


def instant(utc_ns: int, seq: int = 9) -> Moment:
    return Moment(utc_ns, utc_ns, seq)
