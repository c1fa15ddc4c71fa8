"""A recorder with an authority behind it: a root in its trust file, a signed policy, and a delegation to its platform."""

from __future__ import annotations

import time
from hashlib import sha256
from pathlib import Path
from typing import Any

from recorder.client.answers import Receipt
from recorder.client.recorder import Recorder
from recorder.core import policy
from recorder.core.credential import Credential
from recorder.core.kinds import Kind
from recorder.core.policy_source import parse
from recorder.core.scope import Scope
from recorder.daemon import identity
from tests import credential_builder as fleet
from tests.policies import CLASS, clause, source
from tests.running import make_state

ROOT = fleet.ROOT
HEAD = 'name = "cell"\nversion = {version}\nvalid_from = 2026-01-01T00:00:00Z\nvalid_until = 2036-01-01T00:00:00Z\n'
CLASSES = CLASS.replace("braking", "emergency_stop")
FORCE = clause("input.force_n > 50.0", identifier="force")
SCOPE = Scope(
    action_classes=frozenset({"motion"}),
    actuators=frozenset({"arm"}),
    limits={"rad/s": (-2.0, 2.0), "none": (0, 0)},
    areas="any",
    times="any",
    counts=None,
    delegations=3,
)
WHAT: dict[str, Any] = {
    "mode": "velocity",
    "target": "joint1",
    "magnitude": 1.0,
    "unit": "rad/s",
    "duration_ms": 100,
    "reversibility": "reversible",
    "confirm_by_ms": None,
}


def make(state: Path, **settings: Any) -> Path:
    """A state whose recorder trusts the root, and whose user may install."""
    make_state(state, append='["mark", "observation", "policy", "credential", "control_transition"]', **settings)
    return trusting(state)


def trusting(state: Path) -> Path:
    """Have a state's recorder trust the root."""
    (state / "trust").write_text(f"root {ROOT}\nquorum none\n")
    return state


def bundle(*clauses: str, version: int = 1, by: str = ROOT.name, **parts: str) -> bytes:
    """A signed policy."""
    text = source(*(clauses or (FORCE,)), **({"head": HEAD.format(version=version), "classes": CLASSES} | parts))
    return policy.sign(parse(text).policy, fleet.signer(by))


def chain(state: Path, scope: Scope = SCOPE, **changed: Any) -> list[Credential]:
    """An operator's credential by the root, and his delegation to the platform of this state."""
    now = int(time.time())
    times = {"not_before_s": now - 3600, "expires_s": now + 3600, "issued_s": now}
    operator = fleet.from_root("ann", scope=fleet.rescoped(scope, delegations=scope.delegations + 1), **times)
    to = identity.load(state)
    said = {"key": to.public_key, "scope": scope, **times, **changed}
    return [operator, fleet.delegated(operator, "arm-7", **said)]


def install(recorder: Recorder, *, kind: Kind = Kind.CREDENTIAL, **claim: bytes) -> Receipt:
    """Install what one claim of a body holds."""
    (raw,) = claim.values()
    return recorder.append(kind, body=claim, control=[sha256(raw).digest()])


def put_in_force(recorder: Recorder, state: Path, *clauses: str, scope: Scope = SCOPE, **parts: Any) -> Credential:
    """Install a policy and a chain; returns the delegation."""
    links = chain(state, scope)
    for link in links:
        install(recorder, credential=link.signed.raw)
    install(recorder, kind=Kind.POLICY, bundle=bundle(*clauses, **parts))
    return links[-1]
