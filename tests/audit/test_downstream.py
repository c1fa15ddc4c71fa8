"""`audit.downstream`: everything that leads to an entry, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.audit.downstream import Impact, Origin, impact
from recorder.core.kinds import Kind
from tests.audit.lineages import authorised
from tests.audit.test_upstream import opened
from tests.lineage_builder import WHY, LineageBuilder
from tests.vectors.valid import every_kind, restarts

MADE = authorised()


def found(
    lineage: LineageBuilder, of: Origin, tmp_path: Path, where: str = "state"
) -> tuple[list[tuple[int, str]], Impact]:
    """Seqs and relations of what was listed, and the counts."""
    listed: list[tuple[int, str]] = []
    with opened(where, lineage, tmp_path) as source:
        counts = impact(source, of, lambda held, relation, _: listed.append((held.seq, relation)))
    assert counts.entries == len(listed) == sum(counts.kinds.values()) == sum(counts.relations.values())
    return listed, counts


def _under_first() -> list[tuple[int, str]]:
    return [
        (MADE.commits, "cycle"), (MADE.second, "supersedes"), (MADE.confirmation, "confirms"), (MADE.end, "ends"),
    ]  # fmt: skip


@pytest.mark.parametrize("where", ["state", "running", "bundle"])
def test_a_reading_has_touched_the_cycle_and_all_below_it(tmp_path: Path, where: str) -> None:
    """The cycle that names it as an input, its commits, what confirms them; what supersedes it, and no more of that."""
    listed, counts = found(MADE.lineage, Origin(MADE.sensed), tmp_path, where)
    assert listed == [(MADE.first, "input"), *_under_first()]
    assert (counts.commits, counts.rows) == (2, 0)
    assert counts.kinds == {Kind.CYCLE: 2, Kind.ACTUATION: 1, Kind.CONFIRMATION: 1, Kind.CYCLE_END: 1}


def test_a_reference_counts_as_an_input_does(tmp_path: Path) -> None:
    """Key 12, uses."""
    listed, _ = found(MADE.lineage, Origin(MADE.used), tmp_path)
    assert listed == [(MADE.second, "uses"), (MADE.commit, "cycle"), (MADE.end + 1, "ends")]


def test_a_credential_has_touched_what_was_done_below_it(tmp_path: Path) -> None:
    """By its entry and by its hash, through the credential that was delegated from it, and not somebody else's acts."""
    listed, _ = found(MADE.lineage, Origin(MADE.parent), tmp_path)
    assert listed[:3] == [(MADE.credential, "delegated_from"), (MADE.first, "delegation"), (MADE.commits, "cycle")]
    assert MADE.other not in dict(listed)
    assert (MADE.second, "who") in listed
    by_hash, counts = found(MADE.lineage, Origin(None, digest=MADE.delegation), tmp_path / "two")
    assert by_hash == listed[1:]
    assert counts.brought == [MADE.credential]


def test_who_alone_is_led_to_by_what_shares_it(tmp_path: Path) -> None:
    """The carrier of who is the first cycle; an input of that has not touched what only shares its who."""
    lineage = LineageBuilder().setup(1)
    seen = lineage.control(Kind.OBSERVATION, bytes(32), body={"x": 1})
    named = f"{seen}-{lineage.hash_of(seen).hex()[:8]}"
    first = lineage.cycle(why={**WHY, "inputs": [{"name": "x", "entry": named}]})
    second = lineage.cycle()
    assert found(lineage, Origin(seen), tmp_path)[0] == [(first.carrier, "input")]
    assert found(lineage, Origin(first.carrier), tmp_path / "two")[0] == [(second.carrier, "who")]


def test_a_commit_is_told_from_its_neighbour(tmp_path: Path) -> None:
    """The confirmation names the second one of two."""
    assert found(MADE.lineage, Origin(MADE.commits, 1), tmp_path)[0] == [(MADE.confirmation, "confirms")]
    assert found(MADE.lineage, Origin(MADE.commits, 0), tmp_path / "two")[0] == []
    assert found(MADE.lineage, Origin(MADE.commits), tmp_path / "three")[0] == [(MADE.confirmation, "confirms")]


def test_a_commit_has_not_touched_what_shares_the_who_beside_it(tmp_path: Path) -> None:
    """Its entry has: the claims lie there; no commit of it stands for them."""
    lineage = LineageBuilder().setup(1)
    event = lineage.event()
    cycle = lineage.cycle()
    assert found(lineage, Origin(event), tmp_path)[0] == [(cycle.carrier, "who")]
    assert found(lineage, Origin(event, 0), tmp_path / "two")[0] == []


def test_an_introduction_has_touched_what_its_key_signed(tmp_path: Path) -> None:
    """Up to the next one; and what uses the declarations among that."""
    lineage = restarts()
    listed, counts = found(lineage, Origin(lineage.seq - 3), tmp_path)
    assert listed == [(lineage.seq - 2, "key"), (lineage.seq - 1, "cycle")]
    assert counts.relations == {"key": 1, "cycle": 1}


def test_a_bundle_is_asked_for_by_its_digest_or_by_one_of_its_entries(tmp_path: Path) -> None:
    """An entry stands for what was done while it was the nearest; the digest for all of that."""
    lineage = LineageBuilder().setup(1)
    one = lineage.cycle()
    again = lineage.policy()
    two = lineage.cycle()
    assert found(lineage, Origin(1), tmp_path)[0] == [(one.carrier, "policy")]
    assert found(lineage, Origin(again), tmp_path / "two")[0] == [(two.carrier, "policy")]
    listed, counts = found(lineage, Origin(None, digest=lineage.bundle), tmp_path / "three")
    assert listed == [(one.carrier, "policy"), (two.carrier, "policy")]
    assert counts.brought == [1, again]


def test_foreign_references_lead_nowhere_here(tmp_path: Path) -> None:
    """Entry 4 of another log is not entry 4 of this one."""
    lineage = every_kind()
    listed, _ = found(lineage, Origin(4), tmp_path)
    assert all(relation != "uses" for _, relation in listed)


def test_what_cannot_be_told_is_counted(tmp_path: Path) -> None:
    """Claims that are gone may have named an input; an entry that cannot be read may be anything."""
    made = authorised()
    records = made.lineage.records
    records[made.first] = records[made.first]._replace(claims=None)
    records[made.commit] = records[made.commit]._replace(raw=b"\xff" + records[made.commit].raw[1:])
    listed, counts = found(made.lineage, Origin(made.sensed), tmp_path)
    assert (listed, counts.gone, counts.unread) == ([], 1, 1)
