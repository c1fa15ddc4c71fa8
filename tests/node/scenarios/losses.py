"""Platforms that lost their store, or had an old copy of it put back."""

from __future__ import annotations

import shutil

from mesh.node.places import FORKS, LOGS, STANDINGS
from recorder.client import Recorder
from recorder.core.controls import Boot
from recorder.core.entry import decode
from recorder.store.layout import CURRENT, LINEAGES
from tests.node.meshes import Platform
from tests.node.scenarios.world import Told, World, held_by_all, standings_of


def wiped(world: World) -> Told:
    """A platform loses all but its keys: it learns from its peers what it had signed, and goes on from there."""
    *peers, platform = world.platforms
    world.settle()
    lost = platform.status()["latest"]
    platform.stop_recorder(kill=True)
    assert platform.stop_mesh() == 0
    shutil.rmtree(platform.state / LINEAGES)
    (platform.state / CURRENT).unlink()
    for name in (LOGS, STANDINGS, FORKS):
        shutil.rmtree(platform.mesh / name, ignore_errors=True)
    platform.begin_mesh()
    platform.start_recorder()
    platform.await_mesh()
    went_on(world, platform, peers, lost)
    done = f"{platform.name} lost its lineage and all that it held of others"
    return Told(done, f"{held_by_all(world.platforms, reborn=[platform])}; of the lost one its last head, as retired")


def restored(world: World) -> Told:
    """A copy of a platform's state is put back after it went on: it is no fork, since it asks before it signs."""
    *peers, platform = world.platforms
    world.settle()
    platform.stop_recorder()
    image = platform.state.parent / "image"
    shutil.copytree(platform.state, image, symlinks=True)
    platform.start_recorder()
    world.record([platform], count=5)
    world.settle()
    lost = platform.status()["latest"]
    platform.stop_recorder()
    shutil.rmtree(platform.state)
    image.rename(platform.state)
    platform.start_recorder()
    platform.mark(20)
    went_on(world, platform, peers, lost)
    done = f"{platform.name} went on for some entries, then an image of its state from before was put back"
    return Told(done, f"{held_by_all(world.platforms, reborn=[platform])}; of the old one its last head, as retired")


def went_on(world: World, platform: Platform, peers: list[Platform], lost: dict[str, object]) -> None:
    """It is another incarnation, which names where the old one ended, and which all cosign."""
    world.record()  # a round in which it learns may be refused
    world.settle()
    origin = platform.status()["latest"]["origin"]
    assert origin != lost["origin"]
    with Recorder(platform.state / "recorder.sock", timeout_ms=60_000) as client:
        control = decode(client.read(0).entries[0][0]).header.control
    assert control is not None
    assert (lost["origin"], lost["size"]) in [tuple(one[:2]) for one in Boot(*control).previous]
    for peer in peers:
        standing = standings_of(peer)[f"acme/{platform.name}"]
        ended = standing.retired_head(str(lost["origin"]))
        assert ended is not None
        assert ended.size == lost["size"]
