"""`lineage why`, `impact` and `query` on stopped states and bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from recorder.core.ids import entry_id
from tests.audit.lineages import authorised, small, to_bundle, write_state
from tests.cli.test_reading import lineage

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
    assert any("why: inputs: " in line and "value 1.5" in line for line in said.lines)
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
