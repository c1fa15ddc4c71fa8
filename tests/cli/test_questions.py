"""`lineage why`, `impact` and `query` on stopped states and bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from recorder.core.ids import entry_id
from recorder.core.kinds import Kind
from tests.audit.lineages import authorised, small, to_bundle, write_state
from tests.cli.calling import lineage
from tests.lineage_builder import LineageBuilder

__all__ = ["lineage"]  # the fixture that runs the command

MADE = authorised()


class Places(NamedTuple):
    """Where the same lineage lies."""

    state: Path
    bundle: Path


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    directory = tmp_path_factory.mktemp("places")
    state = write_state(directory / "s", MADE.lineage)
    to_bundle(state, directory / "b.lineage")
    return Places(state, directory / "b.lineage")


def printed(seq: int, *more: int) -> str:
    return str(entry_id(MADE.lineage.hash_of(seq), seq, *more))


# --- why


def test_why_prints_the_tree_of_a_commit(lineage: Any, places: Places) -> None:
    """Indented by one for each step, the credential and the reading among it; what comes again is "above"."""
    said = lineage("why", printed(MADE.commits, 1), "--state", places.state)
    assert said.status == 0
    assert said.lines[0].startswith(f"{printed(MADE.commits, 1)}  actuation admitted  2025-10-09T")
    assert any(line.startswith(f"  cycle {printed(MADE.first)}  cycle admitted") for line in said.lines)
    assert any(line.startswith(f"    delegation {printed(MADE.credential)}  credential") for line in said.lines)
    assert any(line.startswith(f"      delegated_from {printed(MADE.parent)}  credential") for line in said.lines)
    assert any(line.startswith(f"    input {printed(MADE.sensed)}  observation") for line in said.lines)
    assert f"  who {printed(MADE.first)}  cycle admitted, above" in said.lines
    assert any("who: operator bob, delegation" in line for line in said.lines)
    assert any("input lidar.nearest_m: 1.5, entry " in line for line in said.lines)
    assert any("joint2" in line and "joint1" not in line for line in said.lines[:3])
    assert said.lines[-1].startswith("holds: ")
    assert lineage("why", printed(MADE.commits, 1), "--bundle", places.bundle).out == said.out


def test_why_as_json_is_a_graph(lineage: Any, places: Places) -> None:
    """Each entry once, with its links by printed id, the place in the entry included."""
    found = lineage("why", MADE.confirmation, "--state", places.state, "--json").json
    assert (found["asked"], found["holds"], found["is_cut"]) == (printed(MADE.confirmation), True, False)
    entries = {one["id"]: one for one in found["entries"]}
    leads = entries[printed(MADE.confirmation)]["leads_to"]
    assert [(one["relation"], one["to"]) for one in leads] == [
        ("confirms", printed(MADE.commits, 1)), ("key", printed(0)),
    ]  # fmt: skip
    assert entries[printed(MADE.first)]["who"]["claims"]["operator"] == "bob"


def test_why_of_a_row_shows_its_values(lineage: Any, tmp_path: Path) -> None:
    """And the schema that they are read by."""
    made = small()
    state = write_state(tmp_path / "s", made)
    seq = next(
        at
        for at in range(made.seq)
        if lineage("show", at, "--state", state, "--json").json.get("commits", [{}])[0].get("count")
    )
    asked = str(entry_id(made.hash_of(seq), seq, 0, 2))
    said = lineage("why", asked, "--state", state)
    assert said.status == 0
    assert said.lines[0].startswith(asked)
    assert any("row: " in line and "effort_nm [N.m]" in line for line in said.lines)
    assert any(line.startswith("  schema ") for line in said.lines)
    assert lineage("why", str(entry_id(made.hash_of(seq), seq, 0, 3)), "--state", state).status == 2
    assert "none with index 1" in lineage("why", str(entry_id(made.hash_of(seq), seq, 1)), "--state", state).err


def test_why_exits_1_where_something_does_not_hold(lineage: Any, tmp_path: Path) -> None:
    """A flipped byte in the cycle's signature is found from the commit."""
    broken = authorised()
    raw = broken.lineage.records[broken.first].raw
    broken.lineage.records[broken.first] = broken.lineage.records[broken.first]._replace(
        raw=raw[:-1] + bytes([raw[-1] ^ 1])
    )
    said = lineage("why", broken.commits, "--state", write_state(tmp_path / "s", broken.lineage))
    assert said.status == 1
    assert any("DOES NOT HOLD: signature_invalid" in line for line in said.lines)
    assert said.lines[-1].startswith("DOES NOT HOLD: ")


def test_claims_cannot_write_lines_of_their_own(lineage: Any, tmp_path: Path) -> None:
    """Who names himself with a line feed is not the one who says that all holds."""
    made = LineageBuilder().setup(1)
    made.acting(operator="x\nholds: 9 entries\x1b[2J")
    made.commit(made.cycle())
    state = write_state(tmp_path / "s", made)
    for verb in (["why", 4], ["query", "--count-by", "operator"], ["impact", 3]):
        said = lineage(*verb, "--state", state)
        assert said.status == 0
        assert not any(line.startswith("holds: 9") for line in said.lines)
        assert "\x1b" not in said.out


# --- impact


def test_impact_lists_and_counts(lineage: Any, places: Places) -> None:
    """The first ones, by which link and to what; then how many of each kind, and by which links."""
    said = lineage("impact", printed(MADE.sensed), "--state", places.state, "-n", 2)
    assert said.status == 0
    assert said.lines[0].split()[:3] == [printed(MADE.first), "input", str(MADE.sensed)]
    assert said.lines[1].split()[:3] == [printed(MADE.commits), "cycle", str(MADE.first)]
    assert said.lines[2:] == [
        "... and 3 more (-n)",
        "5 entries: 2 cycle, 1 actuation, 1 confirmation, 1 cycle_end",
        "2 commits and 0 rows acted",
        "led by: confirms 1, cycle 1, ends 1, input 1, supersedes 1",
    ]
    found = lineage("impact", MADE.delegation.hex(), "--bundle", places.bundle, "--json").json
    assert (found["brought"], found["commits"], found["is_whole"]) == ([MADE.credential], 3, True)
    assert [(one["seq"], one["relation"]) for one in found["listed"]][:2] == [
        (MADE.first, "delegation"), (MADE.commits, "cycle"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "said"),
    [("99999", "no entry 99999"), ("9-00000000", "id_mismatch"), ("twelve", "id_malformed"), ("COMMIT.2", "2 commits")],
)
@pytest.mark.parametrize("verb", ["why", "impact"])
def test_what_is_not_there_is_one_line_and_status_2(
    lineage: Any, places: Places, verb: str, wanted: str, said: str
) -> None:
    """As with every verb."""
    asked = printed(MADE.commits, 2) if wanted == "COMMIT.2" else wanted
    found = lineage(verb, asked, "--state", places.state)
    assert (found.status, found.out, found.err.count("\n")) == (2, "", 1)
    assert said in found.err


# --- query


def test_query_lists_and_counts(lineage: Any, places: Places) -> None:
    """Filters together, the first ones listed, everything counted."""
    said = lineage("query", "--state", places.state, "--operator", "bob", "--task", "pick", "-n", 1)
    assert said.status == 0
    assert said.lines[0].split()[0] == printed(MADE.first)
    assert "bob  pick" in said.lines[0]
    assert said.lines[1:] == ["... and 3 more (-n)", "4 entries with 3 commits and 0 rows"]
    found = lineage(
        "query", "--bundle", places.bundle, "--actuator", "joint2", "--decision", "admitted", "--kind", "actuation",
        "--since", MADE.first, "--until", MADE.commits, "--json",
    ).json  # fmt: skip
    assert (found["entries"], found["commits"], [one["seq"] for one in found["listed"]]) == (1, 1, [MADE.commits])
    assert found["listed"][0]["asked_by"]["operator"] == "bob"
    assert lineage("query", "--state", places.state, "--since", 9999).err.startswith("lineage: no entries")


def test_query_counts_by_a_field(lineage: Any, places: Places) -> None:
    """As a table, the most first, and as JSON."""
    said = lineage("query", "--state", places.state, "--count-by", "actuator", "--kind", "actuation", "-n", 0)
    assert [line.split() for line in said.lines[:3]] == [
        ["actuator", "entries", "commits", "rows"], ["joint1", "3", "3", "0"], ["joint2", "1", "1", "0"],
    ]  # fmt: skip
    found = lineage("query", "--state", places.state, "--count-by", "task", "--kind", "cycle", "--json").json
    assert found["by_value"]["pick"] == {"entries": 2, "commits": 0, "rows": 0}


def test_query_links_exits_1_where_one_does_not_close(lineage: Any, places: Places, tmp_path: Path) -> None:
    """What was looked at, or what is missing, where."""
    said = lineage("query", "--links", "--state", places.state)
    assert (said.status, said.lines[-1]) == (0, "all links close")
    broken = small()
    broken.control(Kind.CYCLE_END, 1, 0, "closed")
    state = write_state(tmp_path / "s", broken)
    said = lineage("query", "--links", "--state", state)
    assert said.status == 1
    assert said.lines[0] == f"entry {broken.seq - 1}: cycle_missing: it names entry 1, which is no cycle below"
    assert said.lines[-1] == "1 links DO NOT CLOSE"
    said = lineage("query", "--links", "--state", state, "--json")
    assert (said.status, said.json["listed"][0]["error"]) == (1, "cycle_missing")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--links", "--operator", "ann"], "leave out filters"),
        (["--links", "--since", "1h"], "leave out filters"),
        (["--actuator", "gripper"], "joint1, joint2"),
        (["--since", "noon"], "is not a seq"),
    ],
)
def test_a_query_that_makes_no_sense_is_one_line_and_status_2(
    lineage: Any, places: Places, arguments: list[str], said: str
) -> None:
    """It says what to leave out, or what there is."""
    found = lineage("query", "--state", places.state, *arguments)
    assert (found.status, found.out, found.err.count("\n")) == (2, "", 1)
    assert said in found.err


@pytest.mark.parametrize("verb", ["why", "impact", "query"])
def test_each_question_shows_an_example(lineage: Any, verb: str) -> None:
    """In its help."""
    said = lineage(verb, "--help")
    assert said.status == 0
    assert f"lineage {verb}" in said.out.split("Example")[1]


def test_query_by_entity_class_and_stage(lineage: Any, places: Places) -> None:
    """Under the names that people ask by; a delegation by the beginning of its hash."""
    for arguments, count in (
        (["--entity", "bob"], 4), (["--entity", "arm-7", "--kind", "cycle"], 3), (["--class", "motion", "--entity", "eve"], 2),
        (["--action-class", "motion", "--entity", "eve"], 2), (["--stage", "direct", "--kind", "cycle"], 3),
        (["--stage", "aborted"], 0), (["--delegation", MADE.delegation.hex()[:8]], 4),
    ):  # fmt: skip
        assert lineage("query", *arguments, "--state", places.state, "--json").json["entries"] == count, arguments
    said = lineage("query", "--count-by", "stage", "-n", 0, "--state", places.state)
    assert [line.split()[0] for line in said.lines[:3]] == ["stage", "(none)", "direct"]
