"""`lineage mesh ask` between real platforms: what an authority with nothing but a list is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mesh.fleet import ROOT_KEY
from tests.node.meshes import Platform, fleet, needs_namespaces

pytestmark = needs_namespaces
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Platform]]:
    with fleet(tmp_path_factory.mktemp("three"), 3, needed=2) as platforms:
        yield platforms


def asked(near: Platform, *arguments: str | Path, status: int = 0) -> str:
    """What the command says inside a platform's network."""
    done = subprocess.run(
        ["ip", "netns", "exec", near.network, sys.executable, "-m", "recorder.cli", "mesh", "ask", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=60, cwd=ROOT, env={**os.environ, "LINEAGE_MESH": ""},
    )  # fmt: skip
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout


def parsed(near: Platform, *arguments: str | Path, status: int = 0) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(asked(near, *arguments, "--json", status=status))
    return told


def test_all_agree_on_what_a_platform_recorded(three: list[Platform], tmp_path: Path) -> None:
    """With a list and a root, with a trust file, and with the state of a mesh; the entries are those of the lineage."""
    first = three[0]
    first.mark(3)
    size = first.round()["latest"]["size"]
    (tmp_path / "roots").write_text(f"root {ROOT_KEY}\nquorum none\n")
    by_list = ("--fleet", first.mesh / "fleet", "--trust", tmp_path / "roots")
    by_trust = ("--trust", first.state.parent / "fleet.trust")
    log: dict[str, Any] = {}
    for whom in (by_list, by_trust, ("--state", first.mesh)):
        told = parsed(three[1], "acme/arm-0", "--range", f"0-{size}", *whom)
        (log,) = told["logs"]
        (head,) = log["heads"]
        assert (head["size"], head["standing"], sorted(head["peers"])) == (size, "largest", ["arm-0", "arm-1", "arm-2"])
        assert sorted(one["witness"] for one in head["cosigned"]) == ["arm-1", "arm-2"]
        assert [one["seq"] for one in log["entries"]] == list(range(size))
        assert all(len(one["held"]) == 1 and "arm-0" in one["held"][0]["peers"] for one in log["entries"])
        assert {(tuple(one["witnesses"]), one["operators"]) for one in log["entries"]} == {(("arm-1", "arm-2"), 1)}
        assert [(one["outcome"], one["version"]) for one in told["peers"]] == [("answered", "1")] * 3
    said = asked(three[1], log["origin"], "--range", "0-2", *by_list)
    assert f"{log['origin']}: all agree" in said
    assert f"head of {size} entries, root" in said
    assert "cosigned by arm-1 of all on 20" in said
    assert f"entry 0-{log['entries'][0]['held'][0]['hash'][:8]}: held by arm-0" in said


def test_what_cannot_be_asked(three: list[Platform], tmp_path: Path) -> None:
    """Status 2 for what is asked wrongly; 3 where a peer is away, or nobody has what is asked for."""
    trust = ("--trust", three[0].state.parent / "fleet.trust")
    for wrong in (
        ("acme/arm-9", *trust),
        ("acme/arm-0", *trust, "--range", "5-5"),
        ("acme/arm-0", "--fleet", three[0].mesh / "fleet"),
        ("acme/arm-0",),
    ):
        assert asked(three[0], *wrong, status=2) == ""
    told = parsed(three[0], "acme/arm-0", *trust, "--peer", "http://10.77.0.200:7171/", "--within", "4", status=3)
    assert (told["verdict"], told["peers"][3]["outcome"]) == ("partial", "unreachable")
    told = parsed(three[0], "acme/arm-1/0123456789abcdef", *trust, status=3)
    assert (told["verdict"], sorted(told["logs"][0]["silent"])) == ("nobody", ["arm-0", "arm-1", "arm-2"])
    assert "nobody who answered holds" in asked(three[0], "acme/arm-1/0123456789abcdef", *trust, status=3)
    (tmp_path / "empty").write_text("quorum none\n")
    assert asked(three[0], "acme/arm-0", "--trust", tmp_path / "empty", status=2) == ""
