"""A log that shows two histories to two halves."""

from __future__ import annotations

import copy
import shutil

from tests.node.meshes import Platform, rounds
from tests.node.scenarios.world import ARCHIVED_S, EVERY_S, LARGE, Told, World, forks_of, held_by_all
from tests.running import wait_until

# Between comparisons of histories, s: no machine is so busy that one lasts longer.
INTERVAL_S, LARGE_INTERVAL_S = 5.0, 20.0
WITHIN = 2  # comparisons after they meet


def compare_often(world: World) -> None:
    """Before the start: histories are compared every few seconds; the liar's recorder asks nobody what it had signed."""
    for one in world.platforms:
        one.configure("archive", interval_s=INTERVAL_S if len(world.platforms) < LARGE else LARGE_INTERVAL_S)
    without_learning(world.platforms[-1])


def two_histories(world: World) -> Told:
    """The owner of a platform runs it twice, one for each half; when they meet, all can prove it, and nobody is wronged."""
    *honest, liar = world.platforms
    world.settle()
    twin = double(world, liar)
    middle = len(honest) // 2
    world.switch.part([*range(middle), liar.at], [*range(middle, len(honest)), twin.at])
    for one in (liar, twin):  # not before: what one of them records at its start would be seen by both halves
        one.begin_mesh()
        one.start_recorder()
        one.await_mesh()
    for one, entries in ((liar, 5), (twin, 9)):
        one.mark(entries)
        wait_until(lambda one=one: rounds([one])[0]["latest"]["cosigned"] > 0)
    assert liar.status()["latest"]["origin"] == twin.status()["latest"]["origin"]
    world.record(honest)
    assert not any(forks_of(one) for one in honest), "nobody has seen both"
    origin = liar.status()["latest"]["origin"]
    met = {one: one.status()["compared"] for one in honest}
    world.switch.heal()
    took: dict[Platform, int] = {}

    def all_found() -> bool:
        for one in honest:
            if one not in took and (status := one.status())["forks"]:
                took[one] = status["compared"] - met[one]
        return len(took) == len(honest)

    wait_until(all_found, ARCHIVED_S, EVERY_S)
    most = max(took.values())
    assert most <= WITHIN + 1, f"{took.values()}; one may have been under way when they met"
    twin.stop()
    world.settle(honest)
    done = f"{liar.name} shows one history to each half; they meet: proved everywhere after {most} comparisons at most, one that was under way counted"
    return Told(done, held_by_all(honest, forked=[origin]))


def double(world: World, platform: Platform) -> Platform:
    """A copy of a platform with the same keys, at the switch's last port; neither runs."""
    twin = copy.copy(platform)
    twin.at = len(world.switch.names) - 1
    twin.network, twin.address = world.switch.names[twin.at], world.last_address
    platform.stop_recorder()
    assert platform.stop_mesh() == 0
    twin.state = platform.state.with_name(f"{platform.name}-twin")
    twin.mesh = platform.mesh.with_name(f"{platform.mesh.name}-twin")
    twin.process = twin.recorder = None
    world.undo.callback(twin.stop)
    shutil.copytree(platform.state, twin.state, symlinks=True)
    shutil.copytree(platform.mesh, twin.mesh, symlinks=True)
    return twin


def without_learning(platform: Platform) -> None:
    """Have its recorder take no heads from the mesh."""
    config = platform.state / "recorder.toml"
    config.write_text(config.read_text().replace("mesh = true", "mesh = false"))
