"""The bridge as a process, between a real recorder and the compiled device on a pty: what goes wrong, and what is left of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.core.kinds import Kind
from tests.bridge.device import needs_gcc
from tests.bridge.processes import APPEND, Account, Bridge, make_bridge
from tests.bridge.scene import Scene, is_sound
from tests.credential_builder import ARM, from_root, rescoped
from tests.running import Running, make_state, verified, wait_until

pytestmark = [needs_gcc, pytest.mark.alone]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """All three, up."""
    with Scene(tmp_path) as found:
        yield found


def test_confirmations(scene: Scene) -> None:
    """What the device confirms becomes entries that name the commits; the device forgets it when it is durable."""
    commits = scene.commits(3)
    for number, commit in enumerate(commits):
        assert scene.firmware.reached(commit, number / 8)
    scene.firmware.do("event 1 2:0.5")
    account = scene.finish()
    assert len(account.frames) == 4
    refs = [ref for header in account.headers if header.kind == Kind.CONFIRMATION for ref in (header.refs or {})[2]]
    assert [(ref.seq, ref.index, ref.hash) for ref in refs] == commits
    assert (account.gaps, account.faults) == ([], [])
    is_sound(scene.recorder.state)


def test_the_bridge_is_killed(scene: Scene) -> None:
    """Wherever it dies, its successor reads in the lineage how far it was: nothing twice, nothing missing."""
    commits = scene.commits(60)
    for turn in range(3):
        for commit in commits[turn * 20 : turn * 20 + 20]:
            scene.firmware.reached(commit, turn)
        if turn == 0:
            wait_until(lambda: scene.held() == 0)  # what is recorded, the device has forgotten
        scene.bridge.kill()
        scene.bridge.restart()
    account = scene.finish()
    assert len(account.frames) == scene.firmware.made == 60
    assert account.gaps == []
    is_sound(scene.recorder.state)


def test_the_cable_is_pulled(scene: Scene) -> None:
    """It is told once; the device keeps what was not taken, and counts what found no room."""
    commits = scene.commits(100)
    scene.firmware.reached(commits[0], 1)
    wait_until(lambda: scene.held() == 0)
    scene.firmware.pull()
    wait_until(lambda: "unplugged" in scene.bridge.said)
    for commit in commits[1:]:
        scene.firmware.reached(commit, 2)
    assert scene.firmware.refused > 0, "the ring is smaller than that"
    wait_until(lambda: json.loads((scene.bridge_state / "status.json").read_text())["tries"] > 1)
    scene.firmware.plug()
    account = scene.finish()
    assert [condition for condition, _ in account.faults] == ["unplugged"]
    assert account.dropped == scene.firmware.refused
    assert len(account.frames) == scene.firmware.made + 1
    assert account.gaps == []
    is_sound(scene.recorder.state)


def test_the_device_reboots(scene: Scene) -> None:
    """What was in its memory is declared, and its next boot is believed."""
    commits = scene.commits(2)
    scene.firmware.reached(commits[0], 1)
    wait_until(lambda: scene.held() == 0)
    scene.firmware.reboot()
    wait_until(lambda: "boot 2" in scene.bridge.said)
    scene.firmware.reached(commits[1], 2)
    account = scene.finish()
    assert [(gap.reason, gap.since, gap.until) for gap in account.gaps] == [("device_rebooted", (1, 1), (2, 0))]
    assert [(frame.boot, frame.seq) for frame in account.frames] == [(1, 0), (2, 0)]
    is_sound(scene.recorder.state)


def test_the_recorder_is_killed(scene: Scene) -> None:
    """The device holds what it is not told to forget; the restarted recorder gets it once."""
    commits = scene.commits(40)
    for commit in commits[:20]:
        scene.firmware.reached(commit, 1)
    scene.recorder.kill()
    for commit in commits[20:]:
        scene.firmware.reached(commit, 2)
    scene.recorder.restart()
    account = scene.finish()
    assert len(account.frames) == 40
    is_sound(scene.recorder.state)


def test_noise(scene: Scene) -> None:
    """Bytes that are no frame are a condition of the line, told once."""
    scene.firmware.write_raw(os.urandom(300) + b"\0" + os.urandom(300) + b"\0")
    wait_until(lambda: "noise" in scene.bridge.said)
    scene.firmware.reached(scene.commits(1)[0], 1)
    account = scene.finish()
    assert [condition for condition, _ in account.faults] == ["noise"]
    assert len(account.frames) == 1


def test_a_commit_that_is_not_there(scene: Scene) -> None:
    """The batch is recorded, the commit is not named, and the condition is told: its device signed what cannot be."""
    (commit,) = scene.commits(1)
    scene.firmware.reached((commit[0], 0, bytes(32)), 1)
    scene.firmware.reached((10_000, 0, bytes(32)), 1)
    account = scene.finish()
    assert {condition for condition, _ in account.faults} == {"unknown_commit"}
    assert len(account.frames) == 2
    assert [header.kind for header in account.headers].count(Kind.CONFIRMATION) == 0
    assert "confirmation_frames" in {one.error for one in verified(scene.recorder.state).problems}


def test_another_devices_key(tmp_path: Path) -> None:
    """Nothing of it is believed; what it has stays with it."""
    with Scene(tmp_path) as scene:
        scene.bridge.kill()
        other = from_root("another motor", role="actuator", scope=rescoped(ARM, actuators=frozenset({"arm"})))
        (scene.bridge_state / "credential").write_bytes(other.signed.raw)
        scene.firmware.reached(scene.commits(1)[0], 1)
        scene.bridge.restart()
        wait_until(lambda: "another_key" in scene.bridge.said)
        wait_until(lambda: '"another_key": 1' in (scene.bridge_state / "status.json").read_text())
        assert scene.held() == 1
        assert scene.bridge.stop() == 0
        assert scene.recorder.stop() == 0
        assert [condition for condition, _ in Account(scene.recorder.state).faults] == ["another_key"]


def test_a_port_that_is_taken(scene: Scene) -> None:
    """Two bridges cannot have one port: the second one says so, and waits."""
    beside = Bridge(make_bridge(scene.bridge_state.parent / "beside"), scene.firmware.cable.port, scene.recorder.socket)
    with beside:
        wait_until(lambda: "port_refused" in beside.said)
        assert beside.stop() == 0
    assert [condition for condition, _ in scene.finish().faults] == ["port_refused"]


def test_what_the_recorder_does_not_permit(tmp_path: Path) -> None:
    """A restart would not mend it: the process ends, and says what has to stand in recorder.toml."""
    recorder = Running(make_state(tmp_path / "state", append='["confirmation", "observation"]'))
    with recorder, Bridge(make_bridge(tmp_path / "bridge"), tmp_path / "nothing", recorder.socket) as bridge:
        wait_until(lambda: bridge.process.poll() is not None)
        assert '"fault"' in bridge.said


def test_another_log(tmp_path: Path) -> None:
    """What was signed for one log is worth nothing in another: the process ends, and its successor begins anew there."""
    socket = tmp_path / "socket"
    with Scene(tmp_path) as scene:
        scene.bridge.kill()
        socket.symlink_to(scene.recorder.socket)
        (tmp_path / "other").mkdir()
        with (
            Bridge(make_bridge(tmp_path / "beside"), scene.firmware.cable.port, socket) as bridge,
            Running(make_state(tmp_path / "other" / "state", append=APPEND)) as other,
        ):
            wait_until(lambda: bridge.is_up)
            scene.firmware.do("event 3")
            wait_until(lambda: scene.held() == 0)
            socket.unlink()
            socket.symlink_to(other.socket)
            assert scene.recorder.stop() == 0
            assert bridge.process.wait(240) == 1
            assert "another log" in bridge.said
            bridge.restart()
            scene.firmware.do("event 4")
            wait_until(lambda: bridge.is_up and scene.held() == 0)
            assert (bridge.stop(), other.stop()) == (0, 0)
        account = Account(other.state)
        assert [(gap.reason, gap.since, gap.until) for gap in account.gaps] == [("not_held", (1, 0), (1, 1))]
        assert [frame.seq for frame in account.frames] == [1]
