"""What a running mesh process endures: a disk that takes nothing, kill -9, new lists, clocks that step; all under load."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from recorder.core.merkle import root_of
from tests.faults import clocks, mounted
from tests.faults.device import Device
from tests.node import twofaced
from tests.node.enduring import Controller, Pair, Said, last_of, two_faces
from tests.node.meshes import needs_namespaces, peer_of, start
from tests.node.networks import networks
from tests.node.scenarios.world import standings_of
from tests.running import wait_until

_MISSING = mounted.unavailable() or clocks.unavailable()
pytestmark = [needs_namespaces, pytest.mark.alone, pytest.mark.skipif(_MISSING is not None, reason=str(_MISSING))]

KILLS, LONG_KILLS = 2, 100
RELOADS, LONG_RELOADS = 2, 100
HOURS_S = 3_600
DISKS = (Device(capacity_bytes=0), Device(read_only=True), Device(fail_syncs=True))  # full, read-only, failing


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with networks(3) as names, ExitStack() as undo:
        pair = Pair(tmp_path_factory.mktemp("endured"), names, undo)
        start(pair.platforms)
        yield pair


def refused(last: str, error: str) -> bool:
    """Whether a witness refused so; who was slow is asked again, and none may have cosigned."""
    assert not last.startswith("cosigned"), last
    return last == f"not now: 503 {error}"


def cosigns(last: str) -> bool:
    """Whether it cosigned, by its clock."""
    return last.startswith("cosigned")


def test_a_disk_that_takes_nothing_ends_nothing(pair: Pair) -> None:
    """It cosigns nothing that it cannot keep, says so once, goes on with all else, and takes up again by itself."""
    first, second = pair.first, pair.second
    said = Said(first)
    wait_until(lambda: cosigns(pair.asks()))
    for device in DISKS:
        before = first.standings()
        pair.device.become(device)
        wait_until(lambda: refused(pair.asks(), "witness_failed"))
        size = first.size()
        first.mark()
        assert first.process is not None
        first.process.send_signal(signal.SIGUSR1)  # its own round needs no disk
        wait_until(lambda size=size: standings_of(second)["acme/arm-0"].head.size > size)
        if device.fail_syncs:
            wait_until(lambda: any("what this witness holds" in one for one in first.status()["unkept"]))
        else:
            assert first.standings() == before
        pair.device.become(Device())
        wait_until(lambda: cosigns(pair.asks()))
        wait_until(lambda: said.count("kept again: what this") == said.count("not kept: what this"))
        wait_until(lambda: first.round()["unkept"] == [])  # a round comes back to the own tree
    assert 0 < said.count("not kept: what this witness holds") <= len(DISKS)
    assert len(said.lines) < 40, said.lines
    pair.are_consistent()


def _killed(pair: Pair, kills: int) -> str:
    """Kill them in turn while they are asked for all they can; afterwards no witness has signed two histories."""
    chance = random.Random(kills)
    with two_faces(pair) as given, Controller(pair.first) as controller:
        for at in range(kills):
            one = pair.platforms[at % 2]
            time.sleep(chance.random() * 0.3)  # at any moment: nothing to wait for
            assert one.process is not None
            assert one.process.stderr is not None
            one.process.kill()
            one.process.wait()
            one.process.stderr.close()
            one.begin_mesh()
            one.await_listening()
        for one in pair.platforms:
            wait_until(lambda one=one: one.status().get("rounds", 0))
        pair.first.round()  # whom it could not reach when it started is named again after a round
        met = controller.met
        wait_until(lambda: controller.met > met)
    assert controller.wrong == []
    for (url, log), faces in given.items():
        signed = {face for size, face in faces.items() if size > twofaced.COMMON}
        assert len(signed) <= 1, f"{url} cosigned two histories of log {log}: {faces}"
    for one in pair.platforms:
        held = pair.held_by(one)
        for (url, log), faces in given.items():
            if url == one.url:
                found = held.get(twofaced.name_of(log))
                assert found is not None, f"{one.name} forgot log {log}"
                assert found.head.size >= max(faces), f"{one.name} forgot {max(faces)} entries of log {log}"
                assert found.head.root == root_of(twofaced.HISTORIES[faces[max(faces)]][: found.head.size])
    wait_until(lambda: cosigns(pair.asks()))
    pair.are_consistent()
    cosigned = sum(len(one) for one in given.values())
    return f"{kills} kills, {cosigned} cosignatures over {len(given)} logs, {controller}"


def test_killed_again_and_again(pair: Pair) -> None:
    """A witness that dies in the middle of everything has never signed two histories of a log, and forgets none."""
    print(_killed(pair, KILLS))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_for_long(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    """The same a hundred times."""
    told = _killed(pair, LONG_KILLS)
    with capsys.disabled():
        print(f"\n{told}")


def _reloaded(pair: Pair, reloads: int) -> str:
    """Bring list after list while commits ask, thieves offer and rounds are made."""
    for one in pair.platforms:
        Said(one)
    with two_faces(pair) as given, Controller(pair.first) as controller:
        for at in range(reloads):
            before = controller.commits
            pair.bring()
            for one in pair.platforms:
                assert one.process is not None
                one.process.send_signal(signal.SIGUSR1)
                one.process.send_signal(signal.SIGHUP)
            if at % 2:  # also a list that comes while the one before is being taken
                pair.bring()
                for one in pair.platforms:
                    assert one.process is not None
                    one.process.send_signal(signal.SIGHUP)
            wait_until(pair.is_in_force)
            wait_until(lambda before=before: controller.commits > before)
        met = controller.met
        wait_until(lambda: controller.met > met)
    assert controller.wrong == []
    assert all(len({face for size, face in one.items() if size > twofaced.COMMON}) <= 1 for one in given.values())
    for one in pair.platforms:
        held = pair.held_by(one)
        assert all(
            held[twofaced.name_of(log)].head.size >= max(given[url, log]) for url, log in given if url == one.url
        )
    wait_until(lambda: cosigns(pair.asks()))
    pair.are_consistent()
    return f"{reloads} times, list {pair.version}, {sum(map(len, given.values()))} cosignatures, {controller}"


def test_new_lists_under_load(pair: Pair) -> None:
    """SIGHUP loses nothing that was answered, and no commit waits longer than it said."""
    print(_reloaded(pair, RELOADS))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_new_lists_for_long(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    """The same a hundred times."""
    told = _reloaded(pair, LONG_RELOADS)
    with capsys.disabled():
        print(f"\n{told}")


def _stepped(pair: Pair, hours: list[int]) -> None:
    """Step the second one's clock; everything goes on, and each cosignature has the time that its witness trusted."""
    first, second = pair.platforms
    for step in hours:
        number = second.status()["digests"]["number"]
        pair.clock.jump(utc_s=step * HOURS_S, is_synchronised=True)
        wait_until(lambda: second.status()["clock_trusted"])
        wait_until(lambda: cosigns(last_of(first, second)))
        last = peer_of(first.status(), second)["last"]
        assert abs(int(last.partition("its clock ")[2].split()[0]) - step * HOURS_S) < 60
        wait_until(lambda: cosigns(pair.asks()))
        wait_until(lambda number=number: second.status()["digests"]["number"] > number)
        wait_until(lambda step=step: abs(second.status()["utc_s"] - time.time() - step * HOURS_S) < 60)
        with Controller(first) as controller:
            wait_until(lambda: controller.met)
        assert controller.wrong == []
        pair.clock.jump(utc_s=step * HOURS_S, is_synchronised=False)
        wait_until(lambda: not second.status()["clock_trusted"])
        wait_until(lambda: refused(last_of(first, second), "clock_untrusted"))
    pair.clock.jump(is_synchronised=True)
    wait_until(lambda: second.status()["clock_trusted"])
    wait_until(lambda: cosigns(last_of(first, second)))
    pair.are_consistent()


def test_a_clock_that_steps(pair: Pair) -> None:
    """Hours back, trusted, lost and regained: no timer waits for it, and no time is made up."""
    _stepped(pair, [-5])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_clock_that_steps_for_long(pair: Pair) -> None:
    """The same by chance, also forward."""
    chance = random.Random(5)
    _stepped(pair, [chance.choice([1, -1]) * chance.randrange(1, 200) for _ in range(20)])
