"""What a recorder knows of authority: what may be installed, what it changes, and that a start makes it again."""

from __future__ import annotations

import pytest

from recorder.core import delegation, matrix, revocation
from recorder.core.credential import Credential
from recorder.core.delegation import Moment
from recorder.core.errors import FormatError
from recorder.core.matrix import Issuer
from recorder.core.note import ED25519, VerifierKey
from recorder.core.revocation import Revoked
from recorder.gate import authorities
from recorder.gate.authorities import Authorities
from tests.credential_builder import (
    ARM,
    BEGIN_S,
    DAY_S,
    DEPOT,
    EVERYTHING,
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

ANN = from_root("ann")
BOB = delegated(ANN, "bob")
CLEO = delegated(BOB, "cleo")
OF_DEPOT = issued(DEPOT, terms("dan", DEPOT))
MATRIX = recognised((DEPOT, EVERYTHING), version=2)


def known(*credentials: Credential) -> Authorities:
    found = Authorities([ROOT])
    for one in credentials:
        found.add(found.judge_credential(one.signed.raw))
    return found


def listed(by: str, *revoked: Credential) -> bytes:
    return revocation.make(1, [Revoked(one.hash, BEGIN_S, "lost") for one in revoked], signer(by))


def refused(call: object, *arguments: object) -> str:
    with pytest.raises(FormatError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.error


def test_a_chain_stands_up_to_its_root() -> None:
    """A credential that was installed with those above it is worth what the format says, at the moment that is asked for."""
    found = known(ANN, BOB, CLEO)
    assert [link.hash for link in found.chain(CLEO.hash).links] == [CLEO.hash, BOB.hash, ANN.hash]
    assert found.standing(CLEO.hash, at(BEGIN_S)).verdict == "valid"
    ends_ns = (BEGIN_S + DAY_S) * 10**9
    last = at()._replace(earliest_utc_ns=ends_ns - 1, latest_utc_ns=ends_ns - 1)
    assert found.standing(CLEO.hash, last).verdict == "valid"
    over = last._replace(earliest_utc_ns=ends_ns, latest_utc_ns=ends_ns)
    assert found.standing(CLEO.hash, over).verdict == "invalid"
    assert refused(found.standing, bytes(32), at()) == "parent_unknown"


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (ANN.signed.raw[:-1], "credential_malformed"),
        (CLEO.signed.raw, "parent_unknown"),
        (OF_DEPOT.signed.raw, "issuer_unknown"),
        (issued("mallory", terms("mallory", "mallory")).signed.raw, "issuer_unknown"),
        (issued("mallory", terms("mallory", "ann", delegated_from=ANN.hash)).signed.raw, "issuer_mismatch"),
        (ANN.signed.raw[:-1] + bytes([ANN.signed.raw[-1] ^ 1]), "credential_signature"),
        (delegated(ANN, "bob", scope=rescoped(ARM, action_classes="any", delegations=1)).signed.raw, "delegation_scope"),
        (delegated(ANN, "bob", scope=ARM).signed.raw, "delegation_depth"),
        (delegated(ANN, "bob", role="platform").signed.raw, "delegation_role"),
        (delegated(ANN, "bob", expires_s=BEGIN_S + DAY_S + 1).signed.raw, "delegation_validity"),
    ],
)  # fmt: skip
def test_credentials_that_are_not_installed(raw: bytes, error: str) -> None:
    """One that cannot be read, hangs in the air, or is wider than the one above it is refused, under its name."""
    found = known(ANN)
    assert refused(found.judge_credential, raw) == error
    assert set(found.pool) == {ANN.hash}


def test_a_recognised_intermediate_issues() -> None:
    """Once a matrix names it, what it issues stands; and no longer once another matrix leaves it out."""
    found = known()
    found.recognise(found.judge_matrix(MATRIX.raw))
    found.add(found.judge_credential(OF_DEPOT.signed.raw))
    assert found.standing(OF_DEPOT.hash, at()).verdict == "valid"
    found.recognise(found.judge_matrix(recognised(version=3).raw))
    standing = found.standing(OF_DEPOT.hash, at())
    assert [reason.error for reason in standing.reasons] == ["issuer_unknown"]


def test_matrices_that_are_not_installed() -> None:
    """One that no root signed, an older one, another one of the same version, and one that cannot be read."""
    found = known()
    found.recognise(found.judge_matrix(MATRIX.raw))
    assert found.judge_matrix(MATRIX.raw).hash == MATRIX.hash
    assert refused(found.judge_matrix, recognised((DEPOT, EVERYTHING)).raw) == "matrix_version"
    assert refused(found.judge_matrix, recognised(version=2).raw) == "matrix_version"
    foreign = matrix.issue(3, BEGIN_S, [Issuer(bytes(32), "x", ARM)], signer("mallory"))
    assert refused(found.judge_matrix, foreign) == "matrix_signature"
    assert refused(found.judge_matrix, b"") == "matrix_malformed"


def test_revocation_acts_from_its_entry() -> None:
    """On the credential and on all that stands on it, from the seq of the entry on, not before; the earliest counts."""
    found = known(ANN, BOB, CLEO)
    assert found.standing(CLEO.hash, at()).verdict == "valid"
    keys = found.judge_revocation(listed("ann", BOB))
    assert keys == {BOB.hash}
    found.revoke(keys, 10)
    found.revoke(keys, 20)
    assert found.revoked(CLEO.hash).keys() == {BOB.hash}
    assert found.revoked(ANN.hash) == {}
    for seq, verdict in ((9, "valid"), (10, "invalid"), (15, "invalid")):
        assert found.standing(CLEO.hash, at(seq=seq)).verdict == verdict
        assert found.standing(ANN.hash, at(seq=seq)).verdict == "valid"


def test_who_may_revoke() -> None:
    """A root and those above a credential; not the credential itself, nor who stands beside it, nor anyone unknown."""
    found = known(ANN, BOB, CLEO, from_root("eve"))
    for by, acts in (("ann", True), (ROOT.name, True), ("bob", False), ("cleo", False), ("eve", False)):
        keys = found.judge_revocation(listed(by, BOB))
        again = known(ANN, BOB, CLEO, from_root("eve"))
        again.revoke(keys, 5)
        assert again.revoked(BOB.hash).keys() == ({BOB.hash} if acts else set()), by
    assert refused(found.judge_revocation, listed("mallory", BOB)) == "issuer_unknown"
    assert refused(found.judge_revocation, b"") == "revocation_malformed"


def test_revocation_may_come_before_the_credential() -> None:
    """It does not matter which came first: a list acts on what is installed later, if its signer stands above that."""
    assert known(ANN).judge_revocation(listed(ROOT.name, BOB)) == {BOB.hash}
    for by in (ROOT.name, "ann"):
        found = known(ANN)
        found.revoke(found.judge_revocation(listed(by, BOB)), 5)
        found.add(found.judge_credential(BOB.signed.raw))
        assert found.standing(BOB.hash, at(seq=5)).verdict == "invalid"
        assert found.standing(BOB.hash, at(seq=4)).verdict == "valid"
    other = delegated(from_root("eve"), "bob")
    found = known(ANN, from_root("eve"))
    found.revoke(found.judge_revocation(listed("ann", other)), 5)
    found.add(found.judge_credential(other.signed.raw))
    assert found.standing(other.hash, at(seq=5)).verdict == "valid"


def test_the_same_serial_is_another_credential() -> None:
    """With more scope under the serial of one that is here it stands by itself: revoking the one leaves the other."""
    wide = issued(ROOT.name, terms("ann", ROOT.name, scope=rescoped(ARM, actuators="any")))
    assert wide.terms.serial == ANN.terms.serial
    found = known(ANN, wide)
    assert len(found.pool) == 2
    found.revoke(found.judge_revocation(listed(ROOT.name, wide)), 0)
    assert found.standing(ANN.hash, at()).verdict == "valid"
    assert found.standing(wide.hash, at()).verdict == "invalid"


def test_what_was_missing_may_come() -> None:
    """A credential whose parent was not here at a start stands once that is."""
    found = Authorities.restore([ROOT], [BOB.signed.raw], None, {})
    assert [reason.error for reason in found.standing(BOB.hash, at()).reasons] == ["parent_unknown"]
    found.add(found.judge_credential(ANN.signed.raw))
    assert found.standing(BOB.hash, at()).verdict == "valid"


def test_there_is_so_much_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials and revocations are bounded; what is here already needs no room."""
    monkeypatch.setattr(authorities, "CREDENTIALS_MAX", 2)
    monkeypatch.setattr(authorities, "REVOCATIONS_MAX", 2)
    found = known(ANN, BOB)
    assert refused(found.judge_credential, CLEO.signed.raw) == "credentials_full"
    assert found.judge_credential(BOB.signed.raw) == BOB
    found.revoke(found.judge_revocation(listed(ROOT.name, ANN, BOB)), 3)
    assert refused(found.judge_revocation, listed(ROOT.name, CLEO)) == "revocations_full"
    assert found.judge_revocation(listed(ROOT.name, BOB)) == {BOB.hash}


def test_a_start_makes_the_same() -> None:
    """From the raw bytes alone; under another trust file what hung on the old root hangs in the air."""
    found = known()
    found.recognise(found.judge_matrix(MATRIX.raw))
    for one in (ANN, BOB, OF_DEPOT):
        found.add(found.judge_credential(one.signed.raw))
    found.revoke(found.judge_revocation(listed("ann", BOB, CLEO)), 7)
    raws = [one.signed.raw for one in found.pool.values()]
    again = Authorities.restore([ROOT], raws, MATRIX.raw, found.revocations)
    for authority in (found, again):
        authority.add(authority.judge_credential(CLEO.signed.raw))
        assert authority.revoked(CLEO.hash).keys() == {BOB.hash, CLEO.hash}
        assert authority.standing(OF_DEPOT.hash, at()).verdict == "valid"
    elsewhere = VerifierKey.derive("other/root", ED25519, signer("other/root").public_key)
    moved = Authorities.restore([elsewhere], raws, None, {})
    assert [reason.error for reason in moved.standing(BOB.hash, at()).reasons] == ["issuer_unknown"]
    assert refused(Authorities.restore, [elsewhere], raws, MATRIX.raw, {}) == "matrix_signature"


TURNS_S = (BEGIN_S, BEGIN_S + 10, BEGIN_S + DAY_S - 10, BEGIN_S + DAY_S)
EDGES_NS = (None, *(turn * 10**9 + by for turn in TURNS_S for by in (-1, 0, 1)))


@pytest.mark.parametrize("order", [1, -1])
def test_a_standing_is_what_it_is_at_each_moment(order: int) -> None:
    """What is remembered of one moment is given at another only where nothing lies between them."""
    shorter = delegated(ANN, "eve", not_before_s=BEGIN_S + 10, expires_s=BEGIN_S + DAY_S - 10)
    found = known(ANN, BOB, CLEO, shorter)
    moments = [
        Moment(earliest, latest, 0)
        for earliest in EDGES_NS
        for latest in EDGES_NS
        if earliest is None or latest is None or earliest <= latest
    ]
    for hash_ in (CLEO.hash, shorter.hash):
        chain = found.chain(hash_)
        for moment in moments[::order]:
            assert found.standing(hash_, moment) == delegation.stand(chain, {}, moment), moment
