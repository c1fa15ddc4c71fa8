"""What a device asks for over a real bridge and a real recorder, and what it hears of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge.asking import GRANT_SETTLES_US
from recorder.client import Recorder
from recorder.core import cbor, claims
from recorder.core.entry import decode
from recorder.core.kinds import Decision, Kind
from tests.bridge.device import needs_gcc
from tests.bridge.scene import Scene, is_sound
from tests.claims import WHO, WHY
from tests.frames import KID
from tests.running import records_of, wait_until

pytestmark = [needs_gcc, pytest.mark.alone]

CYCLE = """
[cycle]
action_class = "motion"
max_commits = 8
answer_ms = 2000
[cycle.who]
operator = "ann"
[cycle.why]
evaluator = "the cell's controller"
clauses = ["clear_path"]
[cycle.what]
mode = "position"
reversibility = "reversible"
[events]
emergency_stop = "emergency_stop"
"""
ADMITTED, REFUSED, LATE, UNAVAILABLE = range(4)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """All three, up; the device may ask."""
    with Scene(tmp_path, CYCLE) as found:
        wait_until(lambda: bool(found.firmware.device.granted))
        yield found


def request(scene: Scene, grant: int | None = None, actuator: int | None = None) -> list[int]:
    """Ask for a commit and wait for its receipt: whether of a request, which, verdict, whether a commit, seq, place."""
    device = scene.firmware.device
    held = device.granted[-1]
    before = len(device.receipts)
    named = held[0] if grant is None else grant
    scene.firmware.do(f"request {named} {held[1] if actuator is None else actuator} 2:-0.5")
    wait_until(lambda: len(device.receipts) > before)
    return device.receipts[-1]


def settled(scene: Scene) -> None:
    """Until no request can be under a grant of an earlier process."""
    since_s = time.monotonic()
    wait_until(lambda: time.monotonic() > since_s + GRANT_SETTLES_US / 1e6 and bool(scene.firmware.device.granted))


def test_what_was_asked_of_the_bridge_before(scene: Scene) -> None:
    """A request that waited for a bridge is under a grant that the new one never gave: nobody answered, nothing is wrong."""
    device = scene.firmware.device
    held = device.granted[-1]
    scene.bridge.kill()
    for _ in range(3):
        scene.firmware.do(f"request {held[0]} {held[1]} 2:-0.5")
    scene.bridge.restart()
    wait_until(lambda: len(device.receipts) == 3)
    assert [receipt[2:4] for receipt in device.receipts] == [[UNAVAILABLE, 0]] * 3
    account = scene.finish()
    assert (acts(scene), [one for one in account.faults if one[0] == "not_granted"]) == ([], [])


def acts(scene: Scene) -> list[tuple[int, dict[str, object]]]:
    """Decision and what of every commit in the lineage of a stopped recorder."""
    found = []
    for raw, beside in records_of(scene.recorder.state):
        header = decode(raw).header
        if header.kind == Kind.ACTUATION and beside is not None:
            held = cbor.load(beside)
            assert isinstance(held, dict)
            found += [(header.decision or 0, claims.disclosed("what", families[0])) for families in held[10]]
    return found


def test_a_request_is_admitted(scene: Scene) -> None:
    """It becomes a commit with what the device asked for; the receipt names it, and the device confirms that one."""
    asked, _, verdict, has_commit, seq, place = request(scene)
    assert (asked, verdict, has_commit) == (1, ADMITTED, 1)
    assert scene.firmware.reached((seq, place, scene.firmware.device.hashes[-1]), 0.5)
    account = scene.finish()
    assert len(scene.firmware.device.receipts) == 1, "it hears of its own commits once"
    ((_, what),) = acts(scene)
    assert (what["magnitude"], what["unit"], what["asked"]) == (0.5, "rad", [["angle", -0.5, "rad"]])
    assert what["device"] == [KID, 1, 0]
    refs = [ref for header in account.headers if header.kind == Kind.CONFIRMATION for ref in (header.refs or {})[2]]
    assert [(ref.seq, ref.index) for ref in refs] == [(seq, place)]
    assert account.headers[-2].kind == Kind.CYCLE_END, "the bridge ends what it opened"
    is_sound(scene.recorder.state)


def test_a_request_is_refused(scene: Scene) -> None:
    """Under a cycle that there is not, or for an actuator that there is not: the device hears no."""
    settled(scene)
    assert request(scene, grant=99_999)[2:4] == [REFUSED, 0]
    assert request(scene, actuator=9)[2:4] == [REFUSED, 0]
    account = scene.finish()
    assert acts(scene) == []
    assert [condition for condition, _ in account.faults] == ["not_granted"] * 2


def test_under_the_cycle_of_another_controller(scene: Scene) -> None:
    """Its reasons are not those of the device, although the recorder would admit it."""
    settled(scene)
    with Recorder(scene.recorder.socket, who=WHO, timeout_ms=60_000) as client:
        cycle = client.open_cycle(why=WHY, actuators=["arm"], action_classes=["motion"], max_commits=9)
        assert request(scene, grant=cycle.seq)[2:4] == [REFUSED, 0]
    scene.finish()
    assert acts(scene) == []


def test_the_recorder_does_not_answer(scene: Scene) -> None:
    """The device hears so within the time, and what the recorder does afterwards is abandoned."""
    scene.recorder.process.send_signal(signal.SIGSTOP)
    assert request(scene)[2:4] == [UNAVAILABLE, 0]
    scene.recorder.process.send_signal(signal.SIGCONT)
    assert request(scene)[2] == ADMITTED
    account = scene.finish()
    assert sum(header.kind == Kind.ABANDON for header in account.headers) == 1
    is_sound(scene.recorder.state)


def test_cycles_are_renewed(scene: Scene) -> None:
    """Before one is used up the next one is open, and the device has heard of it."""
    for _ in range(20):
        assert request(scene)[2] == ADMITTED
    assert len({granted[0] for granted in scene.firmware.device.granted}) >= 3
    scene.finish()
    assert len(acts(scene)) == 20


def test_no_request_is_made_twice(tmp_path: Path) -> None:
    """The bridge dies when the recorder has answered; its successor finds the commit and tells the device that it is late."""
    with Scene(tmp_path, "batch_ms = 60000" + CYCLE) as scene:  # nothing is signed before the end
        device = scene.firmware.device
        wait_until(lambda: bool(device.granted))
        assert request(scene)[2] == ADMITTED
        scene.bridge.kill()
        scene.bridge.restart()
        wait_until(lambda: len(device.receipts) == 2)
        assert device.receipts[-1] == [1, 0, LATE, *device.receipts[0][3:]]
        scene.firmware.do("event 3")  # at once, and with it what came before
        assert len(scene.finish().frames) == 2
        assert len(acts(scene)) == 1


def test_commits_of_others(scene: Scene) -> None:
    """The device is told of them, without having asked."""
    ((seq, place, digest),) = scene.commits(1)
    device = scene.firmware.device
    wait_until(lambda: bool(device.receipts))
    assert device.receipts[-1] == [0, 0, ADMITTED, 1, seq, place]
    assert device.hashes[-1] == digest[:16]
    scene.finish()


def test_an_emergency_stop(scene: Scene) -> None:
    """What the firmware did by itself is an ungated act beside the frames that prove it, once, whoever dies."""
    scene.firmware.do("event 1 3:0.25")
    wait_until(lambda: scene.held() == 0)
    scene.bridge.kill()
    scene.bridge.restart()
    scene.firmware.do("event 3")
    account = scene.finish()
    ((decision, what),) = acts(scene)
    assert (decision, what["mode"], what["device"]) == (Decision.UNGATED, "emergency_stop", [KID, 1, 0])
    assert what["values"] == [["velocity", 0.25, "m/s"]]
    assert len(account.frames) == 2
    is_sound(scene.recorder.state)


def test_killed_beside_requests(scene: Scene) -> None:
    """At whatever point: each request is one commit at the most, each frame in one batch."""
    for turn in range(4):
        held = scene.firmware.device.granted[-1]
        for _ in range(6):
            scene.firmware.do(f"request {held[0]} {held[1]} 2:{turn}")
        scene.bridge.kill()
        scene.bridge.restart()
    account = scene.finish()
    asked = [str(what["device"]) for _, what in acts(scene)]
    assert len(asked) == len(set(asked))
    assert len(account.frames) == 24
    is_sound(scene.recorder.state)
