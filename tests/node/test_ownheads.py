"""Platforms that learn their own last head from their peers before they offer a checkpoint, and go on from there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recorder.cli import run
from recorder.client import Recorder
from recorder.core.controls import Boot
from recorder.core.entry import decode
from recorder.store.layout import CURRENT, LINEAGES
from tests.node.meshes import Platform, fleet, needs_namespaces
from tests.running import wait_until

pytestmark = needs_namespaces
DECLARED = 3  # exit status of verify: nothing failed, and what was lost is declared


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Platform]]:
    with fleet(tmp_path_factory.mktemp("three"), 3, needed=2) as platforms:
        yield platforms


def cosigned(platform: Platform, by: int = 2) -> dict[str, Any]:
    """A round over something new: the head that was cosigned."""
    platform.mark()
    latest: dict[str, Any] = platform.round()["latest"]
    assert latest["cosigned"] == by, platform.status()["peers"]
    return latest


def boot_of(platform: Platform) -> Boot:
    with Recorder(platform.state / "recorder.sock", timeout_ms=60_000) as client:
        control: Any = decode(client.read(0).entries[0][0]).header.control
    return Boot(*control)


def empty(platform: Platform) -> None:
    """Take the store away; key and configuration stay."""
    shutil.rmtree(platform.state / LINEAGES)
    (platform.state / CURRENT).unlink()


def held_by(peer: Platform, platform: Platform) -> dict[str, Any]:
    peer.round()
    held: dict[str, Any] = next(one for one in peer.status()["held"] if one["line"] == f"acme/{platform.name}")
    return held


def went_on(platform: Platform, peers: list[Platform], lost: dict[str, Any]) -> None:
    """It is another incarnation that names what was lost, cosigned by all; the old one is over, where it ended."""
    latest = cosigned(platform)
    assert latest["origin"] != lost["origin"]
    boot = boot_of(platform)
    assert (lost["origin"], lost["size"]) in [(one[0], one[1]) for one in boot.previous]
    assert boot.confirmed_by == "witness"
    for peer in peers:
        held = held_by(peer, platform)
        assert held["origin"] == latest["origin"]
    assert cosigned(platform)["size"] > latest["size"], "what was brought to the old one is no entry of this"
    assert platform.status()["trouble"] is None


def test_an_emptied_recorder_goes_on_by_what_its_peers_hold(
    three: list[Platform], capsys: pytest.CaptureFixture[str]
) -> None:
    """The same identity key without its store: nothing that it recorded meanwhile is offered as its log."""
    platform, *peers = three
    lost = cosigned(platform)
    platform.stop_recorder()
    empty(platform)
    platform.start_recorder()
    went_on(platform, peers, lost)
    assert platform.recorder is not None
    with Recorder(platform.state / "recorder.sock", timeout_ms=60_000) as client:
        assert client.status()["confirmed_by"] == [], "nobody holds a head of the new one at its start"
    assert run(["verify", "--state", str(platform.state)]) in {0, DECLARED}
    begun = f"or an older copy was put back; it goes on after {lost['size']} entries of {lost['origin']}"
    for command in ("show", "why"):
        capsys.readouterr()
        assert run([command, "0", "--state", str(platform.state)]) == 0
        assert begun in capsys.readouterr().out
    again = cosigned(platform)
    assert again["origin"] == platform.status()["latest"]["origin"], "once"


def test_a_sound_recorder_is_confirmed(three: list[Platform], capsys: pytest.CaptureFixture[str]) -> None:
    """Its peers hold a smaller head, with our root: nothing happens but that status says who holds it."""
    platform = three[1]
    before = cosigned(platform)
    platform.stop_recorder()
    platform.start_recorder()
    after = cosigned(platform)
    assert after["origin"] == before["origin"]
    with Recorder(platform.state / "recorder.sock", timeout_ms=60_000) as client:
        status = client.status()
    assert status["confirmed_size"] == before["size"]
    assert status["confirmed_by"] == sorted(one.name for one in three if one is not platform)
    capsys.readouterr()
    run(["status", "--state", str(platform.state)])
    assert f"up to {before['size']} entries by arm-0, arm-2" in capsys.readouterr().out


@pytest.mark.parametrize("recorded_on", [0, 40])
def test_a_restored_image_goes_on_by_what_its_peers_hold(three: list[Platform], recorded_on: int) -> None:
    """The state directory is copied, it goes on, the copy is put back; it may record on before its mesh comes up."""
    platform, *peers = three[1], three[0], three[2]
    cosigned(platform)
    platform.stop_recorder()
    image = platform.state.parent / "image"
    shutil.copytree(platform.state, image, symlinks=True)
    platform.start_recorder()
    platform.mark(5)
    lost = cosigned(platform)
    platform.stop_recorder()
    assert platform.stop_mesh() == 0
    shutil.rmtree(platform.state)
    image.rename(platform.state)
    platform.start_recorder()
    if recorded_on:
        platform.mark(recorded_on)
    platform.begin_mesh()
    platform.await_mesh()
    went_on(platform, peers, lost)
    for peer in peers:
        assert peer.status()["forks"] == 0, "the old incarnation was never offered again"


def test_who_is_reached_later_still_counts(three: list[Platform]) -> None:
    """Nobody is there at the start: it goes on, and an answer that comes with a later round has the same effect."""
    platform, *peers = three[2], three[0], three[1]
    lost = cosigned(platform)
    for peer in peers:
        assert peer.stop_mesh() == 0
    platform.stop_recorder()
    empty(platform)
    platform.start_recorder()
    platform.mark()
    assert platform.round()["latest"]["cosigned"] == 0
    alone = platform.status()["latest"]["origin"]
    assert alone != lost["origin"]
    for peer in peers:
        peer.begin_mesh()
        peer.await_mesh()
    platform.mark()
    # Refused by all, and asks beside it, for a bounded time: a later round asks again.
    wait_until(lambda: platform.round()["latest"]["origin"] != alone)
    went_on(platform, peers, lost)
    assert alone in [one[0] for one in boot_of(platform).previous]


def test_an_emptied_platform_without_its_mesh_state(three: list[Platform], tmp_path: Path) -> None:
    """Recorder and mesh lost all but their keys: witnesses that hold the very head that it names take it."""
    platform, *peers = three
    lost = cosigned(platform)
    platform.stop_recorder()
    assert platform.stop_mesh() == 0
    empty(platform)
    for name in ("logs", "standings", "forks"):
        shutil.rmtree(platform.mesh / name, ignore_errors=True)
    platform.start_recorder()
    platform.begin_mesh()
    platform.await_mesh()
    went_on(platform, peers, lost)


def test_a_proof_that_is_lost_here_is_found_with_a_peer(three: list[Platform]) -> None:
    """One witness was away and stands at a head that nobody named; a peer's archive leads from there to what is named."""
    platform, away, keeps = three
    before = cosigned(platform)
    assert away.stop_mesh() == 0
    platform.mark(300)  # so that no tile at hand is the whole tree
    lost = cosigned(platform, by=1)
    wait_until(
        lambda: {one["origin"]: one["size"] for one in keeps.round()["archives"]}.get(lost["origin"], 0) >= lost["size"]
    )
    platform.stop_recorder()
    assert platform.stop_mesh() == 0
    empty(platform)
    shutil.rmtree(platform.mesh / "logs")
    platform.start_recorder()
    platform.begin_mesh()
    platform.await_mesh()
    cosigned(platform, by=1)
    assert [one[1] for one in boot_of(platform).previous if one[0] == lost["origin"]] == [lost["size"]]
    away.begin_mesh()
    away.await_mesh()
    assert held_by(away, platform)["size"] == before["size"]
    wait_until(lambda: is_cosigned(platform, 2))
    went_on(platform, [away, keeps], lost)


def is_cosigned(platform: Platform, by: int) -> bool:
    platform.mark()
    return bool(platform.round()["latest"]["cosigned"] == by)


def test_peers_that_follow_different_incarnations(three: list[Platform]) -> None:
    """One holds the old log, one was given another: both are named by the next, and each witness goes on from its own."""
    platform, holds, forgot = three
    lost = cosigned(platform)
    assert holds.stop_mesh() == 0
    assert forgot.stop_mesh() == 0
    shutil.rmtree(forgot.mesh / "standings")
    platform.stop_recorder()
    empty(platform)
    platform.start_recorder()
    platform.mark()
    assert platform.round()["latest"]["cosigned"] == 0
    forgot.begin_mesh()
    forgot.await_mesh()
    meanwhile = cosigned(platform, by=1)
    assert meanwhile["origin"] != lost["origin"]
    holds.begin_mesh()
    holds.await_mesh()
    platform.stop_recorder()  # the stop is an entry and a checkpoint that its mesh has not seen
    platform.start_recorder()
    platform.mark()
    platform.round()
    went_on(platform, [holds, forgot], lost)
    assert meanwhile["origin"] in [one[0] for one in boot_of(platform).previous]
