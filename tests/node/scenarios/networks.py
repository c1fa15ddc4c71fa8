"""Networks that lose, double, delay and part."""

from __future__ import annotations

from tests.node.scenarios.world import Told, World, held_by_all, signed_by
from tests.node.switch import Faults

ROUGH = Faults(loss=0.3, duplicate=0.1, reorder=0.2, delay_s=0.005, jitter_s=0.01)


def rough(world: World) -> Told:
    """A third of all frames is lost, some come twice, late and in another order: rounds bring everything to everybody."""
    world.switch.impair(ROUGH)
    rounds = world.spread(at_most=15)
    lost = world.switch.lost("loss")
    assert lost > 0
    world.switch.heal()
    world.settle()
    done = f"30 % loss, 10 % doubled, 20 % reordered, 5 to 15 ms late: {rounds} rounds until all had all, {lost} frames lost"
    return Told(done, held_by_all(world.platforms))


def parted(world: World) -> Told:
    """Halves that do not see each other go on alone; afterwards one proof each brings all to the same heads.

    With two platforms each half is one, which nobody cosigns until they meet.
    """
    world.settle()
    world.part()
    for _ in range(2):
        world.settle(*world.halves, count=40)
    for half, other in (world.halves, world.halves[::-1]):
        names = {one.name for one in other}
        for status in (one.status() for one in half):
            assert len(signed_by(status)) == len(half) - 1, "nobody answers across"
            assert all(one["last"].startswith("not now") for one in status["peers"] if one["name"] in names)
    world.switch.heal()
    rounds = world.settle()
    done = f"halves apart while each platform records 80 entries, then healed: {rounds}"
    return Told(done, held_by_all(world.platforms))


def flapping(world: World) -> Told:
    """One cable comes and goes: nobody else is held up, and its platform has all its cosignatures when it stays.

    With two platforms nobody else is there to be cosigned by: the one that stays only has to go on recording.
    """
    *steady, loose = world.platforms
    world.switch.flap(loose.at, up_s=0.7, down_s=0.9)
    made = 0
    while made < 3 or not world.switch.lost("cut"):
        world.settle(steady)
        world.record([loose])
        made += 1
    cut = world.switch.lost("cut")
    world.switch.plug(loose.at, is_up=True)
    rounds = world.settle()
    done = f"{loose.name} came and went through {made} rounds ({cut} frames cut), then stayed: {rounds}"
    return Told(done, held_by_all(world.platforms))
