"""Platforms that log each other's heads: which of two entries came first is known without a clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recorder.cli import run
from recorder.client import Recorder
from recorder.core.kinds import Kind
from tests.node.meshes import Platform, fleet, needs_namespaces

pytestmark = needs_namespaces
NOT_KNOWN = 3


def recorded(platform: Platform) -> str:
    """Record something; its printed id."""
    with Recorder(platform.state / "recorder.sock", timeout_ms=60_000) as client:
        found = client.append(Kind.MARK, body={"label": "here"}).entry_id
    assert found is not None
    return found


def order(
    capsys: pytest.CaptureFixture[str], a: Platform, x: str, b: Platform, y: str, *via: Platform
) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    more = [part for one in via for part in ("--via", str(one.state))]
    status = run(["order", str(a.state), x, str(b.state), y, "--json", *more])
    return status, json.loads(capsys.readouterr().out)


def test_entries_of_three_platforms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What one has cosigned it logs after its next round; through a third one where two did not meet."""
    with fleet(tmp_path, 3, needed=1) as (one, two, third):
        assert third.stop_mesh() == 0
        x = recorded(one)
        assert one.round()["latest"]["cosigned"] == 1, one.status()["peers"]
        early = recorded(two)
        two.round()
        later = recorded(two)
        aside = recorded(one)
        size = two.size()
        before = two.status()["latest"]
        status, said = order(capsys, one, x, two, later)
        assert (status, said["order"]) == (0, "before")
        assert [(step["logs"], step["covers"]) for step in said["steps"]] == [(said["a"]["origin"], x)]
        assert order(capsys, two, later, one, x)[1]["order"] == "after"
        assert order(capsys, one, x, two, early)[0] == NOT_KNOWN, "it may have been recorded before"
        assert order(capsys, one, aside, two, later)[0] == NOT_KNOWN
        assert run(["verify", "--state", str(two.state), "--trust", str(tmp_path / "fleet.trust")]) == 0
        assert "no log of the trust file signed" not in capsys.readouterr().out

        third.begin_mesh()
        third.await_mesh()
        assert two.round()["latest"]["size"] > before["size"]
        third.round()
        y = recorded(third)
        assert order(capsys, one, x, third, y)[0] == NOT_KNOWN, "they have not met since"
        status, said = order(capsys, one, x, third, y, two)
        assert (status, said["order"]) == (0, "before")
        assert [step["origin"].split("/")[1] for step in said["steps"]] == ["arm-1", "arm-2"]

        latest = two.round()["latest"]
        assert two.round()["latest"] == latest, "peers' heads alone call for no round"
        assert two.size() > size
        size = two.size()
        two.round()
        assert two.size() == size, "nor do they come twice"
