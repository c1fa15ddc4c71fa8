"""Claims and reasons are others' words: none of them begins a line or moves the cursor of who reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.core.ids import entry_id
from recorder.core.kinds import Kind
from tests.audit.lineages import write_state
from tests.cli.states import lineage
from tests.lineage_builder import LineageBuilder

FORGED = "near miss\n  integrity     pass\x1b[2J\r\u202e"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A state, and the ids of a mark and a gap that forge."""
    built = LineageBuilder().setup(1)
    built.commit(built.cycle())
    mark = built.control(Kind.MARK, body={"note": FORGED})
    gap = built.control(Kind.GAP, [1], 3, None, FORGED)
    state = write_state(tmp_path_factory.mktemp("forged") / "s", built)
    return state, str(entry_id(built.hash_of(mark), mark)), str(entry_id(built.hash_of(gap), gap))


@pytest.mark.parametrize("verb", ["log", "show a mark", "show a gap", "walk", "verify", "why", "query"])
def test_a_line_stays_a_line(built: tuple[Path, str, str], verb: str) -> None:
    """What would control the terminal is spelled out, and no line is there that we did not write."""
    state, mark, gap = built
    arguments = {
        "log": ("log", "--no-follow", "--state", state),
        "show a mark": ("show", mark, "--state", state),
        "show a gap": ("show", gap, "--state", state),
        "walk": ("walk", "--axis", "temporal", "--state", state),
        "verify": ("verify", "--state", state),
        "why": ("why", mark, "--state", state),
        "query": ("query", "--kind", "mark", "--state", state),
    }[verb]
    done = lineage(*arguments)
    assert done.returncode in {0, 3}, done.stderr
    assert all(line.isprintable() for line in done.stdout.split("\n"))
    if verb not in {"walk", "query"}:
        assert "near miss" in done.stdout
