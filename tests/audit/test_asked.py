"""What `show` and `why` say of the witnesses that an entry asked for."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from recorder.audit.asked import asked_of
from recorder.audit.check import check_source
from recorder.audit.opening import open_source
from recorder.audit.source import entry_at
from recorder.core.chosen import INDEPENDENT, Choice, candidates_of, choice_of, choose
from recorder.core.cosignature import cosigner_key
from recorder.core.entry import decode
from recorder.core.keys import kid
from recorder.core.trust import Trust
from tests.audit.lineages import to_bundle, write_state
from tests.audit.test_evidence import evident
from tests.audit.trust import cosigned, trusting
from tests.lineage_builder import LineageBuilder

NAMES = ("w1", "w2", "w3")


def said(state: Path, seq: int, trust: Trust | None) -> Any:
    with closing(open_source(state)) as source:
        held = entry_at(source, seq)
        return asked_of(source, decode(held.raw).header, held, trust)


def test_who_signed_and_after_how_long(tmp_path: Path) -> None:
    """By the evidence above the entry; without a trust file it is only told how many were asked."""
    lineage = LineageBuilder().setup(1)
    cycle = lineage.cycle()
    keys = {name: lineage.signer(name).public_key for name in NAMES}
    listed = [f"witness {name} {cosigner_key(name, key)}" for name, key in keys.items()]
    choice = Choice(bytes(16), [kid(keys[name]) for name in NAMES])
    seq = lineage.asking(cycle, choice, 3)
    nobody = lineage.asking(cycle, Choice(bytes(16), []), 3)
    plain = lineage.commit(cycle)
    evident(lineage, cosigned(lineage, lineage.checkpoint(), "w1"))
    evident(lineage, cosigned(lineage, lineage.checkpoint(), "w1", "w3"))
    state = write_state(tmp_path / "s", lineage)
    trust = trusting(lineage, *listed, "quorum none")
    found = said(state, seq, trust)
    assert found["words"] == "3 wanted within 100 ms: w1 after 3 ms, w2 not, w3 after 4 ms"
    assert [(one["name"], one["signed"], one["after_ms"]) for one in found["asked"]] == [
        ("w1", True, 3), ("w2", False, None), ("w3", True, 4),
    ]  # fmt: skip
    to_bundle(state, tmp_path / "b.lineage")
    assert said(tmp_path / "b.lineage", seq, trust) == found, "the choice goes with the entry"
    assert said(state, seq, None)["words"].startswith("3 wanted within 100 ms, 3 asked; with --trust")
    assert said(state, nobody, trust)["words"] == "3 wanted within 100 ms; nobody could be asked"
    assert said(state, plain, trust) is None
    only = said(state, seq, trusting(lineage, listed[0], "quorum none"))
    assert "which the trust file does not name" in only["words"]
    lineage.records[seq] = lineage.records[seq]._replace(claims=None)
    gone = said(write_state(tmp_path / "gone", lineage), seq, trust)
    assert gone["words"] == "3 wanted within 100 ms; whom it asked is not here"


def test_a_selection_holds_a_choice_against_its_rule(tmp_path: Path) -> None:
    """Whom an entry asked is known from it alone, where the trust file names witnesses; who signed is not."""
    lineage = LineageBuilder().setup(1)
    cycle = lineage.cycle()
    keys = {name: lineage.signer(name).public_key for name in NAMES}
    listed = [f"witness {name} {cosigner_key(name, key)}" for name, key in keys.items()]
    trust = trusting(lineage, *listed, "quorum none")
    right = choice_of(choose(candidates_of(trust, NAMES), 3, INDEPENDENT, bytes(16)), bytes(16))
    lineage.asking(cycle, right, 3)
    wrong = lineage.asking(cycle, right._replace(kids=right.kids[::-1]), 3)
    lineage.commit(cycle)
    state = write_state(tmp_path / "s", lineage)
    to_bundle(state, tmp_path / "some.lineage", since="1", until=str(lineage.seq - 2))
    for known, expected in ((trust, {"witness_choice": 1}), (trusting(lineage, "quorum none"), {})):
        with closing(open_source(tmp_path / "some.lineage")) as source:
            assert not source.is_whole
            report = check_source(source, trust=known)
        assert {name: count for name, count in report.problem_counts.items() if name != "selection_partial"} == expected
        assert [one.seq for one in report.problems if one.error == "witness_choice"] == [wrong] * len(expected)
