"""What `lineage mesh ask` says of what was found: nothing that a peer showed is left out, and what it proves is said."""

from __future__ import annotations

import pytest

from mesh.account import Account
from mesh.asking import verdict_of
from mesh.node.asking import Found
from recorder.cli.mesh_ask_text import AskedLog, ShownFork, answers_json, print_answers
from recorder.core.forks import verify_fork
from tests.mesh.fleet import FLEET, ORIGIN, head_of
from tests.node.test_asking import BESIDE, LEAVES, PLATFORM, Shelf, asked, peer


def said(found: Found, capsys: pytest.CaptureFixture[str]) -> str:
    print_answers(ORIGIN, logs(found), found.peers)
    return capsys.readouterr().out


def logs(found: Found) -> list[AskedLog]:
    return [
        AskedLog(log, verdict_of(log, []), [ShownFork(verify_fork(proof, FLEET.trust), None) for proof in log.forks])
        for log in found.logs
    ]


def test_a_contradiction_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Both histories, who shows and who cosigned which, and from which entry on they differ."""
    found = asked(peer(LEAVES, "port-1"), peer(BESIDE[:450], "arm-7", "arm-8"), None, span=(299, 301))
    text = said(found, capsys)
    assert f"{ORIGIN}: CONTRADICTION: its own key signed two histories" in text
    assert f"head of 600 entries, root {head_of(LEAVES).root.hex()}: CONTRADICTS" in text
    assert "    cosigned by port-1 of port on 2025-12-31 00:00:00Z" in text
    assert "CONTRADICTS, no beginning of 600 entries, by the tree of peer-0" in text
    assert f"FORK of {ORIGIN}: its own key signed two histories that cannot both be true" in text
    assert "with --out DIR its proof is kept" in text
    both = f"entry 300-{LEAVES[300].hex()[:8]} or 300-{BESIDE[300].hex()[:8]}: held by peer-0; and by others: peer-1"
    assert both in text
    assert "(peer-2): unreachable: " in text
    told = answers_json(ORIGIN, "contradiction", logs(found), found.peers)
    assert [len(one["held"]) for one in told["logs"][0]["entries"]] == [1, 2]
    assert told["peers"][2]["outcome"] == "unreachable"


def test_gaps_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Entries in groups that the same peers hold, what is only claimed, what nobody has, and who cosigns no more."""
    account = Account(PLATFORM, {}, [head_of(LEAVES[:7])], []).encode()
    heard = peer(LEAVES[:300])._replace(claims=LEAVES[:310])
    text = said(asked(heard, Shelf(account=account), span=(200, 320)), capsys)
    assert "nothing contradicts, but the answer is partial" in text
    first, last, claimed = (value.hex()[:8] for value in (LEAVES[200], LEAVES[299], LEAVES[300]))
    assert f"  entry 200-{first} to entry 299-{last}: held by peer-0; 0 witnesses of 0 operators cosigned it" in text
    assert (
        f"  entry 300-{claimed} to entry 309-{LEAVES[309].hex()[:8]}: only claimed, by peer-0: no head covers it"
        in text
    )
    assert "  entry 310 to entry 319: held by nobody who answered" in text
    assert "peer-1 cosigned 7 entries of it, and cosigns it no more: another incarnation followed" in text
    assert "peer-1: no head of it" in text
    nobody = said(asked(Shelf(b"nonsense")), capsys)
    assert f"{ORIGIN}: nobody who answered holds a head that it signed" in nobody
    assert "it showed what does not hold: note_malformed" in nobody
    assert f"{ORIGIN}: nobody who answered has anything of it" in said(asked(Shelf(), what=PLATFORM), capsys)
