"""Every scenario, in the order of the table."""

from __future__ import annotations

from tests.node.scenarios import attacks, clocks, histories, losses, networks
from tests.node.scenarios.world import Scenario

SCENARIOS = [
    Scenario(networks.rough),
    Scenario(networks.parted),
    Scenario(networks.flapping),
    Scenario(clocks.day_off, clocks.own_clock),
    Scenario(clocks.untrusted, clocks.own_clock),
    Scenario(losses.wiped),
    Scenario(losses.restored),
    Scenario(histories.two_histories, histories.compare_often, dishonest=1),
    Scenario(attacks.forged),
    Scenario(attacks.oversized),
    Scenario(attacks.besieged),
    Scenario(attacks.noisy),
]
