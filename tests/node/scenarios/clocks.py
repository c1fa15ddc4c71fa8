"""Platforms whose clocks are wrong, or not to be trusted."""

from __future__ import annotations

import pytest

from tests.faults.clocks import Offsets, unavailable
from tests.node.meshes import Platform, peer_of
from tests.node.scenarios.world import Told, World, held_by_all, signed_by, standings_of
from tests.running import wait_until

DAY_S = 86_400


def own_clock(world: World) -> None:
    """Before the start: the last platform has a clock that can be set, and its mesh trusts the kernel's word."""
    if (why := unavailable()) is not None:
        pytest.skip(why)
    world.clock = Offsets(world.directory)
    world.clock.jump(is_synchronised=True)
    *_, platform = world.platforms
    platform.environment |= world.clock.environment
    platform.configure("witness", clock='"kernel"')


def day_off(world: World) -> Told:
    """One platform is a day ahead and then a day behind: everything goes on, and its time is seen to be off."""
    *others, off = world.platforms
    assert world.clock is not None
    world.settle()
    for days in (1, -1):
        world.clock.jump(utc_s=days * DAY_S, is_synchronised=True)
        world.settle()
        for one in others:
            assert abs(skew_s(one, off) - days * DAY_S) < 60
            assert abs(skew_s(off, one) + days * DAY_S) < 60
    done = f"the clock of {off.name} a day ahead, then a day behind: its cosignatures say so, and `mesh peers` too"
    return Told(done, held_by_all(world.platforms))


def untrusted(world: World) -> Told:
    """The kernel calls one clock unsynchronised: that platform cosigns for nobody and holds what it held, until it is right.

    With two platforms the other one is cosigned by nobody meanwhile.
    """
    *others, unsure = world.platforms
    assert world.clock is not None
    world.settle()
    before = standings_of(unsure)
    world.clock.jump(is_synchronised=False)
    wait_until(lambda: not unsure.status()["clock_trusted"])

    def refuses() -> bool:
        world.record()
        return all(peer_of(one.status(), unsure)["last"] == "not now: 503 clock_untrusted" for one in others)

    wait_until(refuses)  # at once; who had no time to ask asks again
    assert standings_of(unsure) == before, "it moved on to what it never vouched for"
    world.settle(others)
    assert all(len(signed_by(one.status())) == len(others) - 1 for one in others)
    world.clock.jump(is_synchronised=True)
    wait_until(lambda: unsure.status()["clock_trusted"])
    rounds = world.settle()
    done = f"the clock of {unsure.name} not synchronised: it refuses (503) and moves nothing; once it is, {rounds}"
    return Told(done, held_by_all(world.platforms))


def skew_s(log: Platform, witness: Platform) -> int:
    """How far a witness's latest cosignature is from the clock of the log that it cosigned."""
    said: str = peer_of(log.status(), witness)["last"]
    return int(said.partition("its clock ")[2].split()[0])
