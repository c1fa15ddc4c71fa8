"""`lineage mesh status | peers | forks` in words: all that a process writes of itself is said, in words of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mesh.node.founding import found
from recorder.cli import run
from tests.mesh.fleet import FLEET, NEXT_ORIGIN, ORIGIN, ROOT_KEY
from tests.node.test_asking import fork

STATUS: dict[str, Any] = {
    "utc_s": 1,
    "listen": ["0.0.0.0:7171"],
    "fleet": {"name": "acme", "version": 3},
    "witness": "arm-7.acme",
    "platform": "acme/arm-7",
    "clock_trusted": True,
    "trouble": None,
    "rounds": 7,
    "witnessed": 40,
    "latest": {"origin": ORIGIN, "size": 55, "asked": 3, "cosigned": 1, "is_quorum": False, "evidence": 54},
    "peers": [
        {
            "name": "arm-8",
            "url": "http://10.0.0.8:7171/",
            "last": "cosigned 55 entries",
            "cosigned": 7,
            "failures": 0,
            "forgot": "it held 9 of x, then 0",
            "version": "1",
        }
    ],
    "held": [{"line": "acme/arm-8", "origin": "acme/arm-8/00112233445566ff", "size": 12, "retired": 2, "put_off": 31}],
    "answers": {"200": 5, "409": 1},
    "other_versions": {"10.0.0.9": "speaks version 2 of the mesh protocol, this is 1"},
    "connections": {"open": 1, "turned_away": 4, "malformed": 7},
    "forks": 1,
    "own_forks": [ORIGIN],
    "own_splits": 1,
}
# What parts of the process add, where they are on.
PARTS: dict[str, Any] = {
    "present": [
        {
            "platform": "acme/arm-8",
            "urls": ["http://10.0.0.8:7171/"],
            "addresses": ["10.0.0.8"],
            "origin": "acme/arm-8/00112233445566ff",
            "size": 12,
            "head_size": 10,
            "run": 5,
            "holds": {"0123456789abcdef": 55},
            "heard_s_ago": 2,
            "version": 1,
        },
        {"platform": "acme/cart-1", "urls": [], "size": 0, "holds": {}, "heard_s_ago": None, "version": None},
    ],
    "strangers": [{"name": "acme/arm-99", "address": "10.0.0.99", "how": "mdns", "seen_s_ago": 30}],
    "strangers_not_listed": 1000,
    "discovery": {"interfaces": ["eth0"], "announced": "acme arm-7", "trouble": "eth1: no multicast"},
    "mdns": {"told": 12},
    "digest_trouble": "no trusted clock",
    "digests": {"sent": {"multicast": 90}, "received": {"new": 80, "digest_signature": 3}},
    "archives": [
        {"origin": NEXT_ORIGIN, "size": 900, "missing": [[0, 256]], "missing_entries": 256, "heads": 9, "forked": True}
    ],
    "archives_put_off": {"acme/arm-8": 1234},
    "incarnations_put_off": {"acme/cart-1": 17},
    "incarnations_dropped": [[NEXT_ORIGIN, 4321]],
    "at_once": {"rounds": 1200, "cosigned": 2399, "trouble": "no connection"},
    "compared": 4,
    "answered_wrongly": [{"url": "http://10.0.0.66:7171/", "count": 3, "last": "heads_malformed"}],
    "suspicions": [{"origin": NEXT_ORIGIN, "held": 10, "offered": 20, "peer": "acme/arm-8", "reason": "no answer"}],
}
SAID = {
    "status": [
        "not running  as of ",
        "peers        1 of 2 platforms heard; 1 strangers",
        "discovery    announced as acme arm-7, on eth0",
        "trouble      discovery: eth1: no multicast",
        "trouble      no trusted clock",
        "trouble      at once: no connection",
        "at once      2,399 x cosigned, in 1,200 rounds of commits that ask",
        "digests      sent: 90 x multicast; received: 80 x new, 3 x digest signature",
        "archives     hashes of 900 entries of 1 logs, 256 of them missing",
        "compared     4 times with all peers",
        "suspicions   1: ",
        "mdns         12 x told",
        "put off      31 heads to cosign, 1,234 growths of archives, 17 heads of new incarnations: beyond what",
        "dropped      1 archives for later incarnations",
    ],
    "peers": [
        "acme/arm-8   2 s ago  12       1                   version 1  http://10.0.0.8:7171/",
        "acme/cart-1  never    0        0                              nowhere known",
        f"{NEXT_ORIGIN}  900             256      9      FORKED",
        "acme/arm-99  10.0.0.99  mdns     30 s ago",
        "1,000 sightings of more strangers are not listed",
        "acme/arm-8: 1,234 growths of archives put off",
        "acme/cart-1: 17 heads of new incarnations put off",
        f"{NEXT_ORIGIN}: its 4,321 entries are kept no more",
        "http://10.0.0.66:7171/ answered wrongly, 3 times: heads_malformed",
    ],
    "forks": [
        f"not proved: {NEXT_ORIGIN}: acme/arm-8 has not shown that 20 entries follow the 10 that are held: no answer"
    ],
}
ALWAYS = {
    "status": [
        "platform     acme/arm-7",
        "fleet        acme, list 3; witness arm-7.acme",
        "clock        trusted",
        "round        1 of 3 cosigned 55 entries, no quorum, evidence in entry 54",
        "unwitnessed  the last 15 of 55 entries",
        "put off      31 heads to cosign",
        "answered     5 x 200, 1 x 409; 4 connections turned away",
        "other        10.0.0.9 speaks version 2",
        "FORKS        1: ",
        "OWN SPLIT    this platform's incarnations are of two lines",
        f"OWN FORK     {ORIGIN}: this platform's own key signed two histories",
    ],
    "peers": [
        "arm-8    7         version 1  cosigned 55 entries; it held 9 of x, then 0",
        "acme/arm-8/00112233445566ff  12       2                    31",
        "10.0.0.9 speaks version 2 of the mesh protocol, this is 1: it is refused",
    ],
    "forks": [f"FORK of {ORIGIN}: its own key signed two histories", "lineage verify --fork"],
}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    found(tmp_path, "arm-7.acme", ["127.0.0.1:7171"], f"root {ROOT_KEY}\nquorum none\n".encode())
    (tmp_path / "fleet.held").write_bytes(FLEET.note)
    (tmp_path / "forks").mkdir()
    (tmp_path / "forks" / "one").write_bytes(fork().encode())
    (tmp_path / "lock").touch()
    return tmp_path


@pytest.mark.parametrize("verb", ["status", "peers", "forks"])
def test_all_is_said(verb: str, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With every part on, and with none: in words, and as values that have the same."""
    expected = 1 if verb == "forks" else 0
    for parts in (PARTS, {}):
        (state / "status.json").write_text(json.dumps({**STATUS, **parts}))
        assert run(["mesh", verb, "--state", str(state)]) == expected
        said = capsys.readouterr().out
        for line in ALWAYS[verb] + (SAID[verb] if parts else []):
            assert line in said, said
        assert "None" not in said
        assert run(["mesh", verb, "--state", str(state), "--json"]) == expected
        told = json.loads(capsys.readouterr().out)
        given = {**STATUS, **parts}
        if verb == "status":
            assert told == {**given, "running": False}
        elif verb == "peers":
            assert told == {name: given[name] for name in told}
            assert {"peers", "held", "other_versions"} <= told.keys()
            assert not parts or {"present", "strangers", "archives", "answered_wrongly"} <= told.keys()
        else:
            assert [one["origin"] for one in told["forks"]] == [ORIGIN]
            assert told["suspicions"] == parts.get("suspicions", [])


def test_a_fresh_process(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the first round nothing is invented."""
    fresh = {
        **STATUS,
        "latest": None,
        "witnessed": None,
        "peers": [],
        "held": [],
        "answers": {},
        "forks": 0,
        "own_forks": [],
    }
    (state / "status.json").write_text(json.dumps(fresh))
    assert run(["mesh", "status", "--state", str(state)]) == 0
    said = capsys.readouterr().out
    assert "round        none yet" in said
    assert "answered     nothing yet" in said
    assert "unwitnessed" not in said
    (state / "status.json").write_text(json.dumps({**STATUS, "witnessed": None}))
    assert run(["mesh", "status", "--state", str(state)]) == 0
    assert "no quorum since the start, of 55 entries" in capsys.readouterr().out
