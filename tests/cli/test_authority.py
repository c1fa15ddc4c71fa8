"""`lineage authority` and `lineage identity`, as people and scripts type them."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path

import pytest

from recorder.core import credential, matrix, request, revocation
from recorder.core.delegation import Moment, judge
from recorder.core.keys import SeedSigner
from recorder.core.note import VerifierKey
from recorder.core.trust import parse_trust
from recorder.daemon import identity
from tests.cli.states import lineage, made, one_line, parsed, tree

NS = 1_000_000_000
SCOPE = """
action_classes = ["motion"]
actuators = ["arm"]
limits = {N = [0, 60]}
areas = "any"
times = "any"
counts = "unbounded"
delegations = %d
"""


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, requests of an arm, of ann and of bob, and scopes; not to be changed."""
    path = tmp_path_factory.mktemp("authority")
    parsed(lineage("authority", "init", "--authority", path / "acme", "--name", "acme", "--json"))
    parsed(lineage("identity", "request", "--state", made(path / "state"), "--out", path / "arm.request", "--json"))
    for name in ("ann", "bob"):
        asked = ("--key", path / f"{name}.key", "--name", name, "--role", "operator", "--out", path / f"{name}.request")
        parsed(lineage("identity", "request", *asked, "--json"))
    (path / "more.toml").write_text(SCOPE % 1)
    (path / "less.toml").write_text(SCOPE % 0)
    return path


@pytest.fixture
def acme(founded: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    for item in founded.iterdir():
        if item.is_file():
            (tmp_path / item.name).write_bytes(item.read_bytes())
            (tmp_path / item.name).chmod(item.stat().st_mode)
    (tmp_path / "acme" / "issued").mkdir(parents=True)
    for item in (founded / "acme").glob("*.*"):
        (tmp_path / "acme" / item.name).write_bytes(item.read_bytes())
        (tmp_path / "acme" / item.name).chmod(item.stat().st_mode)
    return tmp_path


def issue(acme: Path, name: str, *more: str | Path) -> dict[str, str]:
    """Have a request granted."""
    said = parsed(
        lineage("authority", "issue", acme / f"{name}.request", "--authority", acme / "acme", "--scope",
                acme / "more.toml", "--days", "30", "--out", acme / f"{name}.cose", "--json", *more)
    )  # fmt: skip
    assert isinstance(said, dict)
    return said


def test_a_name_cannot_forge_the_key_id_that_is_compared(acme: Path) -> None:
    """A request travels on a stick: what its name holds is spelled out, and begins no line."""
    forged = "ann, key id 0011223344556677\r\n\x1b[2Kann"
    (acme / "ann.request").write_bytes(request.make(forged, "operator", SeedSigner(bytes(32))))
    done = lineage(
        "authority", "issue", acme / "ann.request", "--authority", acme / "acme", "--scope", acme / "more.toml",
        "--role", "operator", "--days", "30", "--out", acme / "ann.cose",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert all(line.isprintable() for line in done.stdout.split("\n"))
    assert len(done.stdout.strip().split("\n")) == 1


def test_from_request_to_a_delegation_that_verifies(acme: Path) -> None:
    """A request, a credential, a part of it passed on: the chain is valid under the printed root, as a trust file names it."""
    shown = parsed(lineage("authority", "show", "--authority", acme / "acme", "--json"))
    said = issue(acme, "ann", "--role", "operator")
    held = credential.read((acme / "ann.cose").read_bytes())
    assert (said["subject"], said["credential"]) == ("ann", held.hash.hex())
    done = parsed(
        lineage("identity", "delegate", acme / "bob.request", "--credential", acme / "ann.cose", "--key",
                acme / "ann.key", "--scope", acme / "less.toml", "--minutes", "30", "--out", acme / "bob.cose", "--json")
    )  # fmt: skip
    child = credential.read((acme / "bob.cose").read_bytes())
    assert done["credential"] == child.hash.hex()
    roots = parse_trust(f"quorum none\nroot {shown['root']}\n".encode()).roots
    recognised = matrix.read((acme / "acme" / "matrix.cose").read_bytes(), roots)
    moment = Moment(time.time_ns(), time.time_ns(), None)
    found = judge(child, {held.hash: held}, recognised, roots, {}, moment)
    assert (found.verdict, found.reasons) == ("valid", ())
    assert child.terms.expires_s - child.terms.not_before_s == 1800


def test_a_recorder_asks_with_its_identity_key(founded: Path) -> None:
    """The request of a state directory is for FLEET/PLATFORM, the role platform and the identity key."""
    again = lineage("identity", "request", "--state", founded / "state", "--out", founded / "again.request", "--json")
    said = parsed(again)
    assert (said["name"], said["role"]) == ("acme/arm-7", "platform")
    assert said["key"] == identity.load(founded / "state").public_key.hex()


def test_a_new_key_is_the_owners_alone(founded: Path) -> None:
    """The key that a request makes is 0600; asking again takes the same key."""
    assert stat.S_IMODE((founded / "ann.key").stat().st_mode) == 0o600
    asked = ("--key", founded / "ann.key", "--name", "ann", "--role", "inspector")
    done = lineage("identity", "request", *asked, "--out", founded / "ann-inspects.request")
    assert "new key" not in done.stdout
    assert "ann asks for the role inspector; key id " in done.stdout


def test_a_batch(acme: Path) -> None:
    """One line for each request, granted or refused with the reason, and a sum; refusals make the status 1; granted ones are not granted again."""
    requests = acme / "requests"
    requests.mkdir()
    for name in ("ann", "bob", "arm"):
        (requests / f"{name}.request").write_bytes((acme / f"{name}.request").read_bytes())
    (requests / "junk.request").write_bytes(b"x" * 5000)
    (requests / "notes.txt").write_text("not a request")
    command = ("authority", "issue", "--authority", acme / "acme", "--batch", requests, "--role", "operator", "--scope",
               acme / "less.toml", "--days", "1", "--out", acme / "out")  # fmt: skip
    done = lineage(*command)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert [line.split(": ")[1].split(",")[0] for line in lines[:-1]] == ["ann", "refused", "bob", "refused"]
    assert "acme/arm-7 asks for the role platform, not operator" in lines[1]
    assert "over 2048" in lines[3]
    assert lines[-1] == f"2 of 4 requests granted, 2 refused; in {acme / 'out'}"
    assert sorted(item.name for item in (acme / "out").iterdir()) == ["ann.cose", "bob.cose"]
    before = tree(acme)
    again = [json.loads(line) for line in lineage(*command, "--json").stdout.splitlines()]
    assert all("refused" in item for item in again)
    assert "nothing is overwritten" in again[0]["refused"]
    assert tree(acme) == before


def test_revoked_rotated_shown(acme: Path) -> None:
    """Revocation by file or hash, a rotation of the issuer and one of the root; `show` says what stands."""
    path = ("--authority", acme / "acme")
    ann, bob = issue(acme, "ann"), issue(acme, "bob")
    by_file = lineage("authority", "revoke", acme / "ann.cose", *path, "--reason", "tablet lost")
    assert f"revoked {ann['credential']}: ann, operator" in by_file.stdout
    by_hash = parsed(lineage("authority", "revoke", bob["credential"][:8], *path, "--reason", "left", "--json"))
    assert (by_hash["version"], len(by_hash["revoked"])) == (2, 2)
    assert "issuer-2 is in force" in lineage("authority", "rotate", *path).stdout
    rotated = parsed(lineage("authority", "rotate", "--root", *path, "--json"))
    assert (rotated["matrix_version"], rotated["issuer"]) == (3, "acme/issuer-2")
    listed = revocation.read((acme / "acme" / "revoked.cose").read_bytes())
    assert listed.version == 3, "signed anew by the new root"
    root = VerifierKey.parse(rotated["root"])
    assert matrix.read((acme / "acme" / "matrix.cose").read_bytes(), [root]).version == 3
    shown = parsed(lineage("authority", "show", *path, "--json"))
    assert {item["subject"]: item["revoked"] for item in shown["credentials"]} == {"ann": "tablet lost", "bob": "left"}
    assert "tablet lost" in lineage("authority", "show", *path).stdout


def refused(acme: Path, *arguments: str | Path) -> str:
    """The one line of an error, after which nothing has changed."""
    before = tree(acme)
    said = one_line(lineage(*arguments))
    assert tree(acme) == before
    return said


def test_what_cannot_be_done_is_one_line(acme: Path) -> None:
    """Wrong files, roles, keys and names: one line that says what and where, status 2, and nothing written."""
    path = ("--authority", acme / "acme")
    granting = ("--scope", acme / "more.toml", "--days", "30", "--out", acme / "x.cose")
    ann = acme / "ann.request"
    assert "is no authority" in refused(acme, "authority", "show", "--authority", acme / "none")
    assert "not platform" in refused(acme, "authority", "issue", ann, *path, *granting, "--role", "platform")
    assert "none.request: No such file" in refused(acme, "authority", "issue", acme / "none.request", *path, *granting)
    assert "request_malformed" in refused(acme, "authority", "issue", acme / "more.toml", *path, *granting)
    assert "name one REQUEST" in refused(acme, "authority", "issue", *path, *granting)
    assert "say --role" in refused(acme, "authority", "issue", *path, *granting, "--batch", acme)
    wrong = acme / "wrong.toml"
    wrong.write_text("force = 1")
    assert f"{wrong}: " in refused(acme, "authority", "issue", ann, *path, *granting[2:], "--scope", wrong)
    assert "is no file, and 0 credentials" in refused(acme, "authority", "revoke", "0123456789", *path, "--reason", "x")
    assert "is not empty" in refused(acme, "authority", "init", *path, "--name", "acme")
    assert "--drop-old is for issuers" in refused(acme, "authority", "rotate", "--root", "--drop-old", *path)
    asking = ("identity", "request", "--out", acme / "x.request")
    assert "say whose key" in refused(acme, *asking)
    assert "--name NAME --role ROLE" in refused(acme, *asking, "--key", acme / "carol.key")
    assert "exists" in refused(
        acme, *asking[:-1], ann, "--key", acme / "ann.key", "--name", "ann", "--role", "operator"
    )


def test_delegations_that_are_refused(acme: Path) -> None:
    """More than one has, and with another's key: one line, nothing written."""
    issue(acme, "ann")
    passing = ("identity", "delegate", acme / "bob.request", "--credential", acme / "ann.cose", "--minutes", "5", "--out",
               acme / "x.cose")  # fmt: skip
    less = ("--scope", acme / "less.toml")
    assert "delegation_depth" in refused(acme, *passing, "--key", acme / "ann.key", "--scope", acme / "more.toml")
    assert "is for another key" in refused(acme, *passing, "--key", acme / "bob.key", *less)
    assert "carol.key is missing" in refused(acme, *passing, "--key", acme / "carol.key", *less)
    assert "say whose key" in refused(acme, *passing, *less)
