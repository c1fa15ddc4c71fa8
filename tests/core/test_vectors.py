"""The vectors: made again byte for byte, each verified, one for each error that a lineage can show."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest

from recorder.audit.programs import programs
from recorder.core.findings import FINDINGS
from recorder.core.note import VerifierKey
from recorder.core.verdict import Report
from recorder.core.verify import verify_lineage
from recorder.core.volume import parse_volume
from tests.vectors.make_vectors import make, on_disk

HELD = on_disk()


def verified(vector: dict[str, Any]) -> Report:
    records = [
        (bytes.fromhex(item["entry"]), None if item["claims"] is None else bytes.fromhex(item["claims"]))
        for item in vector["entries"]
    ]
    return verify_lineage(
        vector["origin"],
        records,
        trusted_identity=bytes.fromhex(vector["trusted_identity"]),
        checkpoints=[bytes.fromhex(note) for note in vector["checkpoints"]],
        roots=[VerifierKey.parse(root) for root in vector.get("roots", ())],
        programs=programs(),
    )


def test_the_script_makes_what_is_checked_in() -> None:
    """Neither the format nor the builder has drifted from the published bytes."""
    made = make()
    assert made.keys() == HELD.keys()
    assert [path for path in made if made[path] != HELD[path]] == []


def test_every_error_of_a_lineage_has_a_vector() -> None:
    """A named error without a vector would be a claim nobody checked."""
    named = {name for name, finding in FINDINGS.items() if finding.in_lineage}
    assert named == {path.removeprefix("broken/").removesuffix(".json") for path in HELD if path.startswith("broken/")}


def test_the_vector_of_a_volume() -> None:
    """Its bytes are read as the values beside them."""
    vector = json.loads(HELD["bundle/volume.json"])
    data = bytes.fromhex(vector["bytes"])
    assert parse_volume(data)._asdict() == vector["values"]
    assert parse_volume(data).member == vector["member"]
    assert sha256(data).hexdigest() == vector["hash"]


@pytest.mark.parametrize("path", sorted(path for path in HELD if path.startswith(("valid/", "broken/"))))
def test_vector(path: str) -> None:
    """A valid vector has no failed check; a broken one shows its error first, in its step and place."""
    vector = json.loads(HELD[path])
    report = verified(vector)
    expected = vector["expected"]
    assert report.exit_status() == expected["exit_status"], report.problems
    assert report.entries == len(vector["entries"])
    if path.startswith("valid/"):
        assert report.integrity == "pass"
        return
    first = report.problems[0]
    assert (first.step, first.seq, first.error) == (expected["step"], expected["seq"], expected["error"])
    finding = FINDINGS[first.error]
    for verdict in finding.verdicts:
        assert getattr(report, verdict) == ("fail" if finding.severity == "failed" else "lossy")
    outcomes = {line.step: line.outcome for line in report.steps}
    assert outcomes[first.step] == ("fail" if finding.severity == "failed" else "lossy")


def test_an_authority_error_leaves_integrity_whole() -> None:
    """Verdicts are separate: a commit beyond its bounds is recorded honestly."""
    report = verified(json.loads(HELD["broken/cycle_commits.json"]))
    assert (report.integrity, report.completeness, report.authority) == ("pass", "pass", "fail")
