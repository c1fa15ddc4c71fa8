"""`lineage verify --unwitnessed-max`: a bound on what no witness vouches for, and what it means for the exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.core.cosignature import cosigner_key
from recorder.core.note import VerifierKey
from tests.audit.lineages import to_bundle, write_state
from tests.audit.trust import cosigned, trusting
from tests.cli.states import lineage, one_line, parsed
from tests.cli.test_incarnations import SOUND
from tests.lineage_builder import LineageBuilder

TAIL = 5


@pytest.fixture
def asked(tmp_path: Path) -> list[str | Path]:
    """A state whose last entries nobody cosigned, a head that a witness did, and a trust file that names it."""
    trust = tmp_path / "trust"
    names = trusting(SOUND, f"witness w1 {cosigner(SOUND)}", "quorum w1")
    lines = [f"log {key}" for key in names.logs] + [f"witness w1 {names.witnesses['w1']}", "quorum w1", ""]
    trust.write_text("\n".join(lines))
    known = tmp_path / "known"
    known.write_bytes(cosigned(SOUND, SOUND.checkpoint(SOUND.seq - TAIL), "w1"))
    state = write_state(tmp_path / "s", SOUND)
    return ["verify", "--state", state, "--trust", trust, "--checkpoint", known, "--unwitnessed-max"]


def cosigner(of: LineageBuilder) -> VerifierKey:
    return cosigner_key("w1", of.signer("w1").public_key)


def test_a_tail_within_and_beyond_the_bound(asked: list[str | Path]) -> None:
    """Beyond it the witnessing verdict fails, and nothing else; the seconds are judged as the entries are."""
    within = parsed(lineage(*asked, f"{TAIL},60", "--json"))
    assert (within["witnessing"], within["unwitnessed"]["entries"]) == ("pass", TAIL)
    for bound, what in ((f"{TAIL - 1}", f"the last {TAIL} entries, {TAIL - 1} were"), (f"{TAIL},0.000001", " s were")):
        said = lineage(*asked, bound)
        assert said.returncode == 1
        assert "witnessing    fail" in said.stdout
        assert "integrity     pass" in said.stdout
        assert "step 7, lineage: unwitnessed_tail: no witness vouches for the last " in said.stdout
        assert what in said.stdout
    assert lineage(*asked[:-1]).returncode == 0, "without a bound any tail passes"


def test_what_cannot_be_asked(asked: list[str | Path], tmp_path: Path) -> None:
    """A bound that is none, one without witnesses that count, and one for a selection are misuse."""
    state = asked[2]
    for bound in ("-1", "1,", "1,2,3", "ten"):
        assert "is not ENTRIES or ENTRIES,SECONDS" in one_line(lineage(*asked, bound))
    assert "needs --trust FILE" in one_line(lineage("verify", "--state", state, "--unwitnessed-max", "1"))
    to_bundle(Path(state), tmp_path / "some.lineage", since="5")
    selection = ["verify", tmp_path / "some.lineage", *asked[3:]]
    assert "a selection does not say" in one_line(lineage(*selection, "1"))
