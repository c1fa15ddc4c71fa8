"""A platform under authority, made for a measure: a root, three credentials in a chain, and a policy that decides.

The policy asks for ten inputs and weighs twenty clauses for each cycle, of which one permits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from msgspec.structs import replace

from recorder.bench.acts import ACTUATOR, PATIENCE_MS, VALID_MS, WHAT, WHERE, WHO
from recorder.bench.process import RecorderProcess
from recorder.client import Cycle, Recorder
from recorder.client.connection import boottime_ns
from recorder.core import credential, observation, policy, policy_source
from recorder.core.credential import Credential, Terms
from recorder.core.keys import SEED_BYTES, SeedSigner
from recorder.core.kinds import Kind
from recorder.core.note import ED25519, VerifierKey
from recorder.core.observation import Observation
from recorder.core.scope import Area, Counts, Role, Scope
from recorder.daemon import identity

ACTION_CLASS = "motion"
NUMBERS = ("nearest_m", "force_n", "speed_mps", "battery_v", "motor_c", "payload_kg", "tilt_rad")
_NAMES = (*NUMBERS, "enabled", "zone", "people")
INPUTS: dict[str, Any] = dict(zip(_NAMES, (2.5, 11.0, 0.4, 25.2, 41.5, 1.25, 0.02, True, "cell", 0), strict=True))
_TYPES = {float: "double", bool: "bool", str: "string", int: "int"}
_MAX_AGE_MS = 60_000
_DAY_S = 86_400
CLAUSES = (
    *(("forbid", f"input.{name} > {INPUTS[name] * 9}") for name in NUMBERS),
    *(("forbid", f"input.{name} < -{INPUTS[name] * 9}") for name in NUMBERS[:4]),
    ("forbid", "!input.enabled"),
    ("forbid", "input.people > 0 && input.nearest_m < 1.5"),
    ("forbid", 'input.zone == "dock" && what.magnitude > 0.1'),
    ("forbid", 'what.mode != "position" && what.mode != "velocity"'),
    ("forbid", "where.position_m[2] < 0.1"),
    ("forbid", "act.max_commits > 1000000 || act.valid_ms > 120000"),
    ("deviate", "input.nearest_m < 2.0 && input.speed_mps > 0.3"),
    ("deviate", "input.motor_c > 70.0"),
    ("permit", 'who.operator == "bench" && "bench" in act.actuators && grant.commits_left > 0'),
)
_SCOPE = Scope(
    action_classes=frozenset({ACTION_CLASS}),
    actuators=frozenset({ACTUATOR}),
    limits={"rad": (-3.2, 3.2), "none": (0, 0)},
    areas=frozenset({Area("base", (-1.0, -1.0, 0.0), (1.0, 1.0, 2.0))}),
    times="any",
    counts=Counts(10**12, 10**9),
    delegations=0,
)


class Ground(NamedTuple):
    """What a platform is under."""

    delegation: bytes  # hash of the last link
    observer: SeedSigner
    observer_credential: bytes


def trust() -> tuple[SeedSigner, bytes]:
    """A root of no other use, and the trust file that names it."""
    root = _signer("root")
    return root, f"root {_key('bench/root', root)}\nquorum none\n".encode()


def put_in_force(recorder: RecorderProcess, root: SeedSigner) -> Ground:
    """Install the chain, an observer's credential and the policy on a recorder that trusts this root."""
    to = identity.load(recorder.state).public_key
    operator, deputy = _signer("operator"), _signer("deputy")
    first = _issued(root, "bench/root", "ann", operator.public_key, "operator", 2, None)
    second = _issued(operator, "ann", "bob", deputy.public_key, "operator", 1, first)
    last = _issued(deputy, "bob", "bench/bench", to, "operator", 0, second)
    seeing = _signer("observer")
    observer = _issued(root, "bench/root", "lidar", seeing.public_key, "inspector", 0, None)
    raw = policy.sign(policy_source.parse(_source()).policy, root)
    with Recorder(recorder.path, client_name="bench", timeout_ms=PATIENCE_MS) as client:
        for one in (first, second, last, observer):
            _install(client, Kind.CREDENTIAL, "credential", one.signed.raw)
        _install(client, Kind.POLICY, "bundle", raw)
    return Ground(last.hash, seeing, observer.hash)


def inputs(ground: Ground | None, signed: int) -> list[dict[str, Any]]:
    """All inputs as of now, the first `signed` numbers among them signed by the observer of `ground`."""
    now_ns = boottime_ns()
    said = [{"name": name, "value": INPUTS[name], "unit": "", "at_mono_ns": now_ns} for name in INPUTS]
    if ground is not None:
        said[:signed] = [_observed(ground, name, now_ns) for name in NUMBERS[:signed]]
    return said


def opened(client: Recorder, delegation: bytes, said: Sequence[dict[str, Any]]) -> Cycle:
    """A cycle with these inputs: the same request whoever decides, but for the delegation."""
    return client.open_cycle(
        who={**WHO, "delegation": delegation}, why={"evaluator": "bench/1", "clauses": []}, inputs=said, what=WHAT,
        where=WHERE, alternatives=[], actuators=[ACTUATOR], action_classes=[ACTION_CLASS], max_commits=1_000_000,
        valid_ms=VALID_MS,
    )  # fmt: skip


def _signer(name: str) -> SeedSigner:
    return SeedSigner(sha256(f"lineage bench {name}".encode()).digest()[:SEED_BYTES])


def _key(name: str, signer: SeedSigner) -> VerifierKey:
    return VerifierKey.derive(name, ED25519, signer.public_key)


def _issued(
    by: SeedSigner, issuer: str, subject: str, key: bytes, role: Role, delegations: int, parent: Credential | None
) -> Credential:
    now_s = int(time.time())
    scope = replace(_SCOPE, delegations=delegations)
    terms = Terms(
        issuer, subject, now_s + _DAY_S, now_s - _DAY_S, now_s, sha256(subject.encode()).digest()[:16], key, role,
        scope, None if parent is None else parent.hash,
    )  # fmt: skip
    return credential.read(credential.issue(terms, by))


def _source() -> str:
    now_s = int(time.time())
    valid = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (now_s - _DAY_S, now_s + _DAY_S)]
    parts = [f'name = "bench"\nversion = 1\nvalid_from = {valid[0]}\nvalid_until = {valid[1]}\n']
    parts += [
        f'[input.{name}]\ntype = "{_TYPES[type(value)]}"\nunit = ""\nmax_age_ms = {_MAX_AGE_MS}\n'
        for name, value in INPUTS.items()
    ]
    parts.append(f'[class.{ACTION_CLASS}]\ngated = true\non_unavailable = "hold"\nmax_valid_ms = {VALID_MS}\n')
    for number, (effect, condition) in enumerate(CLAUSES):
        more = 'deviate_to = "half the speed"\n' if effect == "deviate" else ""
        parts.append(
            f'[[clause]]\nid = "clause-{number}"\neffect = "{effect}"\nreason = "limit_{number}"\n'
            f"when = '''{condition}'''\n{more}"
        )
    return "".join(parts)


def _observed(ground: Ground, name: str, now_ns: int) -> dict[str, Any]:
    says = Observation(name, INPUTS[name], None, None, time.time_ns(), now_ns, 1, None, ground.observer_credential)
    return {"name": name, observation.CLAIM: observation.make(says, ground.observer)}


def _install(client: Recorder, kind: Kind, claim: str, raw: bytes) -> None:
    client.append(kind, body={claim: raw}, control=[sha256(raw).digest()])
