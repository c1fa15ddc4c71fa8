"""An authority in a directory: what it issues verifies, what it revokes stays revoked, and no rotation leaves it half done."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recorder.authority import directory, holder
from recorder.authority.directory import Authority
from recorder.authority.errors import AuthorityError
from recorder.core import request, revocation
from recorder.core.credential import Credential
from recorder.core.delegation import Moment, judge, trace
from recorder.core.errors import FormatError, Misuse
from recorder.core.matrix import check_newer, read
from recorder.core.request import CredentialRequest
from recorder.core.scope import Role, Scope
from recorder.store.errors import StoreError
from tests.credential_builder import ARM, BEGIN_S, NS, rescoped, signer

SOON = Moment((BEGIN_S + 60) * NS, (BEGIN_S + 60) * NS, 0)
REVOKED = [bytes([n]) * 32 for n in range(8)]


@pytest.fixture
def acme(tmp_path: Path) -> Authority:
    return directory.make(tmp_path / "acme", "acme", BEGIN_S)


def asking(name: str, role: Role = "operator") -> CredentialRequest:
    return request.read(request.make(name, role, signer(name)))


def granted(authority: Authority, name: str = "ann", scope: Scope = ARM) -> Credential:
    return directory.issue(authority, asking(name), scope, 30, BEGIN_S)


def verdict(authority: Authority, credential: Credential, *, above: Credential | None = None) -> str:
    pool = {} if above is None else {above.hash: above}
    return judge(credential, pool, authority.matrix, authority.roots[-1:], {}, SOON).verdict


def test_what_it_issues_verifies(acme: Authority) -> None:
    """A credential is valid for whoever trusts the root and has the matrix, from a little before it was made; a copy is kept."""
    ann = granted(acme)
    assert verdict(acme, ann) == "valid"
    assert ann.terms.issued_s - ann.terms.not_before_s == 300
    assert ann.terms.expires_s - ann.terms.issued_s == 30 * 86_400
    assert directory.issued_by(directory.load(acme.path)) == {ann.hash: ann}
    assert granted(acme).terms.serial != ann.terms.serial


def test_keys_are_the_owners_alone(acme: Authority) -> None:
    """Private keys are 0600, and one that others can read is not used."""
    keys = sorted(acme.path.glob("*.key"))
    assert [(key.name, key.stat().st_mode & 0o777) for key in keys] == [("issuer-1.key", 0o600), ("root-1.key", 0o600)]
    keys[0].chmod(0o640)
    with pytest.raises(StoreError, match="others can read it"):
        granted(acme)


def test_the_root_can_be_away(acme: Authority) -> None:
    """Issuing needs no root; revoking and rotating the issuer say which file to bring, and change nothing."""
    (acme.path / "root-1.key").unlink()
    ann = granted(acme)
    for change in (
        lambda: directory.revoke(acme, [ann.hash], "lost", BEGIN_S),
        lambda: directory.rotate_issuer(acme, BEGIN_S, keep=True),
    ):
        with pytest.raises(AuthorityError, match=r"root-1.key is not here; bring it"):
            change()
    assert directory.load(acme.path) == acme
    assert directory.revocations(acme) is None
    (acme.path / "issuer-1.key").unlink()
    with pytest.raises(AuthorityError, match=r"issuer-1.key is not here"):
        granted(acme)


def test_another_key_under_the_name(acme: Authority) -> None:
    """A key file that was swapped signs nothing."""
    (acme.path / "issuer-1.key").write_text("lineage issuer key 1\n" + "A" * 43 + "=\n-\n")
    with pytest.raises(AuthorityError, match="holds another key than the matrix names"):
        granted(acme)


def test_beyond_what_the_issuer_may(acme: Authority) -> None:
    """What a verifier would refuse is not issued, and no copy of it is left."""
    with pytest.raises(AuthorityError, match="ann: delegation_depth"):
        granted(acme, scope=rescoped(ARM, delegations=15))
    with pytest.raises(AuthorityError, match="ann: a credential of role operator grants roles"):
        granted(acme, scope=rescoped(ARM, roles=frozenset({"operator"})))
    assert directory.issued_by(acme) == {}


def test_a_list_grows(acme: Authority) -> None:
    """Each revocation makes a list of a higher version, signed by the root, in which the earlier ones keep time and reason."""
    ann, bob = granted(acme), granted(acme, "bob")
    directory.revoke(acme, [ann.hash], "lost", BEGIN_S)
    listed = directory.revoke(acme, [bob.hash, ann.hash], "left the company", BEGIN_S + 60)
    assert listed == directory.revocations(acme)
    assert listed.version == 2
    said = {item.credential: (item.since_s, item.reason) for item in listed.revoked}
    assert said == {ann.hash: (BEGIN_S, "lost"), bob.hash: (BEGIN_S + 60, "left the company")}
    chain = trace(ann, {}, acme.matrix, acme.roots)
    assert revocation.may_revoke(listed, chain, acme.roots)


def test_two_that_revoke_at_once(acme: Authority) -> None:
    """No revocation is lost to another one that is made at the same time."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda hash_: directory.revoke(acme, [hash_], "lost", BEGIN_S), REVOKED))
    listed = directory.revocations(acme)
    assert listed is not None
    assert (listed.version, [item.credential for item in listed.revoked]) == (8, REVOKED)


def test_a_list_that_is_full(acme: Authority) -> None:
    """Revocations beyond the size of a list are refused, and the list stays as it was."""
    held = directory.revoke(acme, REVOKED, "lost", BEGIN_S)
    with pytest.raises(Misuse, match="over 49152"):
        directory.revoke(acme, [bytes([n]) * 32 for n in range(50, 150)], "x" * 1024, BEGIN_S)
    assert directory.revocations(acme) == held


def test_the_next_issuer(acme: Authority) -> None:
    """After a rotation the new issuer signs; what the old one signed stays valid unless it is dropped."""
    ann = granted(acme)
    kept = directory.rotate_issuer(acme, BEGIN_S, keep=True)
    assert kept.issuer.name == "acme/issuer-2"
    bob = granted(kept, "bob")
    assert bob.terms.issuer == "acme/issuer-2"
    assert (verdict(kept, ann), verdict(kept, bob)) == ("valid", "valid")
    assert verdict(acme, bob) == "invalid", "the matrix of before does not know the new one"
    dropped = directory.rotate_issuer(kept, BEGIN_S, keep=False)
    assert [issuer.name for issuer in dropped.matrix.issuers] == ["acme/issuer-3"]
    assert (verdict(dropped, ann), verdict(dropped, bob)) == ("invalid", "invalid")
    check_newer(dropped.matrix, kept.matrix)
    with pytest.raises(FormatError, match="matrix_version"):
        check_newer(kept.matrix, dropped.matrix)


def test_ten_issuers(acme: Authority) -> None:
    """The issuer in force is the one with the highest number, not the last by name."""
    for _ in range(10):
        acme = directory.rotate_issuer(acme, BEGIN_S, keep=True)
    assert acme.issuer.name == "acme/issuer-11"
    assert len(acme.matrix.issuers) == 11


def test_the_next_root(acme: Authority) -> None:
    """A new root signs matrix and list anew, the old root's key being neither needed nor trusted any more; credentials stay."""
    ann = granted(acme)
    directory.revoke(acme, REVOKED, "lost", BEGIN_S)
    (acme.path / "root-1.key").unlink()
    rotated = directory.rotate_root(acme, BEGIN_S)
    assert (rotated.matrix.root.name, rotated.matrix.version) == ("acme/root-2", 2)
    assert verdict(rotated, ann) == "valid"
    with pytest.raises(FormatError, match="matrix_signature"):
        read(rotated.matrix.raw, acme.roots)
    listed = directory.revocations(rotated)
    assert listed is not None
    assert [item.credential for item in listed.revoked] == REVOKED
    chain = trace(ann, {}, rotated.matrix, rotated.roots[-1:])
    assert revocation.may_revoke(listed, chain, rotated.roots[-1:])


def test_a_rotation_that_was_cut_short(acme: Authority) -> None:
    """With new keys but the old matrix, as a crash leaves them, nothing has changed, and the next rotation goes on with those keys."""
    before = acme.path.with_name("before")
    shutil.copytree(acme.path, before)
    issuer = directory.rotate_issuer(acme, BEGIN_S, keep=True).issuer
    root = directory.rotate_root(acme, BEGIN_S).matrix.root
    shutil.copy(before / directory.MATRIX, acme.path / directory.MATRIX)
    cut = directory.load(acme.path)
    assert (cut.matrix, cut.issuer.name) == (acme.matrix, "acme/issuer-1")
    assert verdict(acme, granted(cut)) == "valid"
    assert directory.rotate_issuer(cut, BEGIN_S, keep=True).issuer == issuer
    assert directory.rotate_root(cut, BEGIN_S).matrix.root == root


@pytest.mark.parametrize("name", ["", "a b", "a+b", "x" * 201, "a\n"])
def test_a_name_that_is_none(tmp_path: Path, name: str) -> None:
    """What cannot stand in a trust file is refused before anything is made."""
    with pytest.raises(AuthorityError, match="cannot be a name"):
        directory.make(tmp_path / "acme", name, BEGIN_S)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_made_over_what_is_there(acme: Authority) -> None:
    """A directory that is not empty stays as it is."""
    with pytest.raises(AuthorityError, match="is not empty"):
        directory.make(acme.path, "acme", BEGIN_S)
    assert directory.load(acme.path) == acme


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("matrix.cose", b""), ("matrix.cose", None), ("root-1.vkey", b"acme/root-1"), ("root-1.vkey", b"\xff"),
        ("root-1.vkey", None), ("revoked.cose", b"x"), ("issued/x.cose", b"x"),
    ],
)  # fmt: skip
def test_a_damaged_directory(acme: Authority, name: str, content: bytes | None) -> None:
    """One clear error names the file or the directory."""
    if content is None:
        (acme.path / name).unlink()
    else:
        (acme.path / name).write_bytes(content)
    with pytest.raises(AuthorityError, match=str(acme.path)):
        authority = directory.load(acme.path)
        directory.revocations(authority)
        directory.issued_by(authority)


def test_a_part_is_passed_on(acme: Authority) -> None:
    """What a holder delegates is valid below its own credential, and ends no later."""
    ann = granted(acme)
    less = rescoped(ARM, delegations=0, limits={"N": (0, 10)})
    bob = holder.delegate(ann, signer("ann"), asking("bob"), less, 1800, BEGIN_S + 30)
    assert verdict(acme, bob, above=ann) == "valid"
    assert bob.terms.expires_s == BEGIN_S + 30 + 1800
    long = holder.delegate(ann, signer("ann"), asking("bob"), less, 10**9, BEGIN_S + 30)
    assert long.terms.expires_s == ann.terms.expires_s


def test_no_more_is_passed_on_than_was_granted(acme: Authority) -> None:
    """A wider scope, another role, another's credential and one that has ended are refused."""
    ann = granted(acme)
    less = rescoped(ARM, delegations=0)
    with pytest.raises(AuthorityError, match=r"delegation_scope: .*limits"):
        holder.delegate(ann, signer("ann"), asking("bob"), rescoped(less, limits={"N": (0, 61)}), 60, BEGIN_S)
    with pytest.raises(AuthorityError, match="delegation_role"):
        holder.delegate(ann, signer("ann"), asking("bob", "technician"), less, 60, BEGIN_S)
    with pytest.raises(AuthorityError, match="is for another key"):
        holder.delegate(ann, signer("bob"), asking("bob"), less, 60, BEGIN_S)
    with pytest.raises(AuthorityError, match="never valid"):
        holder.delegate(ann, signer("ann"), asking("bob"), less, 60, ann.terms.expires_s)
