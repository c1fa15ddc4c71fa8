"""`lineage verify` on decisions under a signed policy: what it says, and by which roots."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audit.lineages import write_state
from tests.cli.states import lineage, parsed
from tests.credential_builder import ROOT
from tests.gated_builder import GatedBuilder
from tests.vectors.valid import decided


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.trust"
    path.write_text(f"root {ROOT}\nquorum none\n")
    return path


def test_it_says_by_which_roots(trust: Path, tmp_path: Path) -> None:
    """And how many cycles were judged, and how many decisions were made again."""
    state = write_state(tmp_path / "state", decided())
    said = lineage("verify", "--state", state, "--trust", trust)
    lines = said.stdout.splitlines()
    assert said.returncode == 0, said.stderr
    assert "  authority     pass" in lines
    assert "  note: 3 cycles under a signed policy were judged by the roots of the trust file: acme/root" in lines
    assert "  step 11  pass     policy replay: 3 checked" in lines
    shown = parsed(lineage("verify", "--state", state, "--trust", trust, "--json"))
    assert shown["roots"] == [str(ROOT)]
    assert (shown["notes"]["authority_cycles"], shown["notes"]["authority_unjudged"]) == (3, 0)


def test_it_says_what_was_not_judged(tmp_path: Path) -> None:
    """Without a root, and without a clock that is right."""
    state = write_state(tmp_path / "state", decided())
    said = lineage("verify", "--state", state)
    lines = said.stdout.splitlines()
    assert said.returncode == 0, said.stderr
    why = (
        "authority of 3 cycles, policies or credentials was not judged: the trust file names no root, or none is given"
    )
    assert f"  note: {why}" in lines
    assert "  authority     nothing proved, see the notes" in lines


def test_it_says_what_is_indeterminate(trust: Path, tmp_path: Path) -> None:
    """The clock ran free: no error, and no pass."""
    made = GatedBuilder()
    made.clock.quality = 1
    made.ready().gated()
    state = write_state(tmp_path / "state", made)
    said = lineage("verify", "--state", state, "--trust", trust)
    lines = said.stdout.splitlines()
    assert said.returncode == 0, said.stderr
    assert (
        "  authority     indeterminate: nothing speaks against it, and not all could be judged; the notes say why"
        in lines
    )
    assert "  step  9  indeterminate credentials and delegations: 2 checked" in lines
    note = (
        "authority of 2 cycles, policies or credentials is indeterminate: the recorder's clock was not known to be "
        "synchronised, so none of them is known to have been in its time"
    )
    assert f"  note: {note}" in lines
    assert parsed(lineage("verify", "--state", state, "--trust", trust, "--json"))["authority"] == "indeterminate"
