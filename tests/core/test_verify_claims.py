"""Step 8: every shape that claims can have beside an entry, and what each is found to be."""

from __future__ import annotations

from copy import deepcopy
from hashlib import sha256
from typing import Any

import pytest

from recorder.core import cbor
from recorder.core.controls import Deletion
from recorder.core.entry import decode
from recorder.core.kinds import ActionClass, Kind
from recorder.core.limits import CLAIMS_MAX_BYTES
from recorder.core.rows import leaf
from recorder.core.verdict import Deleted
from recorder.core.verify import Job, check_job, check_jobs, verify_lineage
from recorder.core.verify.cycles import CYCLES_KEPT, Cycles
from recorder.core.verify.missing import MissingClaims
from tests.lineage_builder import MS, ORIGIN, LineageBuilder


class WholeBuilder(LineageBuilder):
    """Puts every family but an empty one under the only key "*"."""

    def family(self, name: str, values: dict[str, Any]) -> tuple[bytes, Any]:
        return super().family(name, {"*": values} if values else values)


def committed(lineage: LineageBuilder) -> int:
    return lineage.setup(1).commit(lineage.cycle())


def errors(lineage: LineageBuilder) -> dict[str, int]:
    return verify_lineage(ORIGIN, lineage.records).problem_counts


@pytest.mark.parametrize(
    ("held", "error"),
    [
        ([], "claims_malformed"),
        ({"who": 1}, "claims_malformed"),
        ({10: []}, "claims_malformed"),
        ({10: [[]]}, "claims_malformed"),
        ({10: [[{}, {}, {}]]}, "claims_malformed"),
        ({10: [[1, None]]}, "claims_malformed"),
        ({10: [[[bytes(16), {}], [bytes(16), None]]]}, "claims_malformed"),
        ({10: [[{"a": 1}, {"a": [bytes(15), 1]}]]}, "claims_malformed"),
        ({10: [[[bytes(16), {1: 2}], {1: bytes(32)}]]}, "claims_malformed"),
        ({10: [[{}, {}]]}, "claims_mismatch"),
        ({}, "claims_missing"),
    ],
)
def test_shapes_of_claims(held: Any, error: str) -> None:
    """Whatever stands where claims belong is named, and nothing is raised."""
    lineage = LineageBuilder()
    seq = committed(lineage)
    lineage.records[seq] = lineage.records[seq]._replace(claims=cbor.encode(held))
    assert errors(lineage).keys() == {error}


def test_claims_beyond_their_size() -> None:
    """They are refused before they are decoded."""
    lineage = LineageBuilder()
    seq = committed(lineage)
    lineage.records[seq] = lineage.records[seq]._replace(claims=bytes(CLAIMS_MAX_BYTES + 1))
    assert errors(lineage) == {"claims_malformed": 1}


def test_no_claims_may_be_written_as_an_empty_map() -> None:
    """An entry without digests has nothing beside it, or the empty map, and nothing else."""
    lineage = LineageBuilder().setup(1)
    seq = lineage.stop()
    lineage.records[seq] = lineage.records[seq]._replace(claims=b"\xa0")
    assert errors(lineage) == {}
    lineage.records[seq] = lineage.records[seq]._replace(claims=b"\xa1\x08\xa0")
    assert errors(lineage) == {"claims_extra": 1}


@pytest.mark.parametrize("transport", [False, True])
def test_whole_families(transport: bool) -> None:
    """What stands under the only key "*" is looked into for what is required."""
    lineage = WholeBuilder(transport=transport)
    committed(lineage)
    lineage.event()
    assert errors(lineage) == {}
    lineage.event(reason=None)
    assert errors(lineage) == {"claim_required": 1}


def test_a_whole_family_withheld() -> None:
    """Nothing tells its keys: they count as there."""
    lineage = WholeBuilder(transport=True, withhold=("*",))
    committed(lineage)
    lineage.event(reason=None)
    assert errors(lineage) == {}


def test_a_whole_family_that_is_no_map() -> None:
    """The key "*" holds claims and nothing else."""
    lineage = LineageBuilder(transport=True).setup(1)
    lineage.cycle(why={"*": "text"})
    assert errors(lineage) == {"claims_malformed": 1}


@pytest.mark.parametrize(
    ("body", "error"),
    [({}, "claim_required"), ({"bundle": None}, "bundle_digest"), ({"bundle": "text"}, "bundle_digest")],
)
def test_a_policy_entry_shows_its_bundle(body: dict[str, Any], error: str) -> None:
    """The claim is there, is bytes, and is what control says."""
    lineage = LineageBuilder()
    lineage.boot()
    lineage.control(Kind.POLICY, bytes(32), body=body)
    assert errors(lineage) == {error: 1}


CONTROL = {"asked": "j.doe", "in_control": None, "means": "switch"}


@pytest.mark.parametrize("builder", [LineageBuilder, WholeBuilder])
@pytest.mark.parametrize("lacking", [None, *CONTROL])
def test_a_control_transition_says_who_is_in_control(builder: type[LineageBuilder], lacking: str | None) -> None:
    """Three claims, of which each may be null and none may lack; a withheld one counts as there."""
    for lineage in (builder(), builder(transport=True, withhold=("asked",))):
        lineage.boot()
        lineage.control(Kind.CONTROL_TRANSITION, body={key: CONTROL[key] for key in CONTROL if key != lacking})
        assert errors(lineage) == ({"claim_required": 1} if lacking else {})


@pytest.mark.parametrize("builder", [LineageBuilder(), LineageBuilder(transport=True), WholeBuilder()])
@pytest.mark.parametrize(
    ("control", "body", "found"),
    [
        ([sha256(b"signed").digest()], {"observation": b"signed"}, {}),
        ([sha256(b"signed").digest()], {"battery_v": 23.5}, {}),
        ([], {"battery_v": 23.5}, {}),
        ([bytes(32)], {"observation": b"signed"}, {"observation_digest": 1}),
        ([], {"observation": b"signed"}, {"observation_digest": 1}),
        ([sha256(b"signed").digest()], {"observation": "signed"}, {"observation_digest": 1}),
        ([sha256(b"signed").digest()], {"observation": None}, {"observation_digest": 1}),
    ],
)
def test_an_observation_entry_names_what_was_signed(
    builder: LineageBuilder, control: list[Any], body: dict[str, Any], found: dict[str, int]
) -> None:
    """Where the claim is there, it is bytes and what control says; without it, control may say anything or nothing."""
    lineage = deepcopy(builder)
    lineage.boot()
    lineage.control(Kind.OBSERVATION, *control, body=body)
    assert errors(lineage) == found


def test_an_observation_withheld() -> None:
    """Its digest still stands in control."""
    lineage = LineageBuilder(transport=True, withhold=("observation",))
    lineage.boot()
    lineage.control(Kind.OBSERVATION, bytes(32), body={"observation": b"signed"})
    assert errors(lineage) == {}


def test_a_bundle_withheld() -> None:
    """Its digest still stands in control."""
    lineage = LineageBuilder(transport=True, withhold=("bundle",)).setup(1)
    assert errors(lineage) == {}


def test_rows_withheld_one_by_one() -> None:
    """A leaf stands for its row; the time of a row that is not there is not compared."""
    lineage = LineageBuilder(transport=True).setup(1)
    cycle = lineage.cycle()
    seq = lineage.rows(cycle, lineage.schema())
    claims = cbor.decode(lineage.records[seq].claims or b"")
    salt, row = claims[10][0][2][0]
    claims[10][0][2][0] = leaf(salt, row)
    lineage.records[seq] = lineage.records[seq]._replace(claims=cbor.encode(claims))
    assert errors(lineage) == {}
    claims[10][0][2][0] = bytes(32)
    lineage.records[seq] = lineage.records[seq]._replace(claims=cbor.encode(claims))
    assert errors(lineage) == {"rows_root": 1}


def test_a_job_of_bytes_that_are_no_entry() -> None:
    """A job is checked on its own, whoever made it."""
    found = check_job(Job(7, b"\x00", b"", bytes(32), None, ()))
    assert [item[:3] for item in found] == [(1, 7, "entry_malformed")]
    assert check_jobs([]).jobs == 0


def test_cycles_that_are_over_are_forgotten() -> None:
    """What is remembered does not grow with the lineage."""
    found: list[str] = []
    cycles = Cycles(lambda error, seq, detail: found.append(error))
    lineage = LineageBuilder().setup(1)
    lineage.cycle(valid_ns=MS)
    policy, opened = (decode(lineage.records[seq].raw).header for seq in (1, 3))
    cycles.check(policy)
    for seq in range(3, 3 + 2 * CYCLES_KEPT):
        assert opened.why is not None
        why = opened.why._replace(carrier=seq)
        time = opened.time._replace(mono_ns=opened.time.mono_ns + 2 * MS * seq)
        assert opened.bounds is not None
        bounds = opened.bounds._replace(not_after_mono_ns=time.mono_ns + MS)
        cycles.check(opened._replace(seq=seq, why=why, time=time, bounds=bounds))
    assert len(cycles._cycles) <= CYCLES_KEPT
    assert found == []


def missing_in(*gone: int, deletions: tuple[tuple[int, int, int, str], ...] = (), last: int = 100) -> MissingClaims:
    """Entries up to `last` of class a, these without claims, then deletion entries: seq, first, last, class."""
    lineage = LineageBuilder().setup(1)
    header = decode(lineage.records[lineage.commit(lineage.cycle())].raw).header
    missing = MissingClaims(lambda error, seq, detail: None)
    for seq in range(last + 1):
        missing.note(header._replace(seq=seq, classes=ActionClass("move", "a")), held=seq not in gone)
    for seq, first, until, name in deletions:
        missing.delete(seq, Deletion(first, until, name, None))
    return missing


def test_the_report_says_which_deletion_accounts_for_what() -> None:
    """By entry, as far as its range goes; a deletion of what is held accounts for nothing."""
    missing = missing_in(3, 4, 8, 50, deletions=((101, 0, 6, "a"), (102, 7, 49, "a"), (103, 50, 60, "b")))
    assert missing.deleted == [Deleted(101, "a", 3, 4), Deleted(102, "a", 8, 8)]
    assert missing.deletions == 2
    assert missing.unaccounted() == [("a", (50, 50))]
    assert missing_in(deletions=((101, 0, 100, "a"),)).deleted == []


def test_thousands_of_gaps_are_few_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second entry without claims: memory stays bounded, deletions still account for it, and what none names is found."""
    monkeypatch.setattr("recorder.core.verify.missing.RANGES_MAX", 8)
    odd = range(1, 100, 2)
    assert missing_in(*odd, deletions=((101, 0, 49, "a"), (102, 50, 100, "a"))).unaccounted() == []
    left = missing_in(*odd, deletions=((101, 0, 49, "a"),)).unaccounted()
    assert min(item.first for _, item in left) >= 50
    assert max(item.last for _, item in left) == 99
    assert len(left) <= 8
