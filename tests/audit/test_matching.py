"""`audit.matching`: entries by what is true of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.audit import matching
from recorder.audit.matching import Counted, Query
from recorder.audit.span import Span
from recorder.core.entry import decode
from recorder.core.kinds import Kind
from tests.audit.lineages import authorised, small
from tests.audit.test_upstream import opened
from tests.lineage_builder import LineageBuilder
from tests.vectors.valid import events, staged

MADE = authorised()
LAST = MADE.lineage.seq - 1


def asked(
    lineage: LineageBuilder,
    tmp_path: Path,
    wanted: dict[str, str],
    *,
    where: str = "state",
    actuator: int | None = None,
    count_by: str | None = None,
    span: Span | None = None,
) -> tuple[list[int], Query]:
    """Seqs of what matched, and the query with its counts."""
    query = Query(wanted, actuator, count_by)
    with opened(where, lineage, tmp_path) as source:
        everything = Span(0, source.size - 1)
        seqs = [match.held.seq for match in query.run(source, span or everything, lambda number: f"joint{number}")]
    assert query.total.entries == len(seqs)
    return seqs, query


@pytest.mark.parametrize("where", ["state", "running", "bundle"])
def test_an_operator_is_found_through_the_carrier_of_who(tmp_path: Path, where: str) -> None:
    """Commits name the cycle that carries who, and are matched by what it says."""
    seqs, query = asked(MADE.lineage, tmp_path, {"operator": "bob"}, where=where)
    assert seqs == [MADE.first, MADE.commits, MADE.second, MADE.commit]
    assert query.total == Counted(4, 3, 0)


@pytest.mark.parametrize(
    ("wanted", "seqs"),
    [
        ({"task": "pick"}, [MADE.first, MADE.commits, MADE.second, MADE.commit]),
        ({"task": "(none)", "kind": "cycle"}, [MADE.other]),
        ({"delegation": MADE.delegation.hex(), "kind": "actuation"}, [MADE.commits, MADE.commit]),
        ({"capability": "weld"}, []),
        ({"action-class": "motion", "operator": "eve"}, [MADE.other, MADE.other + 1]),
        ({"decision": "admitted", "kind": "cycle"}, [MADE.first, MADE.second, MADE.other]),
        ({"kind": "confirmation"}, [MADE.confirmation]),
        ({"entity": "eve"}, [MADE.other, MADE.other + 1]),
        ({"entity": "arm-7", "operator": "eve"}, [MADE.other, MADE.other + 1]),
        ({"entity": "eve", "operator": "bob"}, []),
        ({"entity": "pick"}, []),
        ({"delegation": MADE.delegation.hex()[:8], "kind": "actuation"}, [MADE.commits, MADE.commit]),
        ({"delegation": MADE.delegation.hex()[:7]}, []),
        ({"delegation": MADE.delegation.hex()[1:10]}, []),
        ({"task": "pic"}, []),
        ({"stage": "direct", "kind": "cycle"}, [MADE.first, MADE.second, MADE.other]),
        ({"stage": "witnessed"}, []),
    ],
)
def test_all_filters_must_hold(tmp_path: Path, wanted: dict[str, str], seqs: list[int]) -> None:
    """Each by itself, and two together."""
    assert asked(MADE.lineage, tmp_path, wanted)[0] == seqs


def test_an_actuator_matches_its_commits_and_the_cycles_that_admit_it(tmp_path: Path) -> None:
    """Of an entry that holds commits of two, the one is counted."""
    seqs, query = asked(MADE.lineage, tmp_path, {}, actuator=2)
    assert seqs == [MADE.first, MADE.commits]
    assert query.total == Counted(2, 1, 0)


def test_a_span_bounds_what_is_looked_at_and_not_where_who_is_found(tmp_path: Path) -> None:
    """The carrier lies below the span."""
    assert asked(MADE.lineage, tmp_path, {"operator": "bob"}, span=Span(MADE.commit, LAST))[0] == [MADE.commit]


def test_carriers_that_were_forgotten_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One at a time is kept, and the answer is the same."""
    monkeypatch.setattr(matching, "CARRIERS_MAX", 1)
    lineage = LineageBuilder().setup(1)
    cycles = []
    for name in ("ann", "bob"):
        lineage.acting(operator=name)
        cycles.append(lineage.cycle())
        lineage.commit(cycles[-1])
    shared = lineage._who
    lineage._who = [_digest_of_who(lineage, cycles[0].carrier), cycles[0].carrier]
    last = lineage.commit(cycles[0])
    lineage._who = shared
    seqs, query = asked(lineage, tmp_path, {"operator": "ann"})
    assert seqs == [cycles[0].carrier, cycles[0].carrier + 1, last]
    assert list(query._carriers) == [cycles[0].carrier]


def _digest_of_who(lineage: LineageBuilder, seq: int) -> bytes:
    who = decode(lineage.records[seq].raw).header.who
    assert who is not None
    return who.digest


def test_counts_are_by_value(tmp_path: Path) -> None:
    """Entries, commits and rows of each; of an actuator only its own commits."""
    lineage = small()
    _, query = asked(lineage, tmp_path, {"kind": "actuation"}, count_by="actuator")
    assert query.by_value == {"joint1": Counted(12, 11, 3), "joint2": Counted(11, 11, 0)}
    _, query = asked(lineage, tmp_path / "two", {}, count_by="decision")
    assert query.by_value["admitted"] == Counted(24, 21, 3)
    assert query.by_value["refused"] == Counted(1, 0, 0), "what was refused was not made"
    assert query.by_value["ungated"] == Counted(1, 1, 0)
    assert sum(one.entries for one in query.by_value.values()) == lineage.seq
    _, query = asked(MADE.lineage, tmp_path / "three", {"kind": "cycle"}, count_by="operator")
    assert query.by_value == {"bob": Counted(2, 0, 0), "eve": Counted(1, 0, 0)}


def test_values_beyond_what_is_kept_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else whoever invents tasks could fill the memory of whoever counts them."""
    monkeypatch.setattr(matching, "VALUES_MAX", 1)
    _, query = asked(MADE.lineage, tmp_path, {}, count_by="kind")
    assert set(query.by_value) == {"boot", "(others)"}


@pytest.mark.parametrize("how", ["withheld", "withheld whole", "deleted"])
def test_whoever_cannot_be_told_is_counted_and_not_matched(tmp_path: Path, how: str) -> None:
    """Neither as somebody nor as nobody."""
    lineage = LineageBuilder(transport=how != "deleted", withhold=["operator", "*"]).setup(1)
    if how == "withheld whole":
        lineage.who_claims = {"*": {"operator": "ann", "platform": "p", "delegation": None}}
    lineage.commit(lineage.cycle())
    if how == "deleted":
        lineage.control(Kind.DELETION, 3, 4, "standard", None)
        lineage.records[3] = lineage.records[3]._replace(claims=None)
    for at, operator in enumerate(("j.doe", "(none)")):
        seqs, query = asked(lineage, tmp_path / str(at), {"operator": operator, "action-class": "motion"})
        assert (seqs, query.undecided) == ([], 2)
    _, query = asked(lineage, tmp_path / "count", {"kind": "cycle"}, count_by="operator")
    assert query.by_value == {"(not here)": Counted(1, 0, 0)}


def test_what_cannot_be_read_is_counted(tmp_path: Path) -> None:
    """It may have matched."""
    lineage = events()
    lineage.records[2] = lineage.records[2]._replace(raw=b"\xff" + lineage.records[2].raw[1:])
    assert asked(lineage, tmp_path, {"decision": "ungated"})[1].unread == 1


def test_stages_are_counted_and_found(tmp_path: Path) -> None:
    """Cycles and their commits, and what aborts."""
    seqs, query = asked(staged(), tmp_path, {"stage": "witnessed"}, count_by="stage")
    assert (len(seqs), query.by_value) == (2, {"witnessed": Counted(2, 1, 0)})
    _, query = asked(staged(), tmp_path / "two", {}, count_by="stage")
    assert query.by_value["aborted"] == Counted(1, 1, 0)


def test_an_entity_that_is_withheld_cannot_be_told(tmp_path: Path) -> None:
    """It may be the one that is asked for; where another one of the four has the name, it is."""
    lineage = LineageBuilder(transport=True, withhold=("operator",)).setup(1)
    cycle = lineage.cycle().carrier
    seqs, query = asked(lineage, tmp_path, {"entity": "j.doe"})
    assert (seqs, query.undecided) == ([], 1)
    seqs, query = asked(lineage, tmp_path / "two", {"entity": "arm-7"})
    assert (seqs, query.undecided) == ([cycle], 0)
    seqs, query = asked(lineage, tmp_path / "three", {"entity": "arm-8", "task": "pick"})
    assert (seqs, query.undecided) == ([], 0)
