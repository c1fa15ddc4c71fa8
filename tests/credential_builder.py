"""A fleet's authority with fixed keys: a root, a recognised intermediate, and credentials that one change breaks."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from recorder.core import credential, matrix
from recorder.core.credential import Credential, Terms
from recorder.core.delegation import Moment, Standing, judge
from recorder.core.keys import SeedSigner
from recorder.core.matrix import Issuer, Matrix
from recorder.core.note import ED25519, VerifierKey
from recorder.core.scope import Area, Counts, Role, Scope, Times

BEGIN_S = 1_760_000_000  # 2025-10-09, a Thursday, 08:53:20 UTC
DAY_S = 86_400
NS = 1_000_000_000


def signer(name: str) -> SeedSigner:
    """The key of this name."""
    return SeedSigner(sha256(name.encode()).digest())


ROOT = VerifierKey.derive("acme/root", ED25519, signer("acme/root").public_key)
DEPOT = "acme depot"

EVERYTHING = Scope("any", "any", "any", "any", "any", None, 15, frozenset({"operator", "platform", "authority"}))
ARM = Scope(
    action_classes=frozenset({"motion", "grip"}),
    actuators=frozenset({"shoulder", "elbow", "gripper"}),
    limits={"N": (0.0, 60.0), "m/s": (0, 1.5), "none": (0, 0)},
    areas=frozenset({Area("cell", (-1.0, -1.0, 0.0), (1.0, 1.0, 2.0)), Area("map", (0, 0, 0), (30, 20, 3))}),
    times=frozenset({Times(6 * 3600, 22 * 3600, 0b0011111), Times(8 * 3600, 14 * 3600, 0b1000000)}),
    counts=Counts(1000, 3600),
    delegations=2,
)


def terms(name: str, issuer: str, role: Role = "operator", scope: Scope = ARM, **changed: Any) -> Terms:
    """What a credential for the key of this name says, valid for a day."""
    said = Terms(
        issuer=issuer,
        subject=name,
        expires_s=BEGIN_S + DAY_S,
        not_before_s=BEGIN_S,
        issued_s=BEGIN_S - 60,
        serial=sha256(f"{name} of {issuer}".encode()).digest()[:16],
        key=signer(name).public_key,
        role=role,
        scope=scope,
        delegated_from=None,
    )
    return said._replace(**changed)


def issued(by: str, said: Terms) -> Credential:
    """A credential signed by the key of this name."""
    return credential.read(credential.issue(said, signer(by)))


def from_root(name: str, **changed: Any) -> Credential:
    """A credential that the root signed."""
    return issued(ROOT.name, terms(name, ROOT.name, **changed))


def delegated(parent: Credential, name: str, by: str | None = None, **changed: Any) -> Credential:
    """A credential that the subject of another one signed, within it unless something is changed."""
    above = parent.terms
    narrowed = rescoped(above.scope, delegations=max(0, above.scope.delegations - 1))
    said = {"role": above.role, "scope": narrowed, "delegated_from": parent.hash, **changed}
    return issued(by or above.subject, terms(name, said.pop("issuer", above.subject), **said))


def rescoped(scope: Scope, **changed: Any) -> Scope:
    """A scope with some parts changed."""
    return replace(scope, **changed)


def recognised(*scopes: tuple[str, Scope], version: int = 1, by: str = ROOT.name) -> Matrix:
    """A matrix of intermediates by name, signed by the root."""
    raw = matrix.issue(version, BEGIN_S, [Issuer(signer(n).public_key, n, s) for n, s in scopes], signer(by))
    return matrix.read(raw, [ROOT])


def at(seconds: float = BEGIN_S + 1, seq: int | None = 0) -> Moment:
    """An instant that is known exactly."""
    return Moment(int(seconds * NS), int(seconds * NS), seq)


def standing(
    *links: Credential, recognising: Matrix | None = None, moment: Moment | None = None, **known: Any
) -> Standing:
    """What the last of these credentials is worth; the ones before it are the pool."""
    pool = {link.hash: link for link in links[:-1]}
    return judge(links[-1], pool, recognising, [ROOT], known.get("revocations", {}), moment or at())


def errors(found: Standing) -> list[str]:
    """Names of the reasons, in order."""
    return [reason.error for reason in found.reasons]
