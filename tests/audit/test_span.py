"""--since and --until, the three axes, and single rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from recorder.audit.axis import actuator_number, neighbours, walk
from recorder.audit.opening import open_source
from recorder.audit.rowview import row_of
from recorder.audit.source import LineageSource, entry_at
from recorder.audit.span import Mark, Span, parse_mark, resolve, time_text
from recorder.core.entry import decode
from recorder.core.errors import FormatError, Misuse
from recorder.core.ids import entry_id
from recorder.core.merkle import verify_inclusion
from tests.audit.lineages import small, to_bundle, write_state
from tests.lineage_builder import MS, LineageBuilder

LINEAGE = small(30)
START_NS = 1_760_000_000_000_000_000


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LineageSource]:
    with closing(open_source(None, write_state(tmp_path_factory.mktemp("s") / "s", LINEAGE))) as opened:
        yield opened


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("0", Mark(seq=0)),
        ("17-00c0ffee", Mark(seq=17, digits="00c0ffee")),
        ("17.2.5-00c0ffee", Mark(seq=17, digits="00c0ffee")),
        ("10m", Mark(ago_ns=600 * 10**9)),
        ("250ms", Mark(ago_ns=250 * MS)),
        ("2d", Mark(ago_ns=2 * 86_400 * 10**9)),
        ("1970-01-01T00:00:01.5Z", Mark(utc_ns=1_500_000_000)),
        ("1970-01-01T01:00:00+01:00", Mark(utc_ns=0)),
    ],
)
def test_marks_are_read(text: str, mark: Mark) -> None:
    """A seq, an id, a time, an age."""
    assert parse_mark(text) == mark


@pytest.mark.parametrize("text", ["", "-1", "10", "10 m", "10y", "noon", "1970-01-01T00:00:00", "17-xyz"])
def test_other_marks_are_refused(text: str) -> None:
    """With one sentence that says what may stand there."""
    if text == "10":
        assert parse_mark(text).seq == 10
        return
    with pytest.raises(Misuse):
        parse_mark(text)


def test_times_come_back() -> None:
    """What is printed can be given again."""
    assert time_text(START_NS) == "2025-10-09T08:53:20.000Z"
    assert parse_mark(time_text(START_NS)) == Mark(utc_ns=START_NS)
    assert time_text(2**64 - 1) == "2554-07-21T23:34:33.709Z"


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, Span(0, LINEAGE.seq - 1)),
        ("5", "9", Span(5, 9)),
        ("5", "99999", Span(5, LINEAGE.seq - 1)),
        (str(entry_id(LINEAGE.hash_of(7), 7)), None, Span(7, LINEAGE.seq - 1)),
        ("3ms", None, Span(LINEAGE.seq - 4, LINEAGE.seq - 1)),
        (None, "3ms", Span(0, LINEAGE.seq - 4)),
        ("2025-10-09T08:53:20.010Z", "2025-10-09T08:53:20.012Z", Span(9, 11)),
        ("2030-01-01T00:00:00Z", None, None),
        (None, "2000-01-01T00:00:00Z", None),
        ("9", "5", None),
    ],
)
def test_spans_are_found(source: LineageSource, since: str | None, until: str | None, expected: Span | None) -> None:
    """Entries are a millisecond apart here."""
    assert resolve(source, since, until) == expected


def test_an_id_of_another_log_is_no_mark(source: LineageSource) -> None:
    """Its digits are checked."""
    with pytest.raises(FormatError) as caught:
        resolve(source, "7-00000000", None)
    assert caught.value.error == "id_mismatch"


# --- Axes


def test_the_actuator_axis_links_every_entry_of_an_actuator(source: LineageSource) -> None:
    """In order, no link broken, the names known; by name, by number, and all at once."""
    everything = Span(0, source.size - 1)
    steps = list(walk(source, "actuator", "joint1", everything))
    assert [step.held.seq for step in steps] == [
        seq
        for seq, record in enumerate(LINEAGE.records)
        if 1 in (decode(record.raw).header.actuator_axis or {})
    ]  # fmt: skip
    assert [step.broken for step in steps] == [None] * len(steps)
    assert list(walk(source, "actuator", "1", everything)) == steps
    assert len(list(walk(source, "actuator", None, everything))) > len(steps)


def test_the_other_axes_are_walked_too(source: LineageSource) -> None:
    """All entries on the temporal one, those under a bundle on the policy one."""
    everything = Span(3, source.size - 1)
    assert [step.held.seq for step in walk(source, "temporal", None, everything)] == list(range(3, source.size))
    policy = list(walk(source, "policy", LINEAGE.bundle.hex()[:6].upper(), everything))
    assert policy
    assert all(step.broken is None for step in policy)
    assert list(walk(source, "policy", "ffff00", everything)) == []


def test_an_unknown_actuator_is_named_with_those_there_are(source: LineageSource) -> None:
    """And the temporal axis has no name."""
    with pytest.raises(Misuse, match="joint1, joint2"):
        actuator_number(source, "gripper")
    with pytest.raises(Misuse, match="--of"):
        list(walk(source, "temporal", "joint1", Span(0, 1)))


def test_a_link_that_leads_elsewhere_is_marked(tmp_path: Path) -> None:
    """Walking shows it, verifying fails on it."""
    lineage = LineageBuilder().setup(1)
    cycle = lineage.cycle()
    lineage.commit(cycle)
    at = lineage.seq
    lineage.commit(cycle)
    lineage.breaking(lambda header: header.__setitem__(6, {1: [at - 1, lineage.hash_of(at - 1)]}))
    broken = lineage.commit(cycle)
    with closing(open_source(None, write_state(tmp_path / "s", lineage))) as source:
        steps = list(walk(source, "actuator", "joint1", Span(0, source.size - 1)))
    assert [step.held.seq for step in steps if step.broken] == [broken]


def test_neighbours_stand_before_and_after_on_each_axis(source: LineageSource) -> None:
    """Of a commit in the middle: the entries next to it, of its actuator, under its policy."""
    steps = list(walk(source, "actuator", "joint1", Span(0, source.size - 1)))
    before, middle, after = (step.held for step in steps[3:6])
    found = {one.axis: one for one in neighbours(source, decode(middle.raw), {1: "joint1"})}
    assert (found["temporal"].before, found["temporal"].after) == (middle.seq - 1, middle.seq + 1)
    assert (found["actuator"].of, found["actuator"].before, found["actuator"].after) == (
        "joint1",
        before.seq,
        after.seq,
    )
    assert found["policy"].before == middle.seq - 1
    last = neighbours(source, decode(entry_at(source, source.size - 1).raw), {})
    assert [(one.before, one.after) for one in last] == [(source.size - 2, None)]


# --- Rows


@pytest.mark.parametrize("in_bundle", [False, True])
def test_a_row_is_shown_with_its_path_to_the_root(tmp_path: Path, in_bundle: bool) -> None:
    """At rest and in transport: values by name and unit, and a proof that holds."""
    lineage = LineageBuilder().setup(1)
    schema = lineage.schema()
    cycle = lineage.cycle()
    seq = lineage.rows(cycle, schema, 5)
    single = lineage.commit(cycle)
    path = write_state(tmp_path / "s", lineage)
    if in_bundle:
        to_bundle(path, tmp_path / "b.lineage")
        path = tmp_path / "b.lineage"
    with closing(open_source(path)) as source:
        held = entry_at(source, seq)
        entry = decode(held.raw)
        for row in range(5):
            view = row_of(source, held, entry, 0, row)
            assert view.holds
            assert view.values is not None
            assert set(view.values) == {"position_rad [rad]", "effort_nm [N.m]"}
            verify_inclusion(view.leaf, row, view.rows, view.path, view.root)
        for index, row in ((1, 0), (0, 5)):
            with pytest.raises(Misuse):
                row_of(source, held, entry, index, row)
        other = entry_at(source, single)
        with pytest.raises(Misuse, match="no rows"):
            row_of(source, other, decode(other.raw), 0, 0)
        with pytest.raises(FormatError):
            row_of(source, held._replace(claims=b"\xa0"), entry, 0, 0)
