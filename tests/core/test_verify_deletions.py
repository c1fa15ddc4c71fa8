"""Step 8: deletions against the rules in force and against holds."""

from __future__ import annotations

from typing import Any

import pytest

from recorder.core import cbor
from recorder.core.entry import decode
from recorder.core.kinds import Kind
from recorder.core.retention import Rule, rules_in
from recorder.core.verify import verify_lineage
from recorder.core.verify.deletions import Deletions
from tests.lineage_builder import MS, ORIGIN, LineageBuilder
from tests.vectors.breaking import ruled

NS = 1000 * MS
TICK_NS = MS  # by which the builder's clock goes on at each entry


def rule(keep_s: int | None, max_bytes: int | None = None, *, rows_may_go: bool = False) -> dict[str, Any]:
    return {"standard": {"keep_s": keep_s, "max_bytes": max_bytes, "rows_may_go": rows_may_go}}


def delete(lineage: LineageBuilder, first: int, last: int, name: str = "standard", by: bytes | None = None) -> int:
    return lineage.control(Kind.DELETION, first, last, name, by)


def found(lineage: LineageBuilder) -> list[tuple[int | None, str]]:
    report = verify_lineage(ORIGIN, lineage.records)
    assert report.authority == ("fail" if report.problems else "nothing")
    return [(one.seq, one.error) for one in report.problems]


@pytest.mark.parametrize(("short_ns", "errors"), [(0, []), (1, ["deletion_early"])])
def test_the_age_of_the_oldest_entry_counts(short_ns: int, errors: list[str]) -> None:
    """Of age on the nanosecond: fine; a nanosecond too young: found, at the deletion."""
    lineage = ruled(rule(60))
    first = lineage.actuator(1)
    oldest_utc_ns = decode(lineage.records[first].raw).header.time.utc_ns
    lineage.clock.pass_ns(10 * NS)
    last = lineage.actuator(2)
    lineage.clock.pass_ns(oldest_utc_ns + 60 * NS - short_ns - TICK_NS - lineage.clock.utc_ns)
    seq = delete(lineage, first, last)
    assert decode(lineage.records[seq].raw).header.time.utc_ns == oldest_utc_ns + 60 * NS - short_ns
    assert [error for _, error in found(lineage)] == errors
    assert all(at == seq for at, _ in found(lineage))


@pytest.mark.parametrize(
    ("rules", "name", "errors"),
    [
        (rule(None), "standard", ["deletion_early"]),  # kept for ever
        (rule(0), "footage", ["deletion_early"]),  # without a rule: for ever
        (rule(10**6), "standard", ["deletion_early"]),
        (rule(0), "standard", []),
        (rule(10**6, max_bytes=1), "standard", []),  # how much there was, nobody can tell later
        (rule(None, rows_may_go=True), "standard", []),
    ],
)
def test_what_the_rules_permit(rules: dict[str, Any], name: str, errors: list[str]) -> None:
    """By class, as the bundle in force states it."""
    lineage = ruled(rules)
    delete(lineage, 0, 1, name)
    assert [error for _, error in found(lineage)] == errors
    early = rules["standard"]["keep_s"] != 0
    assert verify_lineage(ORIGIN, lineage.records).notes["deletions_before_term"] == (early and not errors)


def test_the_rules_in_force_count() -> None:
    """Those of the latest policy entry before the deletion."""
    lineage = ruled(rule(None))
    lineage.policy(cbor.encode({"lineage/retention/1": rule(0)}))
    delete(lineage, 0, 1)
    lineage.policy(cbor.encode({"lineage/retention/1": rule(None)}))
    assert found(lineage) == []


@pytest.mark.parametrize(
    ("first", "last", "released", "errors"),
    [
        (0, 1, False, ["deletion_held"]),
        (2, 2, False, ["deletion_held"]),
        (1, None, False, ["deletion_held"]),
        (3, 4, False, []),
        (0, 0, False, []),
        (0, 1, True, []),
    ],
)
def test_holds(first: int, last: int | None, released: bool, errors: list[str]) -> None:
    """A hold that touches the range of a later deletion, until it is released."""
    lineage = ruled(rule(0))
    for number in range(3):
        lineage.actuator(number)
    seq = lineage.control(Kind.HOLD, first, last, "add", body={"reason": "incident 12"})
    if released:
        refs = {4: [[None, seq, lineage.hash_of(seq)]]}
        lineage.control(Kind.HOLD, first, last, "release", body={"reason": "closed"}, refs=refs)
    delete(lineage, 1, 2)
    assert [error for _, error in found(lineage)] == errors


@pytest.mark.parametrize("case", ["opaque bundle", "claims not held", "authorised"])
def test_what_cannot_be_judged_is_counted(case: str) -> None:
    """Neither passed over nor accused."""
    lineage = ruled(rule(None)) if case != "opaque bundle" else LineageBuilder().setup()
    delete(lineage, 0, 1, by=bytes(32) if case == "authorised" else None)
    if case == "claims not held":
        lineage.records[1] = lineage.records[1]._replace(claims=None)
    report = verify_lineage(ORIGIN, lineage.records)
    assert report.notes["deletions_unjudged"] == 1
    assert report.problem_counts.keys() <= {"claims_missing"}


def test_times_of_a_long_lineage_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded, and a deletion too early is found all the same."""
    monkeypatch.setattr("recorder.core.verify.deletions.TIMES_MAX", 8)
    lineage = ruled(rule(60))
    for number in range(100):
        lineage.actuator(number)
    lineage.clock.pass_ns(50 * NS)
    early = [delete(lineage, 2, 90), delete(lineage, 3, 3)]
    assert found(lineage) == [(seq, "deletion_early") for seq in early]
    deletions = Deletions(lambda error, seq, detail: None)
    for raw, claims in lineage.records:
        deletions.check(decode(raw).header, claims)
        assert len(deletions._times) <= 8


@pytest.mark.parametrize(
    "bundle",
    [
        b"",
        b"table of bounds 1",
        cbor.encode([]),
        cbor.encode({}),
        cbor.encode({"lineage/retention/1": []}),
        cbor.encode({"lineage/retention/1": {"a": {"keep_s": 1}}}),
        cbor.encode({"lineage/retention/1": {"a": {"keep_s": "1", "max_bytes": None, "rows_may_go": False}}}),
    ],
)
def test_a_bundle_without_rules_that_we_can_read(bundle: bytes) -> None:
    """None, which is not "no rules"."""
    assert rules_in(bundle) is None


def test_rules_of_a_bundle() -> None:
    """As they are stated."""
    assert rules_in(cbor.encode({"lineage/retention/1": rule(5, 6, rows_may_go=True)})) == {
        "standard": Rule(5, 6, True)
    }
    assert rules_in(cbor.encode({"lineage/retention/1": {}})) == {}
