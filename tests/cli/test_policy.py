"""`lineage policy`: check, sign, show."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from recorder.authority.keys import HOLDER_TITLE, ROOT_TITLE
from recorder.core import policy as policies
from recorder.core import sign1
from recorder.core.credential import issue
from recorder.core.keys import SeedSigner
from recorder.core.note import ED25519, VerifierKey
from recorder.core.policy_source import parse
from recorder.store import keyfile
from recorder.store.layout import create_file
from tests.cli.states import ENV, lineage, one_line, parsed
from tests.credential_builder import ARM, EVERYTHING, terms
from tests.policies import EXAMPLE, clause, source

ROOT, HOLDER = SeedSigner(bytes(range(32))), SeedSigner(bytes(range(1, 33)))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The key file of a root."""
    path = tmp_path / "root-1.key"
    create_file(path, keyfile.text_of(ROOT_TITLE, bytes(range(32)), keyfile.NO_BOARD), 0o600)
    return path


def trust_file(path: Path) -> Path:
    path.write_text(f"root {VerifierKey.derive('fleet-root', ED25519, ROOT.public_key)}\nquorum none\n")
    return path


def test_the_example_is_checked() -> None:
    """A policy without a fault is one line and status 0."""
    done = lineage("policy", "check", EXAMPLE)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        f"{EXAMPLE}: arm-cell version 1, 7 clauses, 3 inputs, 1 of 4 classes gated; in force from 2026-11-01"
    )


FAULTY = source(
    clause("input.force_n > 50", identifier="units"),
    clause("input.force_n > 50.0 &&\n  who.operatr == 'x'", identifier="name"),
    inputs='[input.force_n]\ntype = "double"\n[input.idle]\ntype = "bool"\n',
)  # fmt: skip


def test_every_fault_is_a_line_with_its_place(tmp_path: Path) -> None:
    """Faults of conditions are told with file, line and column, each on a line; status 2, and nothing on standard output."""
    file = tmp_path / "faulty.toml"
    file.write_text(FAULTY)
    lines = FAULTY.split("\n")
    first = lines.index("when = '''input.force_n > 50'''") + 1
    second = lines.index("  who.operatr == 'x''''") + 1
    done = lineage("policy", "check", file)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"{file}:{first}:25: clause units: found no matching overload for '_>_' applied to '(double, int)'",
        f"{file}:{second}:6: clause name: undeclared reference to 'who.operatr'",
    ]
    assert lines[first - 1][24] == ">"
    assert lines[second - 1][5] == "."
    as_json = lineage("policy", "check", file, "--json")
    assert as_json.returncode == 2
    assert len(json.loads(as_json.stdout)["faults"]) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (source(), ": [input.force_n] is used by no clause"),
        (source(clause("input.force_n > 1.0", classes='["braking"]')), ": clause limit: class braking is not gated, so no clause is evaluated for it"),
        ("name == 1\n", ":1:7: not TOML: Invalid value"),
    ],
)  # fmt: skip
def test_other_faults_are_told_the_same_way(tmp_path: Path, text: str, told: str) -> None:
    """Also what is wrong between the parts, and what is no TOML, names the file first."""
    file = tmp_path / "faulty.toml"
    file.write_text(text)
    done = lineage("policy", "check", file)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [f"{file}{told}"]


def test_signed_and_shown(tmp_path: Path, key: Path) -> None:
    """A bundle is signed by the key, its hash is of the file, and it is shown with all that it says."""
    out = tmp_path / "arm.policy"
    said = parsed(lineage("policy", "sign", EXAMPLE, "--key", key, "--out", out, "--json"))
    raw = out.read_bytes()
    assert said["bundle"] == sha256(raw).hexdigest()
    assert stat.S_IMODE(out.stat().st_mode) == 0o644
    assert sign1.verify(policies.read(raw).signed, ROOT.public_key)
    shown = lineage("policy", "show", out).stdout
    assert said["bundle"] in shown
    assert "signature not checked: name a trust file with --trust" in shown
    for part in (
        *said["policy"]["classes"],
        *said["policy"]["inputs"],
        *(one["id"] for one in said["policy"]["clauses"]),
    ):
        assert part in shown
    assert 'what.unit == "N" && what.magnitude > 50.0' in shown


def test_whose_signature_it_is(tmp_path: Path, key: Path) -> None:
    """A root of the trust file is named; another key's bundle is told, with status 1."""
    out = tmp_path / "arm.policy"
    now = time.gmtime()
    current = tmp_path / "current.toml"
    text = (
        EXAMPLE.read_text()
        .replace("2026-11-01", f"{now.tm_year - 1}-01-01")
        .replace("2027-11-01", f"{now.tm_year + 1}-01-01")
    )
    current.write_text(text)
    assert lineage("policy", "sign", current, "--key", key, "--out", out).returncode == 0
    trust = trust_file(tmp_path / "trust.txt")
    done = lineage("policy", "show", out, "--trust", trust)
    assert done.returncode == 0
    assert "valid now, issued by fleet-root\n" in done.stdout
    forged = tmp_path / "forged.policy"
    forged.write_bytes(policies.sign(policies.read(out.read_bytes()).policy, SeedSigner(bytes(32))))
    done = lineage("policy", "show", forged, "--trust", trust)
    assert done.returncode == 1
    assert "invalid now, issued by nobody known\n  policy_signature: kid " in done.stdout
    assert parsed(lineage("policy", "show", out, "--trust", trust, "--json"))["issued"]["verdict"] == "valid"


def test_what_is_over_is_told(tmp_path: Path, key: Path) -> None:
    """A bundle past its time is not valid, and status 1 says so."""
    past, out = tmp_path / "past.toml", tmp_path / "past.policy"
    past.write_text(
        EXAMPLE.read_text().replace("2027-11-01", "2026-11-01").replace("= 2026-11-01T00", "= 2020-11-01T00", 1)
    )
    assert lineage("policy", "sign", past, "--key", key, "--out", out).returncode == 0
    done = lineage("policy", "show", out, "--trust", trust_file(tmp_path / "trust.txt"))
    assert done.returncode == 1
    assert "policy_expired: expired at " in done.stdout


def test_an_authority_names_its_credential(tmp_path: Path, key: Path) -> None:
    """The bundle names the credential by its hash; shown with it, the signature leads to the root."""
    holder = tmp_path / "holder.key"
    create_file(holder, keyfile.text_of(HOLDER_TITLE, bytes(range(1, 33)), keyfile.NO_BOARD), 0o600)
    own = terms("site", "fleet-root", "authority", EVERYTHING, key=HOLDER.public_key, expires_s=2**33)
    files = {name: tmp_path / name for name in ("site.cose", "operator.cose", "other.cose")}
    said = {
        "site.cose": own,
        "operator.cose": own._replace(role="operator", scope=ARM),
        "other.cose": own._replace(key=ROOT.public_key),
    }
    for name, path in files.items():
        path.write_bytes(issue(said[name], ROOT))
    out = tmp_path / "arm.policy"
    signing = ("policy", "sign", EXAMPLE, "--key", holder, "--out", out)
    assert "holder.key holds no root key" in one_line(lineage(*signing))
    assert "role_mismatch: credential" in one_line(lineage(*signing, "--credential", files["operator.cose"]))
    assert "is of another key than" in one_line(lineage(*signing, "--credential", files["other.cose"]))
    signed = parsed(lineage(*signing, "--credential", files["site.cose"], "--json"))
    assert signed["policy"]["issuer"] == sha256(files["site.cose"].read_bytes()).hexdigest()
    showing = ("policy", "show", out, "--trust", trust_file(tmp_path / "trust.txt"), "--json")
    assert parsed(lineage(*showing, "--credential", files["site.cose"]), 1 - in_force())["issued"]["by"] == "site"
    assert parsed(lineage(*showing), 1)["issued"]["reasons"][-1]["error"] == "parent_unknown"


def in_force() -> bool:
    """Whether the example's time is now."""
    read = parse(EXAMPLE.read_text()).policy
    return read.nbf <= time.time() < read.exp


def test_what_is_not_signed(tmp_path: Path, key: Path) -> None:
    """A policy with a fault, a key that others can read, a credential that is none, and a file that is there already."""
    out, faulty = tmp_path / "out.policy", tmp_path / "faulty.toml"
    faulty.write_text(FAULTY)
    done = lineage("policy", "sign", faulty, "--key", key, "--out", out)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 2
    holder = tmp_path / "holder.key"
    create_file(holder, keyfile.text_of(HOLDER_TITLE, bytes(32), keyfile.NO_BOARD), 0o600)
    done = lineage("policy", "sign", EXAMPLE, "--key", holder, "--credential", EXAMPLE, "--out", out)
    assert "credential_malformed" in one_line(done)
    done = lineage("policy", "sign", EXAMPLE, "--key", tmp_path / "none.key", "--out", out)
    assert "none.key is missing; a root signs with its root-N.key" in one_line(done)
    key.chmod(0o640)
    assert "others can read it" in one_line(lineage("policy", "sign", EXAMPLE, "--key", key, "--out", out))
    assert not out.exists()
    out.write_bytes(b"mine")
    key.chmod(0o600)
    assert "exists; a bundle is not overwritten" in one_line(
        lineage("policy", "sign", EXAMPLE, "--key", key, "--out", out)
    )
    assert out.read_bytes() == b"mine"


@pytest.mark.parametrize("content", [b"", b"\xd2\x84", bytes(60_000)])
def test_what_is_no_bundle(tmp_path: Path, content: bytes) -> None:
    """Anything else is refused in one line."""
    file = tmp_path / "x.policy"
    file.write_bytes(content)
    assert "policy_malformed" in one_line(lineage("policy", "show", file))


def test_no_bytes_are_read_as_text(tmp_path: Path) -> None:
    """A source that is not UTF-8 is refused in one line."""
    file = tmp_path / "x.toml"
    file.write_bytes(b"\xff")
    assert "is not UTF-8" in one_line(lineage("policy", "check", file))


def test_without_the_engine_there_is_one_line() -> None:
    """Where the extra is not installed, check says which one it needs."""
    program = f"import sys; sys.modules['cel_expr_python'] = None\nfrom recorder.cli import main; main(['policy', 'check', {str(EXAMPLE)!r}])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=ENV)
    assert done.returncode == 2
    assert done.stderr == "lineage: policies need a CEL engine: pip install 'lineage-recorder[gate]'\n"
