"""Commits that ask for witnesses, from a controller through recorder, mesh and peers, and back into the log."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

import pytest

from recorder.cli import run
from recorder.client import Cycle, Recorder
from tests.claims import WHAT, WHO, WHY
from tests.node.meshes import Platform, await_pushes, checked, fleet, needs_namespaces
from tests.running import wait_until

pytestmark = needs_namespaces


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Platform]]:
    with fleet(tmp_path_factory.mktemp("asked"), 3, needed=2) as platforms:
        await_pushes(platforms)
        yield platforms


@pytest.fixture
def client(three: list[Platform]) -> Iterator[Recorder]:
    with Recorder(three[0].state / "recorder.sock", timeout_ms=60_000) as connected:
        yield connected


def opened(client: Recorder) -> Cycle:
    return client.open_cycle(who=WHO, why=WHY, actuators=["arm"], action_classes=["motion"], valid_ms=60_000)


def test_a_commit_has_its_witnesses_sign_at_once(
    three: list[Platform], client: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    """No round by interval is due: the push of the commit begins one, with those that its entry names."""
    first = three[0]
    rounds = first.status()["rounds"]
    cycle = opened(client)
    receipts = [cycle.commit("arm", what=WHAT, witnesses=2, within_ms=60_000) for _ in range(5)]
    found = [client.witnessed(one, wait_ms=60_000) for one in receipts]
    assert all(one.is_met and one.wanted == 2 for one in found)
    assert {tuple(sorted(one.asked)) for one in found} == {("arm-1.acme", "arm-2.acme")}
    assert first.status()["rounds"] == rounds
    report = checked(first)
    assert (report.integrity, report.witnessing, report.exit_status()) == ("pass", "pass", 0)
    assert (report.notes["witnesses_asked"], report.notes["witnessed_in_time"]) == (5, 5)
    assert report.short == []
    where = ["--state", str(first.state), "--trust", str(first.state.parent / "fleet.trust")]
    for command in ("why", "show"):
        assert run([command, str(receipts[0].entry_id), *where]) == 0
        said = capsys.readouterr().out
        assert re.search(r"2 wanted within 60000 ms: arm-[12] after \d+ ms, arm-[12] after \d+ ms\n", said), said


def test_only_those_that_the_entry_names_are_asked(three: list[Platform], client: Recorder) -> None:
    """With one wanted of two there is one that signs, and it is the one that was chosen."""
    receipt = opened(client).commit("arm", what=WHAT, witnesses=1, within_ms=60_000)
    found = client.witnessed(receipt, wait_ms=60_000)
    assert [one.name for one in found.signed] == list(found.asked)
    assert len(found.asked) == 1


def test_a_mesh_that_was_killed_in_the_middle_has_them_sign(three: list[Platform], client: Recorder) -> None:
    """Its push went with it; the first round of the next one brings what the entry waits for, as long as that has time."""
    first, *others = three
    assert first.process is not None
    for one in others:
        assert one.process is not None
        one.process.send_signal(signal.SIGSTOP)
    receipt = opened(client).commit("arm", what=WHAT, witnesses=2, within_ms=120_000)
    found = client.witnessed(receipt)
    assert (len(found.asked), found.signed) == (2, ())
    first.process.send_signal(signal.SIGKILL)
    first.process.wait(240)
    assert first.process.stderr is not None
    first.process.stderr.close()
    first.begin_mesh()
    first.await_listening()
    for one in others:
        assert one.process is not None
        one.process.send_signal(signal.SIGCONT)
    assert client.witnessed(receipt, wait_ms=60_000).is_met


def test_a_witness_that_is_gone(three: list[Platform], client: Recorder) -> None:
    """The others' signatures are recorded all the same; it is not named any more once it was missed."""
    first, gone = three[0], three[2]
    gone.stop_mesh()
    cycle = opened(client)
    wait_until(lambda: len(client.witnessed(cycle.commit("arm", what=WHAT, witnesses=2, within_ms=100)).asked) == 2)
    receipt = cycle.commit("arm", what=WHAT, witnesses=2, within_ms=100)
    wait_until(lambda: client.witnessed(receipt).signed)
    assert [one.name for one in client.witnessed(receipt).signed] == ["arm-1.acme"]
    first.mark()
    first.round()
    wait_until(
        lambda: client.witnessed(cycle.commit("arm", what=WHAT, witnesses=2, within_ms=100)).asked == ("arm-1.acme",)
    )
    report = checked(first)
    assert (report.integrity, report.exit_status()) == ("pass", 0)
    assert report.short, "who had fewer than they wanted is told"


def test_a_mesh_that_is_gone_names_nobody(three: list[Platform], client: Recorder) -> None:
    """What it named goes with it; the commit is durable and says that nobody could be asked."""
    three[0].stop_mesh()
    cycle = opened(client)
    wait_until(lambda: not client.witnessed(cycle.commit("arm", what=WHAT, witnesses=2, within_ms=100)).asked)
    assert cycle.commit("arm", what=WHAT, witnesses=2, within_ms=100).durable
