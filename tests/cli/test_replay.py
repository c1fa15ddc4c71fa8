"""`lineage replay` on stopped states and bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recorder.core.ids import entry_id
from tests.audit.decided import DecidedBuilder
from tests.audit.lineages import to_bundle, write_state
from tests.cli.calling import lineage
from tests.policies import moving
from tests.vectors.valid import staged

__all__ = ["lineage"]  # the fixture that runs the command


class Made(DecidedBuilder):
    """Two that are sound, one that the policy decided otherwise, one from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.begin()
        self.admitted = self.ask(moving())
        self.refused = self.ask(moving(lidar__nearest=0.4))
        self.forged = self.ask(moving(lidar__nearest=0.7), lambda why: why["clauses"][0].update(truth="true"))
        self.elsewhere = self.cycle(nonce=bytes(16)).carrier

    def printed(self, seq: int) -> str:
        return str(entry_id(self.hash_of(seq), seq))


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


@pytest.fixture(scope="module")
def state(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_state(tmp_path_factory.mktemp("state") / "s", made)


def test_one_decision(lineage: Any, made: Made, state: Path) -> None:
    """The same, with the truth of each clause; or different, and where."""
    said = lineage("replay", made.printed(made.admitted), "--state", state)
    assert said.status == 0
    assert said.lines[0] == f"{made.printed(made.admitted)}  cycle admitted  same"
    assert "    clause motion.named (permit): true" in said.lines
    said = lineage("replay", made.refused, "--state", state)
    assert (said.status, said.lines[0]) == (0, f"{made.printed(made.refused)}  refusal  same")
    said = lineage("replay", made.forged, "--state", state)
    assert said.status == 1
    assert said.lines[:2] == [
        f"{made.printed(made.forged)}  cycle deviated  different",
        "    DIFFERENT clause separation.reject: recorded forbid true, replayed forbid false",
    ]
    said = lineage("replay", made.elsewhere, "--state", state)
    assert said.status == 0
    assert "without artefact: decided elsewhere" in said.lines[0]


def test_all_and_a_range(lineage: Any, made: Made, state: Path, tmp_path: Path) -> None:
    """What differs is listed, the others are counted; a bundle says the same."""
    said = lineage("replay", "--all", "--state", state)
    assert said.status == 1
    assert said.lines[0].startswith(f"{made.printed(made.forged)}  cycle deviated  different")
    assert "3 decisions replayed: 2 same, 1 different" in said.lines
    assert said.lines[-1].startswith("1 without artefact: decided elsewhere")
    to_bundle(state, tmp_path / "b.lineage")
    assert lineage("replay", "--all", "--bundle", tmp_path / "b.lineage").out == said.out
    said = lineage("replay", f"{made.admitted}..{made.printed(made.refused)}", "--state", state)
    assert (said.status, said.lines) == (0, ["2 decisions replayed: 2 same, 0 different"])
    assert lineage("replay", "--all", "-n", 0, "--state", state).lines[0] == "... and 1 more that differ (-n)"


def test_as_json(lineage: Any, made: Made, state: Path) -> None:
    """Counts by outcome, and what differs with both values."""
    found = lineage("replay", "--all", "--json", "--state", state).json
    counts = {name: found[name] for name in ("same", "different", "external", "table", "withheld", "unasked", "unread")}
    assert counts == {"same": 2, "different": 1, "external": 1, "table": 0, "withheld": 0, "unasked": 0, "unread": 0}
    (one,) = found["listed"]
    assert (one["seq"], one["outcome"], found["is_whole"]) == (made.forged, "different", True)
    assert one["differences"] == [
        {"part": "clause separation.reject", "recorded": "forbid true", "replayed": "forbid false"}
    ]
    assert one["clauses"][-1] == {"id": "motion.named", "effect": "permit", "truth": "true"}


def test_a_commit_means_its_cycle(lineage: Any, tmp_path: Path) -> None:
    """Whatever place in it is named."""
    made = Made()
    seq = made.commit(made.opened(made.admitted))
    said = lineage("replay", f"{seq}.0", "--state", write_state(tmp_path / "s", made))
    assert (said.status, said.lines[0]) == (0, f"{made.printed(made.admitted)}  cycle admitted  same")


def test_what_cannot_be_read_is_status_2(lineage: Any, tmp_path: Path) -> None:
    """Unless something differs besides."""
    made = DecidedBuilder().begin()
    made.ask(moving())
    made.append(b"\x00" * 100)
    said = lineage("replay", "--all", "--state", write_state(tmp_path / "s", made))
    assert said.status == 2
    assert said.lines[-1] == "1 entries cannot be read; run `lineage verify`"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a decision"),
        (["4", "--all"], "name a decision"),
        (["0"], "stands on no decision"),
        (["99999"], "no entry 99999"),
        (["90..99"], "no entries in 90..99"),
        (["noon..99"], "is not a seq"),
        (["x"], "id_malformed"),
    ],
)
def test_misuse_is_one_line_and_status_2(lineage: Any, state: Path, arguments: list[str], said: str) -> None:
    """As with every verb."""
    found = lineage("replay", *arguments, "--state", state)
    assert (found.status, found.out, found.err.count("\n")) == (2, "", 1)
    assert said in found.err


def test_claims_cannot_write_lines_of_their_own(lineage: Any, tmp_path: Path) -> None:
    """A forged reason with a line feed stays on its line."""
    made = DecidedBuilder().begin()
    made.ask(moving(), lambda why: why.update(reasons=["x\n9 decisions replayed: 9 same\x1b[2J"]))
    said = lineage("replay", "--all", "--state", write_state(tmp_path / "s", made))
    assert said.status == 1
    assert not any(line.startswith("9 decisions") for line in said.lines)
    assert "\x1b" not in said.out


def test_show_tells_the_decision_and_what_an_entry_brings(lineage: Any, made: Made, state: Path) -> None:
    """In words, above the claims; both in JSON too."""
    said = lineage("show", made.refused, "--state", state)
    assert said.lines[1] == "  refused: separation_below_reject: clause separation.reject"
    assert lineage("show", 1, "--state", state).lines[1] == "  policy arm-cell version 1 until 2027-11-01"
    found = lineage("show", made.admitted, "--state", state, "--json").json
    assert (found["decided"][0], found["brings"]) == ("admitted by clause motion.named", None)
    tree = lineage("why", made.admitted, "--state", state, "--json").json
    assert tree["entries"][0]["decided"] == found["decided"]


def test_the_log_tells_stages_and_policies(lineage: Any, tmp_path: Path) -> None:
    """A stage behind the decision, where there is one."""
    state = write_state(tmp_path / "s", staged())
    text = lineage("log", "-n", 100, "--state", state).out
    assert "cycle admitted, witnessed" in text
    assert "actuation ungated, aborted" in text
    assert "actuation admitted, executed" in text
