"""Broken lineages, steps 1, 8 and 9: credentials, delegations, policies, budgets, and what was decided."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from recorder.core import cbor, matrix, observation, policy, sign1
from recorder.core.credential import Credential
from recorder.core.kinds import Kind
from recorder.core.observation import Observation
from recorder.core.scope import Counts
from recorder.core.sign1 import Use
from tests.credential_builder import (
    BEGIN_S,
    DAY_S,
    EVERYTHING,
    ROOT,
    delegated,
    from_root,
    issued,
    rescoped,
    signer,
    terms,
)  # fmt: skip
from tests.gated_builder import SCOPE, GatedBuilder, cell, evaluator
from tests.vectors.breaking import Broken, vector
from tests.vectors.credentials import forged

CHIEF = from_root("chief", role="authority", scope=EVERYTHING)


def bringing(**signed: bytes) -> Broken:
    """A lineage that is brought something it should have refused."""
    lineage = GatedBuilder().begin()
    return Broken(lineage, lineage.bring(**signed))


def under(*credentials: Credential, lineage: GatedBuilder | None = None) -> Broken:
    """A cycle under the last of these credentials."""
    lineage = lineage or GatedBuilder()
    lineage.ready(*credentials)
    return Broken(lineage, lineage.gated().carrier)


def below(**changed: Any) -> Broken:
    """A cycle under a credential that an operator delegated."""
    lineage = GatedBuilder()
    ann = from_root("ann", scope=SCOPE)
    bob = delegated(ann, "bob", key=lineage.identity.public_key, **changed)
    return under(ann, bob, lineage=lineage)


def malformed(use: Use) -> bytes:
    """Signed, and not of this use's shape."""
    return sign1.sign(signer(ROOT.name), use, cbor.encode({"later": 1}))


def cycle_of(**changed: Any) -> Broken:
    lineage = GatedBuilder().ready()
    return Broken(lineage, lineage.gated(**changed).carrier)


def granted_with(**granting: Any) -> Broken:
    """A cycle that an evaluator granted otherwise than it was opened."""
    by = evaluator()
    lineage = GatedBuilder().ready()
    lineage.bring(credential=by.signed.raw)
    return Broken(lineage, lineage.gated(grant_by=by, granting=granting).carrier)


def govern(*policies: bytes) -> Broken:
    lineage = GatedBuilder().begin()
    return Broken(lineage, [lineage.policy(raw) for raw in policies][-1])


def signed(by: str = ROOT.name, **changed: Any) -> bytes:
    return policy.sign(cell(**changed), signer(by))


def observed_by(observer: Credential, by: str | None = None) -> bytes:
    """A force of 1 N, signed by the key of this name."""
    at_ns = BEGIN_S * 10**9
    says = Observation("force_n", 1.0, "N", None, at_ns, None, 1, None, observer.hash)
    return observation.make(says, signer(by or observer.terms.subject))


# --- 1 and 8: what is no such thing


@vector
def credential_malformed() -> Broken:
    return bringing(credential=malformed(sign1.CREDENTIAL))


@vector
def matrix_malformed() -> Broken:
    return bringing(matrix=malformed(sign1.MATRIX))


@vector
def revocation_malformed() -> Broken:
    return bringing(revocation=malformed(sign1.REVOCATION))


@vector
def policy_malformed() -> Broken:
    return govern(malformed(sign1.POLICY))


@vector
def grant_malformed() -> Broken:
    by = evaluator()
    lineage = GatedBuilder().ready()
    lineage.bring(credential=by.signed.raw)
    broken = malformed(sign1.GRANT)
    return Broken(lineage, lineage.gated(grant_by=by, lying=lambda why: why.update(grant=broken)).carrier)


@vector
def observation_malformed() -> Broken:
    return cycle_of(observed=malformed(sign1.OBSERVATION))


@vector
def credential_digest() -> Broken:
    lineage = GatedBuilder().begin()
    body = {"credential": CHIEF.signed.raw}
    return Broken(lineage, lineage.control(Kind.CREDENTIAL, sha256(b"another").digest(), body=body))


# --- 9: matrix and revocations


@vector
def matrix_signature() -> Broken:
    return bringing(matrix=matrix.issue(1, BEGIN_S, [], signer("mallory")))


@vector
def matrix_version() -> Broken:
    lineage = GatedBuilder().begin()
    lineage.bring(matrix=matrix.issue(2, BEGIN_S, [], signer(ROOT.name)))
    return Broken(lineage, lineage.bring(matrix=matrix.issue(1, BEGIN_S, [], signer(ROOT.name))))


# --- 9: chains


@vector
def credential_signature() -> Broken:
    lineage = GatedBuilder()
    return under(forged(lineage.platform()), lineage=lineage)


@vector
def issuer_unknown() -> Broken:
    lineage = GatedBuilder()
    return under(lineage.platform(by="mallory"), lineage=lineage)


@vector
def issuer_mismatch() -> Broken:
    return below(issuer="mallory")


@vector
def parent_unknown() -> Broken:
    """The credential that stands above was never brought."""
    lineage = GatedBuilder()
    ann = from_root("ann", scope=SCOPE)
    return under(delegated(ann, "bob", key=lineage.identity.public_key), lineage=lineage)


@vector
def delegation_role() -> Broken:
    return below(role="platform")


@vector
def delegation_scope() -> Broken:
    """The child may do in a unit more than its parent."""
    return below(scope=rescoped(SCOPE, limits={"rad": (-1.5, 1.6)}, delegations=1))


@vector
def delegation_validity() -> Broken:
    return below(expires_s=BEGIN_S + DAY_S + 1)


@vector
def delegation_depth() -> Broken:
    return below(scope=SCOPE)


@vector
def credential_early() -> Broken:
    lineage = GatedBuilder()
    return under(lineage.platform(not_before_s=BEGIN_S + 60), lineage=lineage)


@vector
def credential_expired() -> Broken:
    """Opened at the instant at which it is over."""
    lineage = GatedBuilder().ready()
    lineage.clock.utc_ns = (BEGIN_S + DAY_S) * 10**9 + 50_000 - 10**6  # error and tick of the builder's clock
    lineage.clock.mono_ns += DAY_S * 10**9
    lineage.govern(cell(version=4, exp=BEGIN_S + 2 * DAY_S))
    lineage.clock.pass_ns(-(10**6))
    return Broken(lineage, lineage.gated().carrier)


@vector
def credential_revoked() -> Broken:
    """A commit after the entry that revokes, under a cycle opened before it."""
    lineage = GatedBuilder()
    held = lineage.platform()
    lineage.ready(held)
    cycle = lineage.gated()
    lineage.revoke(held)
    return Broken(lineage, lineage.commit(cycle))


@vector
def role_mismatch() -> Broken:
    lineage = GatedBuilder()
    return under(lineage.platform(role="inspector"), lineage=lineage)


# --- 9: policies


@vector
def policy_signature() -> Broken:
    return govern(signed("mallory"))


@vector
def policy_scope() -> Broken:
    """An authority over motion leaves braking ungated, over which it has no say."""
    chief = from_root("chief", role="authority", scope=rescoped(EVERYTHING, action_classes=frozenset({"motion"})))
    lineage = GatedBuilder().begin()
    lineage.bring(credential=chief.signed.raw)
    return Broken(lineage, lineage.policy(signed("chief", issuer=chief.hash)))


@vector
def policy_early() -> Broken:
    return govern(signed(nbf=BEGIN_S + 60))


@vector
def policy_expired() -> Broken:
    return govern(signed(nbf=BEGIN_S - 60, exp=BEGIN_S))


@vector
def policy_older() -> Broken:
    return govern(signed(version=3), signed(version=2))


# --- 9: delegations and budgets


@vector
def delegation_missing() -> Broken:
    lineage = GatedBuilder().begin()
    lineage.govern()
    return Broken(lineage, lineage.gated().carrier)


@vector
def delegation_holder() -> Broken:
    """Somebody else's delegation: nobody let this platform act."""
    return under(issued(ROOT.name, terms("arm-8", ROOT.name, role="platform", scope=SCOPE)))


@vector
def delegation_uncovered() -> Broken:
    return cycle_of(magnitude=-2.0)


@vector
def budget_exceeded() -> Broken:
    """The second of one commit."""
    lineage = GatedBuilder().ready(scope=rescoped(SCOPE, counts=Counts(1, 3600)))
    cycle = lineage.gated()
    lineage.commit(cycle)
    return Broken(lineage, lineage.commit(cycle))


# --- 9: what was decided, and what was done


@vector
def decision_missing() -> Broken:
    return cycle_of(lying=lambda why: why.pop("artefact"))


@vector
def class_mixed() -> Broken:
    return cycle_of(classes=("motion", "braking"))


@vector
def cycle_decision() -> Broken:
    lineage = GatedBuilder().ready()
    return Broken(lineage, lineage.commit(lineage.gated(), decision=2))


@vector
def verb_not_permitted() -> Broken:
    """Rows of a class that only commits one by one."""
    lineage = GatedBuilder().begin()
    lineage.hold(lineage.platform())
    said = cell()
    lineage.govern(cell(classes=said.classes | {"motion": replace(said.classes["motion"], verbs=["commit"])}))
    return Broken(lineage, lineage.rows(lineage.gated(), lineage.schema()))


@vector
def beyond_contemplated() -> Broken:
    """More than was decided about, and less than the delegation grants."""
    lineage = GatedBuilder().ready()
    cycle = lineage.gated()
    lineage.doing = {"magnitude": 0.51}
    return Broken(lineage, lineage.commit(cycle))


# --- 9: grants


@vector
def grant_signature() -> Broken:
    """Signed by one evaluator, in the name of another's credential."""
    one, other = evaluator(), evaluator("other")
    lineage = GatedBuilder().ready()
    lineage.bring(credential=one.signed.raw)
    lineage.bring(credential=other.signed.raw)
    return Broken(lineage, lineage.gated(grant_by=one, granting={"credential": other.hash}).carrier)


@vector
def grant_origin() -> Broken:
    return granted_with(origin="acme/arm-8/0123456789abcdef")


@vector
def grant_os_boot() -> Broken:
    """The grant of an earlier start of the machine."""
    return granted_with(os_boot=bytes(16))


@vector
def grant_expired() -> Broken:
    return granted_with(not_after_mono_ns=1)


@vector
def grant_beyond() -> Broken:
    return granted_with(max_commits=99)


@vector
def grant_inputs() -> Broken:
    """Other inputs than the evaluator saw."""
    return granted_with(inputs_hash=bytes(32))


@vector
def observation_signature() -> Broken:
    """An input that its observer signed as another value."""
    observer = from_root("lidar", role="inspector")
    lineage = GatedBuilder().ready()
    lineage.bring(credential=observer.signed.raw)
    return Broken(lineage, lineage.gated(force_n=2.0, observed=observed_by(observer)).carrier)


@vector
def observation_entry() -> Broken:
    """An input that names an observation entry, which says another value."""
    lineage = GatedBuilder().ready()
    seen = lineage.seen(body={"name": "force_n", "value": 2.0, "unit": "N"})
    return Broken(lineage, lineage.gated(seen=seen).carrier)


# --- 11


@vector
def replay_malformed() -> Broken:
    raw = cbor.encode(["lineage/replay/1"])
    return cycle_of(lying=lambda why: why.update(artefact=raw, replay=sha256(raw).digest()))


@vector
def replay_mismatch() -> Broken:
    """An input that was altered after the decision."""
    return cycle_of(lying=lambda why: why["inputs"][0].update(value=2.0))


@vector
def replay_differs() -> Broken:
    """A condition divides by zero, which denies; recorded as admitted."""

    def lie(why: dict[str, Any]) -> None:
        why["clauses"] = [one | {"truth": "true" if one["effect"] == "permit" else "false"} for one in why["clauses"]]
        why["reasons"] = ["allowed: clause allow"]

    return cycle_of(duration_ms=0, decision=0, lying=lie)
