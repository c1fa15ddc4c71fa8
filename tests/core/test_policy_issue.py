"""Who may sign a policy: a root, or an authority whose scope names its classes; and when it is in force, to the nanosecond."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from recorder.core import policy
from recorder.core.credential import Credential
from recorder.core.delegation import Moment
from recorder.core.matrix import Matrix
from recorder.core.policy import PolicyBundle
from recorder.core.policy_issue import Issued, judge
from tests.credential_builder import (
    ARM,
    BEGIN_S,
    DAY_S,
    DEPOT,
    EVERYTHING,
    NS,
    ROOT,
    at,
    delegated,
    from_root,
    issued,
    recognised,
    rescoped,
    signer,
    terms,
)
from tests.policies import small

POLICY = replace(small(), nbf=BEGIN_S, exp=BEGIN_S + DAY_S)
CHIEF = from_root("chief", role="authority", scope=EVERYTHING)


def bundle(by: str, issuer: Credential | None = None, **changed: Any) -> PolicyBundle:
    """The policy, signed by the key of this name."""
    said = replace(POLICY, issuer=issuer and issuer.hash, **changed)
    return policy.read(policy.sign(said, signer(by)))


def judged(
    found: PolicyBundle, *pool: Credential, matrix: Matrix | None = None, moment: Moment | None = None, **known: Any
) -> Issued:
    return judge(found, {one.hash: one for one in pool}, matrix, [ROOT], known.get("revocations", {}), moment or at())


def errors(found: Issued) -> list[str]:
    return [reason.error for reason in found.reasons]


def test_a_root_signs() -> None:
    """A root needs no credential, and is named."""
    assert judged(bundle(ROOT.name)) == ("valid", (), ROOT.name)


def test_an_authority_signs() -> None:
    """An authority of a root, or of a recognised issuer, signs what its scope names."""
    assert judged(bundle("chief", CHIEF), CHIEF) == ("valid", (), "chief")
    wide = rescoped(EVERYTHING, roles=frozenset({"authority"}), delegations=3)
    matrix = recognised((DEPOT, wide))
    site = issued(DEPOT, terms("site", DEPOT, "authority", rescoped(wide, delegations=1)))
    assert judged(bundle("site", site), site, matrix=matrix).verdict == "valid"
    assert errors(judged(bundle("site", site), site)) == ["issuer_unknown"]


@pytest.mark.parametrize("by", ["mallory", "chief"])
def test_no_root_signed(by: str) -> None:
    """A bundle that names no credential and that no root signed is invalid, also where an authority did."""
    found = judged(bundle(by), CHIEF)
    assert (found.verdict, errors(found), found.by) == ("invalid", ["policy_signature"], None)


def test_the_credential_is_unknown_or_of_another_key() -> None:
    """The bundle names its credential by hash, and that one's key must have signed."""
    assert errors(judged(bundle("chief", CHIEF))) == ["parent_unknown"]
    assert errors(judged(bundle("mallory", CHIEF), CHIEF)) == ["policy_signature"]
    assert errors(judged(bundle(ROOT.name, CHIEF), CHIEF)) == ["policy_signature"]


def test_a_wrong_role() -> None:
    """An operator signs no policy, however wide its scope."""
    ann = from_root("ann", role="operator", scope=rescoped(EVERYTHING, roles=frozenset()))
    assert errors(judged(bundle("ann", ann), ann)) == ["role_mismatch"]


def test_classes_beyond_the_scope() -> None:
    """Each class of the bundle lies in the issuer's scope, one that is not gated too."""
    narrow = from_root("site", role="authority", scope=ARM)
    found = judged(bundle("site", narrow), narrow)
    assert errors(found) == ["policy_scope"]
    assert found.reasons[0].detail == "site has no say over braking"
    wide = from_root("site", role="authority", scope=rescoped(ARM, action_classes=frozenset({"motion", "braking"})))
    assert judged(bundle("site", wide), wide).verdict == "valid"


def test_the_issuers_chain_counts() -> None:
    """A revoked, expired or wider link above makes the bundle invalid; a revocation acts from its seq."""
    found = bundle("chief", CHIEF)
    assert errors(judged(found, CHIEF, revocations={CHIEF.hash: 5}, moment=at(seq=5))) == ["credential_revoked"]
    assert judged(found, CHIEF, revocations={CHIEF.hash: 5}, moment=at(seq=4)).verdict == "valid"
    old = from_root("old", role="authority", scope=EVERYTHING, expires_s=BEGIN_S + 1)
    assert errors(judged(bundle("old", old), old)) == ["credential_expired"]
    sub = delegated(old, "sub", scope=rescoped(EVERYTHING, delegations=15))
    assert set(errors(judged(bundle("sub", sub), sub, old))) == {
        "delegation_depth",
        "delegation_validity",
        "credential_expired",
    }


@pytest.mark.parametrize(
    ("moment", "verdict", "names"),
    [
        (Moment(BEGIN_S * NS, BEGIN_S * NS, 0), "valid", []),
        (Moment(BEGIN_S * NS - 1, BEGIN_S * NS - 1, 0), "invalid", ["policy_early"]),
        (Moment((BEGIN_S + DAY_S) * NS - 1, (BEGIN_S + DAY_S) * NS - 1, 0), "valid", []),
        (Moment((BEGIN_S + DAY_S) * NS, (BEGIN_S + DAY_S) * NS, 0), "invalid", ["policy_expired"]),
        (Moment(BEGIN_S * NS, (BEGIN_S + DAY_S) * NS, 0), "indeterminate", ["policy_expired"]),
        (Moment(BEGIN_S * NS - 1, BEGIN_S * NS, 0), "indeterminate", ["policy_early"]),
        (Moment(BEGIN_S * NS, None, 0), "indeterminate", ["policy_expired"]),
        (Moment(None, BEGIN_S * NS, 0), "indeterminate", ["policy_early"]),
        (Moment(None, None, 0), "indeterminate", ["policy_expired", "policy_early"]),
    ],
)
def test_when_it_is_in_force(moment: Moment, verdict: str, names: list[str]) -> None:
    """From nbf on and not from exp; what the bounds of the moment leave open is indeterminate."""
    found = judged(bundle(ROOT.name), moment=moment)
    assert (found.verdict, errors(found)) == (verdict, names)


def test_an_open_bundle_under_an_open_credential() -> None:
    """What is open of the bundle and of its issuer's credential is told of both; what is invalid goes before."""
    found = judged(bundle("chief", CHIEF), CHIEF, moment=Moment(BEGIN_S * NS, None, 0))
    assert (found.verdict, errors(found)) == ("indeterminate", ["policy_expired", "credential_expired"])
    found = judged(bundle("chief", CHIEF, exp=BEGIN_S + 1), CHIEF, moment=Moment((BEGIN_S + 1) * NS, None, 0))
    assert (found.verdict, errors(found)) == ("invalid", ["policy_expired"])
