"""`lineage compare`: agreement and contradiction of two lineages, as people and scripts ask for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.client import Recorder
from recorder.core import revocation
from recorder.core.note import ED25519, VerifierKey
from recorder.core.revocation import Revoked
from tests.audit.lineages import to_bundle, write_state
from tests.audit.observed import OTHER, observer, reading, recorded
from tests.cli.states import Running, lineage, made, one_line, parsed
from tests.credential_builder import ROOT, signer
from tests.vectors import observations

LIDAR, CAMERA = observer("lidar"), observer("camera")
OURS = recorded(
    (reading(2.4, 0, credential=LIDAR.hash), "lidar"),
    (reading(2.5, 1000, credential=LIDAR.hash), "lidar"),
    (reading(7, 2000), "lidar"),
    {"name": "gate.is_shut", "value": True, "subject": "gate 3"},
)
THEIRS = recorded(
    (reading(2.41, 20, credential=CAMERA.hash), "camera"),
    (reading(3.9, 1030, credential=CAMERA.hash), "camera"),
    (reading(700, 2000, unit="cm"), "camera"),
    {"name": "gate.is_shut", "value": False, "subject": "gate 3"},
    origin=OTHER,
)


@pytest.fixture
def sides(tmp_path: Path) -> Path:
    """Two states, a bundle of each, and what to trust."""
    for name, one in (("a", OURS), ("b", THEIRS)):
        to_bundle(write_state(tmp_path / name, one), tmp_path / f"{name}.lineage")
    logs = [
        VerifierKey.derive(one.origin.rpartition("/")[0], ED25519, one.identity.public_key) for one in (OURS, THEIRS)
    ]
    (tmp_path / "fleet.trust").write_text(f"log {logs[0]}\nlog {logs[1]}\nroot {ROOT}\nquorum none\n")
    for credential in (LIDAR, CAMERA):
        (tmp_path / f"{credential.terms.subject}.cose").write_bytes(credential.signed.raw)
    return tmp_path


def trusting(sides: Path) -> list[str | Path]:
    return [
        "--trust", sides / "fleet.trust", "--credential", sides / "lidar.cose", "--credential", sides / "camera.cose",
    ]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), [("a", "b"), ("a.lineage", "b"), ("a", "b.lineage")])
def test_a_contradiction_names_both(sides: Path, a: str, b: str) -> None:
    """Both entries with their origins, both values, both signers; what is not verified says why; and the status is 1."""
    done = lineage("compare", sides / a, sides / b, "--tolerance", "1%", *trusting(sides), "--json")
    found = parsed(done, 1)
    counts = ("pairs", "agreed", "contradicted", "incomparable", "not_verified")
    assert [found[count] for count in counts] == [4, 1, 2, 1, 2]
    assert found["a"]["signers"] == {"verified": 2, "unverified": 1, "unsigned": 1}
    assert found["a"]["identity"] == "pinned"
    gate, distance = found["contradictions"]
    for side, log, value, name in (("a", OURS, 2.5, "lidar"), ("b", THEIRS, 3.9, "camera")):
        one = distance[side]
        assert (one["origin"], one["id"]) == (log.origin, f"4-{log.hash_of(4).hex()[:8]}")
        assert (one["says"]["value"], one["says"]["subject"]) == (value, "pallet 12")
        assert (one["signer"]["name"], one["signer"]["standing"]) == (name, "verified")
        assert gate[side]["signer"]["standing"] == "unsigned"
    (units,) = found["incomparables"]
    assert (units["a"]["says"]["unit"], units["b"]["says"]["unit"]) == ("m", "cm")
    assert "names no credential" in units["a"]["signer"]["detail"]


def test_in_words(sides: Path) -> None:
    """The same for people."""
    done = lineage("compare", sides / "a", sides / "b", "--tolerance", "1%", *trusting(sides))
    assert done.returncode == 1
    said = done.stdout
    assert "4 pairs within 100ms: 1 agree, 2 contradict each other, 1 cannot be compared; 2 not verified" in said
    assert "contradicted: lidar.nearest_m of pallet 12, 30.000 ms apart" in said
    assert f"2.5 m at 2025-10-09T08:53:21.000Z, entry 4-{OURS.hash_of(4).hex()[:8]} of {OURS.origin}" in said
    assert "signed by camera: verified" in said
    assert f"entry 4-{THEIRS.hash_of(4).hex()[:8]} of {THEIRS.origin}" in said
    assert "signed by nobody: unsigned" in said


def test_without_a_contradiction(sides: Path) -> None:
    """The status is 0; without trust nobody's name is believed, but with a key that is pinned."""
    found = parsed(lineage("compare", sides / "a", sides / "b", "--within", "25ms", "--tolerance", "1", "--json"), 1)
    assert [item["a"]["says"]["name"] for item in found["contradictions"]] == ["gate.is_shut"]
    assert found["not_verified"] == found["pairs"] == 3
    key = VerifierKey.derive("my-lidar", ED25519, signer("lidar").public_key)
    found = parsed(lineage("compare", sides / "a", sides / "a.lineage", "--observer", str(key), "--json"))
    assert found["a"]["signers"] == {"verified": 3, "unsigned": 1}
    assert (found["agreed"], found["contradicted"], found["not_verified"]) == (4, 0, 1)


def test_a_revoked_observer(sides: Path) -> None:
    """With the authority's list its readings are unverified, and it is said why; the contradiction stays one."""
    listed = revocation.make(1, [Revoked(LIDAR.hash, 0, "stolen")], signer(ROOT.name))
    (sides / "revoked.cose").write_bytes(listed)
    asked = ("compare", sides / "a", sides / "b", *trusting(sides), "--revoked", sides / "revoked.cose", "--json")
    found = parsed(lineage(*asked), 1)
    assert found["a"]["signers"] == {"unverified": 3, "unsigned": 1}
    assert "credential_revoked" in found["contradictions"][-1]["a"]["signer"]["detail"]


def test_a_lineage_that_fails_verification_is_not_compared(sides: Path) -> None:
    """Nothing in it counts: the status is 1, and a line says which and why."""
    broken = sides / "broken.lineage"
    data = (sides / "b.lineage").read_bytes()
    at = data.index(b"pallet 12")
    broken.write_bytes(data[:at] + b"q" + data[at + 1 :])
    done = lineage("compare", sides / "a", broken)
    assert (done.returncode, done.stdout) == (1, "")
    assert "broken.lineage fails verification" in done.stderr


def test_a_running_recorder(sides: Path, tmp_path: Path) -> None:
    """It is asked over its socket, or found by its state."""
    state = made(tmp_path / "arm")
    with Running(state) as running:
        with Recorder(running.socket, timeout_ms=60_000) as client:
            client.observe(observations.made(reading(2.6, 1000), "lidar"))
        for source in (state, running.socket):
            found = parsed(lineage("compare", source, sides / "b", "--json"), 1)
            assert (found["a"]["observations"], found["contradicted"]) == (1, 1)
        assert running.stop() == 0


def test_misuse_is_one_line(sides: Path) -> None:
    """What cannot be understood or read says so, with status 2."""
    a, b = sides / "a", sides / "b"
    assert "--within '5' is no time span" in one_line(lineage("compare", a, b, "--within", "5"))
    assert "is no tolerance" in one_line(lineage("compare", a, b, "--tolerance", "x"))
    assert "none.cose: No such file" in one_line(lineage("compare", a, b, "--credential", sides / "none.cose"))
    (sides / "none.cose").write_bytes(b"x")
    assert "none.cose" in one_line(lineage("compare", a, b, "--credential", sides / "none.cose"))
    assert "note_malformed" in one_line(lineage("compare", a, b, "--observer", "x"))
    assert one_line(lineage("compare", a, sides / "nowhere"))
