"""Chains of credentials: what each rule refuses, and what one is worth at a moment, to the nanosecond."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.core import sign1
from recorder.core.credential import Credential, read
from recorder.core.delegation import LINKS_MAX, Moment, judge, require_role, same_serial, stand, trace
from recorder.core.errors import FormatError
from recorder.core.scope import Counts, Scope
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
    errors,
    from_root,
    issued,
    recognised,
    rescoped,
    signer,
    standing,
    terms,
)

OPERATORS = rescoped(ARM, counts=None, delegations=3, roles=frozenset({"operator"}))
DEPOT_MATRIX = recognised((DEPOT, OPERATORS))
ANN = issued(DEPOT, terms("ann", DEPOT))
BOB = delegated(ANN, "bob")
END_S = BEGIN_S + DAY_S


def test_a_chain_of_two_below_a_recognised_issuer() -> None:
    """A delegation of what a recognised issuer granted is valid, and its path leads to that issuer."""
    found = standing(ANN, BOB, recognising=DEPOT_MATRIX)
    assert (found.verdict, found.reasons) == ("valid", ())
    assert found.chain.links == (BOB, ANN)
    assert found.chain.anchor == (DEPOT, signer(DEPOT).public_key, OPERATORS)


def test_what_a_root_signed() -> None:
    """A root is bound by nothing, and needs no matrix."""
    wide = from_root("chief", role="authority", scope=EVERYTHING)
    found = standing(wide)
    assert (found.verdict, found.chain.anchor) == ("valid", (ROOT.name, ROOT.public_key, None))


def test_below_an_authority() -> None:
    """An authority issues the roles that its scope lists, within its scope."""
    chief = from_root("chief", role="authority", scope=EVERYTHING)
    assert standing(chief, delegated(chief, "ann", role="operator", scope=ARM)).verdict == "valid"
    sub = delegated(chief, "depot", scope=rescoped(EVERYTHING, delegations=14, roles=frozenset({"operator"})))
    assert standing(chief, sub).verdict == "valid"
    refused = delegated(sub, "arm", role="platform", scope=ARM)
    assert errors(standing(chief, sub, refused)) == ["delegation_role"]


def test_an_unknown_root() -> None:
    """What a key signed that neither trust file nor matrix names is invalid, whatever it says."""
    found = standing(issued("mallory", terms("ann", ROOT.name)))
    assert (found.verdict, errors(found), found.chain.anchor) == ("invalid", ["issuer_unknown"], None)
    assert errors(standing(ANN)) == ["issuer_unknown"]
    assert errors(standing(ANN, recognising=recognised(("other", OPERATORS)))) == ["issuer_unknown"]


def resigned(by: str, credential: Credential) -> Credential:
    """The credential with the signature of another key under the same kid."""
    raw = credential.signed.raw
    other = sign1.sign(signer(by), sign1.CREDENTIAL, credential.signed.payload)
    return read(raw[:-64] + other[-64:])


def test_a_signature_that_does_not_hold() -> None:
    """The kid of a root, of a recognised issuer or of the parent is not enough."""
    for forged, above in (
        (resigned("mallory", from_root("ann")), []),
        (resigned("mallory", ANN), []),
        (resigned("ann's thief", BOB), [ANN]),
    ):
        found = standing(*above, forged, recognising=DEPOT_MATRIX)
        assert (found.verdict, errors(found), found.chain.anchor) == ("invalid", ["credential_signature"], None)


def test_signed_by_another_than_the_parent() -> None:
    """A link has to be signed by the key of the very parent that it names, even where a root would have signed."""
    by_root = issued(ROOT.name, terms("bob", "ann", delegated_from=ANN.hash))
    assert errors(standing(ANN, by_root, recognising=DEPOT_MATRIX)) == ["issuer_mismatch"]
    misnamed = delegated(ANN, "bob", issuer="anne")
    assert errors(standing(ANN, misnamed, recognising=DEPOT_MATRIX)) == ["issuer_mismatch"]
    assert errors(standing(issued(DEPOT, terms("ann", "another depot")), recognising=DEPOT_MATRIX)) == [
        "issuer_mismatch"
    ]


def test_a_parent_that_is_not_there() -> None:
    """Without the parent nothing is known of who stands behind a credential."""
    found = standing(BOB, recognising=DEPOT_MATRIX)
    assert (found.verdict, errors(found)) == ("invalid", ["parent_unknown"])


def test_nothing_above_an_unsigned_link_is_looked_at() -> None:
    """Where the parent's signature does not hold, its own claims lead no further."""
    forged = resigned("mallory", BOB)
    carol = delegated(forged, "carol", by="bob")
    found = standing(ANN, forged, carol, recognising=DEPOT_MATRIX)
    assert errors(found) == ["credential_signature"]
    assert found.reasons[0].credential == forged.hash
    assert found.chain.links == (carol, forged)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"scope": rescoped(BOB.terms.scope, limits={"N": (0.0, 60.5)})}, "delegation_scope"),
        ({"scope": rescoped(BOB.terms.scope, counts=Counts(1001, 3600))}, "delegation_scope"),
        ({"scope": rescoped(BOB.terms.scope, counts=None)}, "delegation_scope"),
        ({"role": "technician"}, "delegation_role"),
        ({"scope": rescoped(BOB.terms.scope, delegations=2)}, "delegation_depth"),
        ({"expires_s": END_S + 1}, "delegation_validity"),
        ({"not_before_s": BEGIN_S - 1}, "delegation_validity"),
    ],
)
def test_beyond_the_parent(changed: dict[str, Any], error: str) -> None:
    """A link that goes beyond its parent in scope, budget, role, depth or validity is invalid, and so is all below it."""
    beyond = delegated(ANN, "bob", **changed)
    found = standing(ANN, beyond, recognising=DEPOT_MATRIX)
    assert (found.verdict, errors(found)) == ("invalid", [error])
    carol = delegated(beyond, "carol", scope=Scope(), expires_s=END_S, not_before_s=BEGIN_S)
    below = standing(ANN, beyond, carol, recognising=DEPOT_MATRIX)
    assert error in errors(below)
    assert below.verdict == "invalid"


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"role": "platform"}, "delegation_role"),
        ({"role": "authority"}, "delegation_role"),
        ({"scope": rescoped(ARM, actuators="any")}, "delegation_scope"),
        ({"scope": rescoped(ARM, delegations=3)}, "delegation_depth"),
    ],
)
def test_beyond_a_recognised_issuer(changed: dict[str, Any], error: str) -> None:
    """A recognised issuer is bound by what the matrix says of it."""
    found = standing(issued(DEPOT, terms("ann", DEPOT, **changed)), recognising=DEPOT_MATRIX)
    assert (found.verdict, errors(found)) == ("invalid", [error])


def chain_of(links: int) -> list[Credential]:
    """As many links as that, the first by the root."""
    made = [from_root("link 1", scope=rescoped(ARM, delegations=15))]
    while len(made) < links:
        made.append(delegated(made[-1], f"link {len(made) + 1}"))
    return made


def test_the_longest_chain() -> None:
    """Sixteen links are valid; the seventeenth is one too many, and the search ends there."""
    assert standing(*chain_of(LINKS_MAX)).verdict == "valid"
    found = standing(*chain_of(LINKS_MAX + 1))
    assert (found.verdict, set(errors(found))) == ("invalid", {"delegation_depth"})
    assert len(found.chain.links) == LINKS_MAX
    assert len(standing(*chain_of(40)).chain.links) == LINKS_MAX


def test_a_pool_that_goes_in_a_circle() -> None:
    """Even a pool under wrong hashes, in which a credential stands above itself, has an end."""
    own = issued("ann", terms("ann", "ann", delegated_from=bytes(32)))
    found = judge(own, {bytes(32): own}, None, [ROOT], {}, at())
    assert found.verdict == "invalid"
    assert "delegation_depth" in errors(found)


# --- Time


@pytest.mark.parametrize(
    ("earliest", "latest", "verdict", "error"),
    [
        (BEGIN_S * NS, BEGIN_S * NS, "valid", None),
        (BEGIN_S * NS - 1, BEGIN_S * NS - 1, "invalid", "credential_early"),
        (BEGIN_S * NS - 1, BEGIN_S * NS, "indeterminate", "credential_early"),
        (END_S * NS - 1, END_S * NS - 1, "valid", None),
        (END_S * NS, END_S * NS, "invalid", "credential_expired"),
        (END_S * NS - 1, END_S * NS, "indeterminate", "credential_expired"),
        (BEGIN_S * NS, END_S * NS - 1, "valid", None),
        (END_S * NS, None, "invalid", "credential_expired"),
        (END_S * NS - 1, None, "indeterminate", "credential_expired"),
        (BEGIN_S * NS, None, "indeterminate", "credential_expired"),
        (None, BEGIN_S * NS - 1, "invalid", "credential_early"),
        (None, BEGIN_S * NS, "indeterminate", "credential_early"),
        (None, END_S * NS - 1, "indeterminate", "credential_early"),
    ],
)
def test_time_to_the_nanosecond(earliest: int | None, latest: int | None, verdict: str, error: str | None) -> None:
    """Valid from nbf on and until one nanosecond before exp; indeterminate where the bounds lie on both sides."""
    found = standing(from_root("ann"), moment=Moment(earliest, latest, 0))
    assert (found.verdict, errors(found)) == (verdict, [error] if error else [])


def test_no_bounds_at_all() -> None:
    """Where nothing is known of the time, both ends are open."""
    found = standing(from_root("ann"), moment=Moment(None, None, 0))
    assert (found.verdict, errors(found)) == ("indeterminate", ["credential_expired", "credential_early"])


def test_the_parents_time_counts() -> None:
    """A child outlives no parent: with the parent expired it is invalid, though its own dates are right."""
    ann = from_root("ann", expires_s=BEGIN_S + 10)
    bob = delegated(ann, "bob", expires_s=BEGIN_S + 20)
    assert set(errors(standing(ann, bob, moment=at(BEGIN_S + 15)))) == {"delegation_validity", "credential_expired"}


moments = st.none() | st.integers((BEGIN_S - 2) * NS, (END_S + 2) * NS) | st.sampled_from([BEGIN_S * NS, END_S * NS])


@given(moments, moments, st.lists(st.integers(0, 100), min_size=1, max_size=3))
def test_indeterminate_means_both(earliest: int | None, latest: int | None, parts: list[int]) -> None:
    """What bounds leave valid is so at each instant between them, what they leave invalid at none."""
    if earliest is not None and latest is not None and earliest > latest:
        earliest, latest = latest, earliest
    chain = trace(from_root("ann"), {}, None, [ROOT])
    verdict = stand(chain, {}, Moment(earliest, latest, 0)).verdict
    low = (BEGIN_S - 5) * NS if earliest is None else earliest
    high = (END_S + 5) * NS if latest is None else latest
    instants = [low, high, *(low + (high - low) * part // 100 for part in parts)]
    verdicts = {stand(chain, {}, Moment(instant, instant, 0)).verdict for instant in instants}
    assert "indeterminate" not in verdicts
    if verdict != "indeterminate":
        assert verdicts == {verdict}


# --- Revocation


@pytest.mark.parametrize("revoked", [ANN, BOB])
def test_revoked_from_a_seq_on(revoked: Credential) -> None:
    """A revocation acts from its own seq on and not before, on the credential and on all below it; clocks do not matter."""
    for seq, verdict in ((6, "valid"), (7, "invalid"), (8, "invalid"), (None, "invalid")):
        moment = at(BEGIN_S + 1, seq)
        found = standing(ANN, BOB, recognising=DEPOT_MATRIX, moment=moment, revocations={revoked.hash: 7})
        assert found.verdict == verdict, seq
        assert errors(found) == (["credential_revoked"] if verdict == "invalid" else [])
        assert all(reason.credential == revoked.hash for reason in found.reasons)


def test_a_revoked_child_leaves_its_parent() -> None:
    """What stands above a revoked credential is as valid as before."""
    assert standing(ANN, recognising=DEPOT_MATRIX, revocations={BOB.hash: 0}).verdict == "valid"


def test_a_clock_set_back_to_before_the_revocation() -> None:
    """An earlier clock reading after the revocation's entry does not bring the credential back."""
    found = standing(from_root("ann"), moment=at(BEGIN_S, seq=9), revocations={from_root("ann").hash: 7})
    assert errors(found) == ["credential_revoked"]


# --- Use, serials


def test_the_wrong_role() -> None:
    """A credential of one role is refused where another one is asked for, and taken where its own is among those asked."""
    require_role(ANN, "operator")
    require_role(ANN, "evaluator", "operator")
    with pytest.raises(FormatError, match=r"role_mismatch: .*\(ann\) has the role operator, not evaluator or platform"):
        require_role(ANN, "evaluator", "platform")


def test_issued_again_under_the_same_serial() -> None:
    """More scope under a known serial is another credential: children of the first gain nothing, and both are reported."""
    narrow = from_root("ann", scope=rescoped(ARM, limits={"N": (0, 10)}))
    wide = from_root("ann", scope=ARM)
    assert narrow.terms.serial == wide.terms.serial
    child = delegated(narrow, "bob", scope=rescoped(narrow.terms.scope, limits={"N": (0, 50)}, delegations=0))
    assert errors(standing(wide, narrow, child)) == ["delegation_scope"]
    assert errors(standing(wide, child)) == ["parent_unknown"]
    assert standing(narrow).verdict == standing(wide).verdict == "valid"
    assert same_serial([narrow, wide, child, narrow]) == [tuple(sorted((narrow.hash, wide.hash)))]
    elsewhere = issued(DEPOT, terms("ann", DEPOT, serial=narrow.terms.serial))
    assert same_serial([narrow, elsewhere, narrow]) == []
