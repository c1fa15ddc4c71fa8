"""`lineage mesh` on the command line, without a process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mesh.fleetlist import make_fleet_list, open_fleet_list
from mesh.node.config import DIGEST_PORT
from mesh.node.fleetfile import fleet_to_start
from mesh.node.peering import is_out_of_reach
from mesh.node.places import MeshError
from recorder.authority import directory
from recorder.cli import run
from recorder.core.cosignature import cosigner_key
from recorder.core.keys import SeedSigner
from recorder.core.note import ED25519, VerifierKey
from recorder.core.trust import parse_trust
from tests.mesh.fleet import FLEET, ROOT, ROOT_KEY, policy
from tests.node.meshes import _RUN
from tests.node.test_server import free_port


def test_from_an_authority_to_a_state_with_a_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`init` prints the witness line, `list` signs the policy with it, under the root that the state trusts."""
    authority = directory.make(tmp_path / "authority", "acme", 1_760_000_000)
    root = authority.matrix.root
    root_key = VerifierKey.derive(root.name, ED25519, root.public_key)
    trust = tmp_path / "roots.trust"
    trust.write_text(f"root {root_key}\nquorum none\n")
    state = tmp_path / "mesh"
    assert run(["mesh", "init", "--state", str(state), "--name", "arm-7.acme", "--trust", str(trust)]) == 0
    said = capsys.readouterr().out.splitlines()
    line, mesh = (next(one for one in said if one.startswith(f"  {verb} ")) for verb in ("witness", "mesh"))
    assert run(["mesh", "key", "--state", str(state), "--platform", "acme/arm-7"]) == 0
    assert capsys.readouterr().out.strip() == mesh.strip(), "shown again"
    log = VerifierKey.derive("acme/arm-7", ED25519, SeedSigner(bytes(32)).public_key)
    policy = tmp_path / "fleet.policy"
    text = f"log {log}\n{line.strip()}\n{mesh.strip()}\nquorum arm-7.acme\n"
    policy.write_text(text)
    made = ["mesh", "list", str(policy), "--authority", str(tmp_path / "authority"), "--fleet", "acme"]
    assert run([*made, "--version", "1", "--out", str(state / "fleet")]) == 2
    assert f"{policy}: line 2: write an address" in capsys.readouterr().err
    policy.write_text(text.replace("ADDRESS", "192.0.2.7"))
    assert run([*made, "--version", "1", "--out", str(state / "fleet"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == 1
    fleet = open_fleet_list((state / "fleet").read_bytes(), [root_key])
    assert fleet.trust.urls == {"arm-7.acme": "http://192.0.2.7:7171/"}
    assert [(name, one.url) for name, one in fleet.platforms.items()] == [("acme/arm-7", "http://192.0.2.7:7171/")]
    assert run([*made, "--version", "2", "--out", str(state / "fleet")]) == 2, "nothing is overwritten"
    policy.write_text(f"witness {log}\n")
    assert run([*made, "--version", "2", "--out", str(tmp_path / "other")]) == 2
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("verb", ["status", "peers", "forks"])
def test_what_was_never_started_says_so(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line that names the file."""
    trust = tmp_path / "roots.trust"
    trust.write_text(f"root {ROOT_KEY}\nquorum none\n")
    assert run(["mesh", "init", "--state", str(tmp_path / "m"), "--name", "arm-7.acme", "--trust", str(trust)]) == 0
    assert run(["mesh", verb, "--state", str(tmp_path / "m"), "--json"]) == 2
    assert "never started" in capsys.readouterr().err


def test_a_mesh_without_a_fleet_list_does_not_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is nobody to trust; the message says what belongs where."""
    trust = tmp_path / "roots.trust"
    trust.write_text(f"root {ROOT_KEY}\nquorum none\n")
    assert run(["mesh", "init", "--state", str(tmp_path / "m"), "--name", "arm-7.acme", "--trust", str(trust)]) == 0
    assert run(["mesh", "run", "--state", str(tmp_path / "m"), "--socket", str(tmp_path / "none")]) == 2
    assert "a fleet list that a root signed" in capsys.readouterr().err


def test_what_may_be_otherwise_in_a_while_is_tried_again(tmp_path: Path) -> None:
    """An address whose interface is still to come, an old list that was put there again, a URL that is not ours to read.

    Status 1, after which systemd starts it again; and no such list keeps a platform from the one that it has.
    """
    trust, state = tmp_path / "roots.trust", tmp_path / "m"
    trust.write_text(f"root {ROOT_KEY}\nquorum none\n")
    made = ["mesh", "init", "--state", str(state), "--name", "arm-7.acme", "--trust", str(trust)]
    assert run([*made, "--listen", "192.0.2.7:7171"]) == 0
    started = [sys.executable, "-c", _RUN, str(state), str(tmp_path / "none")]
    config = state / "mesh.toml"
    ours = config.read_text().replace("multicast = true", "multicast = false")
    config.write_text(ours.replace(f"port = {DIGEST_PORT}", f"port = {free_port()}"))
    urls = policy().replace("http://acme/arm-8", "https://acme/arm-8")
    lists = {version: make_fleet_list("acme", version, urls, ROOT_KEY.name, ROOT) for version in (2, 3)}
    for brought, says in ((lists[3], ""), (lists[2], "version 2, but 3 is in force")):
        (state / "fleet").write_bytes(brought)
        done = subprocess.run(started, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "cannot listen on 192.0.2.7:7171: " in done.stderr
        assert says in done.stderr
        assert "digests go to addresses alone, not to acme, https://acme/arm-8.example:7171/\n" in done.stderr
        assert done.stderr.count("fleet list 3 stays in force\n") == bool(says)


def test_what_cannot_be_used_is_named_with_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A policy that is no text or not well formed, a trust file without a root, a state that is none."""
    directory.make(tmp_path / "authority", "acme", 1_760_000_000)
    policy = tmp_path / "fleet.policy"
    made = ["mesh", "list", str(policy), "--authority", str(tmp_path / "authority"), "--fleet", "acme"]
    key = VerifierKey.derive("acme/arm-7", ED25519, SeedSigner(bytes(32)).public_key)
    for content, says in (
        (b"\xff\xfe", "is no text"),
        (b"log nonsense\n", "fleet_list_malformed: line 1: a verifier key"),
        (f"\nlog {key} arm-7:7171\nquorum none\n".encode(), "line 2: 'arm-7:7171' is not written as http://"),
        (b"quorum none", "does not end in newline"),
    ):
        policy.write_bytes(content)
        assert run([*made, "--version", "1", "--out", str(tmp_path / "out")]) == 2
        said = capsys.readouterr().err
        assert says in said
        assert str(policy) in said
    assert run(["mesh", "init", "--state", str(tmp_path / "m"), "--name", "arm-7.acme", "--trust", str(policy)]) == 2
    assert str(policy) in capsys.readouterr().err
    assert run(["mesh", "ask", "acme/arm-7", "--state", str(tmp_path / "none"), "--peer", "arm-7"]) == 2
    assert "--peer 'arm-7' is not written as http://" in capsys.readouterr().err
    assert run(["verify", "--state", str(tmp_path), "--trust", str(policy)]) == 2
    assert f"trust_malformed: {policy}: " in capsys.readouterr().err
    assert run(["mesh", "forks", "--state", str(tmp_path / "none")]) == 2
    assert f"{tmp_path / 'none' / 'trust'} is missing; `lineage mesh init" in capsys.readouterr().err


def test_a_damaged_list_leaves_the_one_that_is_held_in_force(tmp_path: Path) -> None:
    """At a start as at SIGHUP: a copy that a power cut tore is no reason to witness nothing."""
    (tmp_path / "trust").write_text(f"root {ROOT_KEY}\nquorum none\n")
    (tmp_path / "fleet").write_bytes(FLEET.note[:100])
    said: list[str] = []
    with pytest.raises(MeshError, match="bring it again"):
        fleet_to_start(tmp_path, said.append)
    (tmp_path / "fleet.held").write_bytes(FLEET.note)
    assert fleet_to_start(tmp_path, said.append)[0].note == FLEET.note
    assert len(said) == 1
    assert said[0].startswith(f"{tmp_path / 'fleet'}: fleet_list_malformed")
    assert said[0].endswith(f"; fleet list {FLEET.version} stays in force")
    (tmp_path / "fleet.held").write_bytes(FLEET.note[:100])
    with pytest.raises(MeshError, match=r"fleet\.held"):
        fleet_to_start(tmp_path, said.append)


def test_a_quorum_that_needs_the_own_witness() -> None:
    """It never cosigns its own log, so no log of this platform could have that quorum."""
    keys = [cosigner_key(name, SeedSigner(bytes([at]) * 32).public_key) for at, name in enumerate(("a", "b", "c"))]
    lines = "".join(f"witness {key.name} {key}\n" for key in keys)
    for needed, is_out in (("all", True), ("3", True), ("2", False), ("any", False)):
        trust = parse_trust(f"{lines}group all {needed} a b c\nquorum all\n".encode())
        assert is_out_of_reach(trust, keys[0]) is is_out
        assert not is_out_of_reach(trust, None)
    assert not is_out_of_reach(parse_trust(f"{lines}quorum none\n".encode()), keys[0])
