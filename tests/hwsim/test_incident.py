"""The incident as values, and played to a recorder whose configured table lets the controller decide."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("numpy")

from hwsim import DELEGATED_N, INCIDENT, REVOKED, Player
from hwsim.incident import SLOWED, Told
from recorder.client import Recorder
from recorder.core.policy_source import parse
from tests import running
from tests.policies import EXAMPLE
from tests.running import Running, make_state, verified


def test_the_story_holds_together() -> None:
    """Steps name earlier ones whose cycle is kept; the policy names the deviation; the delegation is the tighter one."""
    kept: set[str] = set()
    for step in INCIDENT:
        for named in filter(None, (step.under, step.after)):
            assert named in kept, step
        kept |= {step.name} if step.then == "keep" else set()
    policy = parse(EXAMPLE.read_text()).policy
    assert SLOWED in [clause.deviate_to for clause in policy.clauses]
    assert any(clause.reason == "separation_below_reject" for clause in policy.clauses)
    forces = {step.name: step.act[2] for step in INCIDENT if step.act[3] == "N"}
    assert forces["grip"] < forces["squeeze"] < DELEGATED_N < forces["crush"] < 50.0
    assert REVOKED not in INCIDENT


def test_what_is_expected() -> None:
    """A decision by its name, a refusal by one of its reasons."""
    near = next(step for step in INCIDENT if step.name == "near")
    assert Told(near, "refused", "7-00000000", ["separation_below_reject: clause separation.reject"]).is_expected
    assert not Told(near, "refused", "7-00000000", ["no_permit: none"]).is_expected
    assert not Told(near, "admitted", "7-00000000").is_expected


def test_played_to_a_recorder_that_leaves_the_decision_to_the_controller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step is recorded, external but for what its cycle's bounds do not cover; and the lineage verifies."""
    monkeypatch.setattr(running, "CONFIG", running.CONFIG.replace('"arm.joint1",', '"arm.joint1", "arm.gripper",'))
    with Running(make_state(tmp_path / "s")) as recorder:
        with Recorder(recorder.socket, timeout_ms=60_000) as client:
            told = {one.step.name: one.outcome for one in Player(client, bytes(32)).play(INCIDENT)}
        assert recorder.stop() == 0
    assert told.pop("slipped") == "outside_grant"
    assert told.pop("abort") == "aborted"
    assert set(told.values()) == {"external"}
    assert verified(recorder.state).integrity == "pass"
