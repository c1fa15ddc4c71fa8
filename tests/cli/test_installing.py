"""`lineage policy install`, `lineage credential`, `lineage init --trust`: from an authority's files into a recorder."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from recorder.authority import directory
from recorder.authority.directory import Authority
from recorder.config import Controller
from recorder.core import credential, policy, request
from recorder.core.credential import Credential
from recorder.core.keys import SeedSigner
from recorder.core.kinds import Kind
from recorder.core.policy import Policy
from recorder.core.policy_source import parse
from recorder.core.scope import Counts, Role, Scope
from recorder.daemon.peers import permissions_of
from tests.cli.states import Running, lineage, made, one_line, parsed
from tests.policies import EXAMPLE

HOLDER = SeedSigner(bytes(range(32)))
ARM = Scope(frozenset({"motion"}), frozenset({"arm"}), {"N": (0.0, 60.0)}, "any", "any", Counts(500, 900), 1)


class Fleet(NamedTuple):
    """An authority, its trust file, a credential for an operator, a signed policy."""

    authority: Authority
    trust: Path
    ann: Path
    policy: Path

    def issue(self, to: Path, name: str, role: Role = "operator", scope: Scope = ARM) -> Credential:
        wanted = request.read(request.make(name, role, HOLDER))
        issued = directory.issue(self.authority, wanted, scope, 30, int(time.time()))
        to.write_bytes(issued.signed.raw)
        return issued


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    path = tmp_path_factory.mktemp("fleet")
    authority = directory.make(path / "authority", "acme", int(time.time()))
    trust = path / "trust.txt"
    trust.write_text(f"root {authority.matrix.root}\nquorum none\n")
    bundle = path / "arm.policy"
    bundle.write_bytes(policy.sign(_current(parse(EXAMPLE.read_text()).policy), authority.root_signer()))
    made_of = Fleet(authority, trust, path / "ann.cose", bundle)
    made_of.issue(made_of.ann, "ann")
    return made_of


def _current(said: Policy) -> Policy:
    """The example in force today, whenever that is."""
    now_s = int(time.time())
    return replace(said, nbf=now_s - 3600, exp=now_s + 86_400)


@pytest.fixture
def recorder(fleet: Fleet, tmp_path: Path) -> Iterator[Running]:
    with Running(made(tmp_path / "state", "--trust", str(fleet.trust))) as started:
        yield started


def test_init_copies_a_trust_file(fleet: Fleet, tmp_path: Path) -> None:
    """Everybody may read it; doctor names its roots; one that is none, or names no root, leaves nothing behind."""
    state = made(tmp_path / "state", "--trust", str(fleet.trust))
    assert (state / "trust").read_bytes() == fleet.trust.read_bytes()
    assert stat.S_IMODE((state / "trust").stat().st_mode) == 0o644
    assert "takes what descends from acme/root-1" in lineage("doctor", "--state", state).stdout
    assert "trust" in (state / "recorder.toml").read_text()
    (state / "trust").write_text("root nonsense\n")
    done = lineage("doctor", "--state", state)
    assert done.returncode == 1
    assert "trust_malformed" in done.stdout
    wrong = tmp_path / "wrong.txt"
    for text, told in (("quorum none\n", "no line `root VKEY`"), ("fog\n", "'fog' is none of")):
        wrong.write_text(text)
        arguments = ("--yes", "--on-unavailable", "hold", "--actuator", "arm", "--trust", wrong)
        assert told in one_line(lineage("init", "--state", tmp_path / "none", *arguments))
        assert not (tmp_path / "none").exists()


def test_a_state_without_a_trust_file_is_sound(tmp_path: Path) -> None:
    """The configured classes are in force; doctor says what that means."""
    state = made(tmp_path / "state")
    assert not (state / "trust").exists()
    assert "no signed policy can be installed" in lineage("doctor", "--state", state).stdout


def test_a_policy_is_installed_and_shown(fleet: Fleet, recorder: Running) -> None:
    """Before, the configured table is in force; after, the bundle, by the entry that brought it."""
    state = recorder.socket.parent
    before = lineage("policy", "show", "--state", state)
    assert (before.returncode, before.stderr) == (0, "")
    assert "the classes that the recorder's own configuration states" in before.stdout
    assert parsed(lineage("policy", "show", "--state", state, "--json"))["policy"] is None
    said = parsed(lineage("policy", "install", fleet.policy, "--state", state, "--json"))
    assert said["bundle"] == policy.read(fleet.policy.read_bytes()).hash.hex()
    shown = parsed(lineage("policy", "show", "--state", state, "--trust", fleet.trust, "--json"))
    assert (shown["entry"], shown["bundle"]) == (said["entry"], said["bundle"])
    assert shown["issued"]["verdict"] == "valid"
    for where in (("--socket", recorder.socket), ("--state", state)):
        text = lineage("policy", "show", *where).stdout
        assert text.startswith(f"in force since entry {said['entry']}\narm-cell version 1, 7 clauses")


def test_a_policy_that_nobody_could_evaluate_does_not_leave(fleet: Fleet, recorder: Running, tmp_path: Path) -> None:
    """Its clause and the place in its condition are named; so is a file that is no bundle, and who did not answer."""
    said = _current(parse(EXAMPLE.read_text()).policy)
    first = said.clauses[0]
    wrong = replace(said, clauses=[replace(first, when="act.fog > 1"), *said.clauses[1:]])
    file = tmp_path / "wrong.policy"
    file.write_bytes(policy.sign(wrong, fleet.authority.root_signer()))
    done = lineage("policy", "install", file, "--state", recorder.socket.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{file}: clause {first.id}: 1:4 of its condition: undeclared reference to 'act.fog'" in done.stderr
    assert "policy_malformed" in one_line(lineage("policy", "install", EXAMPLE, "--socket", recorder.socket))
    assert "which recorder" in one_line(lineage("policy", "install", fleet.policy))
    assert "name a signed bundle" in one_line(lineage("policy", "show"))


def test_credentials_are_installed_listed_and_shown(fleet: Fleet, recorder: Running, tmp_path: Path) -> None:
    """A matrix goes before what it recognises, and a list says from which entry on a credential is revoked."""
    state = recorder.socket.parent
    matrix = fleet.authority.path / directory.MATRIX
    empty = lineage("credential", "list", "--state", state).stdout
    assert "lineage credential install FILE..." in empty
    bob = fleet.issue(tmp_path / "bob.cose", "bob")
    listed = parsed(
        lineage("credential", "install", tmp_path / "bob.cose", fleet.ann, matrix, "--state", state, "--json")
    )["installed"]
    assert [one["what"] for one in listed] == ["matrix", "credential", "credential"]
    directory.revoke(fleet.authority, [bob.hash], "left", int(time.time()))
    revoked = parsed(
        lineage("credential", "install", fleet.authority.path / directory.REVOKED, "--state", state, "--json")
    )["installed"][0]
    assert revoked["what"] == "revocation"
    found = parsed(lineage("credential", "list", "--state", state, "--json"))
    held = {one["subject"]: one for one in found["credentials"]}
    assert held["ann"]["revoked"] is None
    from_seq = int(revoked["entry"].split("-")[0])
    assert held["bob"]["revoked"] == {"from_seq": from_seq, "reason": "left", "acts": True}
    assert (found["matrix"]["version"], found["matrix"]["recognised"]) == (1, ["acme/issuer-1"])
    text = lineage("credential", "list", "--state", state).stdout
    assert f"from seq {from_seq}: left" in text
    assert "motion; arm; 0..60 N; 500 commits, 900 s" in text
    shown = lineage("credential", "show", "ann", "--state", state).stdout
    assert held["ann"]["credential"] in shown
    assert 'limits: {"N": [0.0, 60.0]}' in shown
    assert parsed(lineage("credential", "show", bob.hash.hex()[:12], "--state", state, "--json"))[0]["subject"] == "bob"
    assert "no credential here" in one_line(lineage("credential", "show", "eve", "--state", state))


def test_a_list_whose_signer_nobody_knows_is_told_as_such(fleet: Fleet, recorder: Running) -> None:
    """Without a trust file nobody can say whether a root signed it."""
    state = recorder.socket.parent
    matrix = fleet.authority.path / directory.MATRIX
    lineage("credential", "install", fleet.ann, matrix, "--state", state)
    ann = credential.read(fleet.ann.read_bytes())
    directory.revoke(fleet.authority, [ann.hash], "lost", int(time.time()))
    lineage("credential", "install", fleet.authority.path / directory.REVOKED, "--state", state)
    listed = lineage("credential", "list", "--socket", recorder.socket)
    assert "by nobody known above it: lost" in listed.stdout
    assert "no root is known here" in listed.stderr
    listed = lineage("credential", "list", "--state", state)
    assert "by nobody known" not in listed.stdout
    assert listed.stderr == ""


def test_a_file_that_is_none_of_them(recorder: Running, tmp_path: Path) -> None:
    """What it is not is said before anything is sent."""
    file = tmp_path / "x.cose"
    file.write_bytes(b"nothing")
    said = one_line(lineage("credential", "install", file, "--socket", recorder.socket))
    assert "no credential, no recognition matrix and no revocation list" in said


def test_what_descends_from_nobody_says_whom_the_recorder_trusts(recorder: Running, tmp_path: Path) -> None:
    """And what is no policy at all is named with what makes one."""
    other = directory.make(tmp_path / "other", "other", int(time.time()))
    said = one_line(lineage("credential", "install", other.path / "matrix.cose", "--socket", recorder.socket))
    assert "matrix_signature" in said
    assert "`lineage doctor` says which" in said
    said = one_line(lineage("policy", "install", other.path / "matrix.cose", "--socket", recorder.socket))
    assert "matrix.cose is no signed policy" in said
    assert "lineage policy sign" in said


def test_another_user_needs_the_configuration() -> None:
    """Root and the recorder's own user may always; for others `append` says so, and the refusal names it."""
    both = {Kind.POLICY, Kind.CREDENTIAL}
    assert permissions_of([], 0, frozenset(), 7).append == both
    assert permissions_of([], 7, frozenset(), 7).append == both
    assert permissions_of([], 8, frozenset(), 7).append == frozenset()
    named = Controller(uids=[8], append=["policy"])
    assert permissions_of([named], 8, frozenset(), 7).append == {Kind.POLICY}
