"""`audit.linkcheck`: what belongs together is there on both sides, or the finding says where it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from recorder.audit.linkcheck import CLOSING_NS, Closed, Finding, check_links
from recorder.core.kinds import Kind
from tests.audit.lineages import authorised, small
from tests.audit.test_upstream import opened
from tests.lineage_builder import MS, LineageBuilder
from tests.vectors.valid import VALID, every_kind, staged


def checked(lineage: LineageBuilder, tmp_path: Path, where: str = "state", *span: str) -> tuple[list[Finding], Closed]:
    findings: list[Finding] = []
    with opened(where, lineage, tmp_path, *span) as source:
        closed = check_links(source, findings.append)
    assert closed.findings == len(findings)
    return findings, closed


@pytest.mark.parametrize("make", VALID)
def test_links_of_a_valid_lineage_close(tmp_path: Path, make: Callable[[], LineageBuilder]) -> None:
    """Whatever is in it."""
    assert checked(make(), tmp_path)[0] == []


@pytest.mark.parametrize("where", ["state", "running", "bundle"])
def test_what_was_looked_at_is_counted(tmp_path: Path, where: str) -> None:
    """Entries with commits, cycles ended and open, confirmed commits."""
    findings, closed = checked(authorised().lineage, tmp_path, where)
    assert findings == []
    assert closed == Closed(
        acts=3, cycles=3, ended=2, open=1, confirmations=1, elsewhere=0, unread=0, findings=0, stages=0
    )
    findings, closed = checked(small(), tmp_path / "two", where)
    assert (findings, closed.acts, closed.cycles, closed.ended) == ([], 24, 2, 2)


def test_of_a_selection_only_what_lies_in_it_is_judged(tmp_path: Path) -> None:
    """An end whose cycle was left out, a cycle whose commits were: neither is a finding."""
    made = authorised()
    findings, closed = checked(made.lineage, tmp_path, "bundle", str(made.end), str(made.end + 1))
    assert findings == []
    assert closed.elsewhere == 2


def _no_cycle(lineage: LineageBuilder) -> None:
    cycle = lineage.cycle()
    lineage.commit(cycle._replace(carrier=2))


def _another_why(lineage: LineageBuilder) -> None:
    lineage.commit(lineage.cycle()._replace(digest=bytes(32)))


def _ungated_elsewhere(lineage: LineageBuilder) -> None:
    cycle = lineage.cycle()
    lineage.breaking(lambda header: header[9].__setitem__(1, cycle.carrier)).event()


def _left(lineage: LineageBuilder) -> None:
    lineage.cycle(valid_ns=MS)
    lineage.clock.pass_ns(CLOSING_NS)
    lineage.stop()


def _end_of_nothing(lineage: LineageBuilder) -> None:
    lineage.control(Kind.CYCLE_END, 2, 0, "closed")


def _end_again(lineage: LineageBuilder) -> None:
    cycle = lineage.cycle()
    lineage.end(cycle)
    lineage.control(Kind.CYCLE_END, cycle.carrier, 0, "closed")


def _end_with_more(lineage: LineageBuilder) -> None:
    cycle = lineage.cycle()
    lineage.commit(cycle)
    lineage.made[cycle.carrier] += 1
    lineage.end(cycle)


def _confirms(seq: int, index: int, digest: bytes | None = None) -> Callable[[LineageBuilder], None]:
    def make(lineage: LineageBuilder) -> None:
        lineage.commit(lineage.cycle())
        reference = [None, seq, digest or lineage.hash_of(seq), index]
        lineage.control(Kind.CONFIRMATION, bytes(32), body={"frames": b""}, refs={2: [reference]})

    return make


def _takes_over_from_nothing(lineage: LineageBuilder) -> None:
    lineage.cycle(stage=2, after=lineage.cycle().carrier)


def _takes_over_without_an_end(lineage: LineageBuilder) -> None:
    lineage.cycle(stage=2, after=lineage.cycle(stage=1).carrier)


def _aborts_without_an_end(lineage: LineageBuilder) -> None:
    lineage.event(aborts=lineage.cycle(stage=1).carrier)


@pytest.mark.parametrize(
    ("make", "seq", "error"),
    [
        (_takes_over_from_nothing, 4, "stage_missing"),
        (_takes_over_without_an_end, 4, "stage_open"),
        (_aborts_without_an_end, 4, "stage_open"),
        (_no_cycle, 4, "why_missing"),
        (_another_why, 4, "why_missing"),
        (_ungated_elsewhere, 4, "why_missing"),
        (_left, 3, "cycle_left"),
        (_end_of_nothing, 3, "cycle_missing"),
        (_end_again, 5, "end_again"),
        (_end_with_more, 5, "commits_missing"),
        (_confirms(3, 0), 5, "commit_missing"),
        (_confirms(4, 1), 5, "commit_missing"),
        (_confirms(4, 0, bytes(32)), 5, "commit_missing"),
    ],
)
def test_what_does_not_close_is_found(
    tmp_path: Path, make: Callable[[LineageBuilder], None], seq: int, error: str
) -> None:
    """One thing is missing, and it is the finding."""
    lineage = LineageBuilder().setup(1)
    make(lineage)
    assert [(one.seq, one.error) for one in checked(lineage, tmp_path)[0]] == [(seq, error)]


def test_a_cycle_that_may_be_used_yet_is_open(tmp_path: Path) -> None:
    """Until a minute after its bound, or the start that does not carry it over."""
    lineage = LineageBuilder().setup(1)
    lineage.cycle(valid_ns=CLOSING_NS)
    lineage.clock.pass_ns(CLOSING_NS + MS)
    lineage.stop()
    assert checked(lineage, tmp_path)[1].open == 1
    lineage.boot(new_os_boot=True)
    findings, closed = checked(lineage, tmp_path / "two")
    assert (findings, closed.open, closed.ended) == ([], 0, 1)


def test_a_cycle_with_commits_needs_no_end(tmp_path: Path) -> None:
    """Its commits are what came of it, long after its bound too."""
    lineage = LineageBuilder().setup(1)
    lineage.commit(lineage.cycle(valid_ns=10 * MS))
    lineage.clock.pass_ns(2 * CLOSING_NS)
    lineage.stop()
    assert checked(lineage, tmp_path)[0] == []


def test_a_commit_that_was_confirmed_late_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond those that are at hand."""
    monkeypatch.setattr("recorder.audit.linkcheck.RECENT_MAX", 0)
    findings, closed = checked(every_kind(), tmp_path)
    assert (findings, closed.confirmations) == ([], 1)


def test_what_cannot_be_read_is_counted(tmp_path: Path) -> None:
    """A cycle among it leaves its commits without a why."""
    made = authorised()
    records = made.lineage.records
    records[made.other] = records[made.other]._replace(raw=b"\xff" + records[made.other].raw[1:])
    findings, closed = checked(made.lineage, tmp_path)
    assert ([one.error for one in findings], closed.unread) == (["why_missing"], 1)


@pytest.mark.parametrize("where", ["state", "running", "bundle"])
def test_stages_are_counted(tmp_path: Path, where: str) -> None:
    """Each that took over, an abort among them; the end may stand before it or after it."""
    findings, closed = checked(staged(), tmp_path, where)
    assert (findings, closed.stages) == ([], 3)


def test_a_start_ends_a_predecessor(tmp_path: Path) -> None:
    """One that it does not carry over needs no end of its own."""
    lineage = LineageBuilder().setup(1)
    _takes_over_without_an_end(lineage)
    lineage.stop()
    lineage.boot(carried=())
    assert checked(lineage, tmp_path)[0] == []
