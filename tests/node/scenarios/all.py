"""Every scenario, in the order of the table."""

from __future__ import annotations

from tests.node.scenarios import attacks, clocks, histories, losses, networks
from tests.node.scenarios.world import Scenario

PLATFORMS = (2, 8, 32)
SCENARIOS = [
    Scenario(networks.rough),
    Scenario(networks.parted),
    Scenario(networks.flapping),
    Scenario(clocks.day_off, clocks.own_clock, short=(2,)),
    Scenario(clocks.untrusted, clocks.own_clock),
    Scenario(losses.wiped),
    Scenario(losses.restored, short=(2,)),
    Scenario(histories.two_histories, histories.compare_often, dishonest=1),
    Scenario(attacks.forged, short=(2,)),
    Scenario(attacks.oversized, short=(2,)),
    Scenario(attacks.besieged),
    Scenario(attacks.noisy),
]
